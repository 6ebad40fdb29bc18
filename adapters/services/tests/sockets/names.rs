//! Name look-up.

use std::net::IpAddr;

use vyoma_component::wasi::sockets::{ErrorCode, IpAddress};

use crate::guest::{App, Outcome};

pub(crate) fn resolve(app: &mut App, name: &str) -> Outcome<u32> {
    let network = app.network();
    let list = app.put(0, name.as_bytes());
    app.call(
        "wasi:sockets/ip-name-lookup",
        "resolve-addresses",
        &[network, list[0], list[1]],
    )
    .unwrap()
}

fn next(app: &mut App, lookup: u32) -> Outcome<Option<IpAddr>> {
    let next: Outcome<Option<IpAddress>> = app
        .method("resolve-address-stream.resolve-next-address", lookup, &[])
        .unwrap();
    next.map(|address| {
        address.map(|address| match address {
            IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
            IpAddress::Ipv6(segments) => IpAddr::from(<[u16; 8]>::from(segments)),
        })
    })
}

/// All addresses, after a wait.
fn addresses(app: &mut App, name: &str) -> Outcome<Vec<IpAddr>> {
    let lookup = resolve(app, name)?;
    app.wait("resolve-address-stream.subscribe", lookup);
    let mut all = Vec::new();
    while let Some(address) = next(app, lookup)? {
        all.push(address);
    }
    assert_eq!(next(app, lookup), Ok(None), "the end stays the end");
    app.drop("resolve-address-stream", lookup).unwrap();
    Ok(all)
}

#[test]
fn an_address_is_its_own_answer_at_once() {
    let mut app = App::new();
    for (name, address) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("10.0.0.1.", "10.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("2001:db8::5", "2001:db8::5"),
    ] {
        let lookup = resolve(&mut app, name).unwrap();
        assert_eq!(next(&mut app, lookup), Ok(Some(address.parse().unwrap())));
        assert_eq!(next(&mut app, lookup), Ok(None));
    }
}

#[test]
fn localhost_is_found_without_blocking_the_guest() {
    let mut app = App::new();
    let found = addresses(&mut app, "localhost").unwrap();
    assert!(!found.is_empty());
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    assert_eq!(addresses(&mut app, "LOCALHOST"), Ok(found));
}

#[test]
fn what_is_no_name_is_an_invalid_argument() {
    let mut app = App::new();
    for name in ["", "a b", "host:80", "300.0.0.1", "[::1", "a/b", "a\0b"] {
        assert_eq!(
            resolve(&mut app, name),
            Err(ErrorCode::InvalidArgument),
            "{name:?}"
        );
    }
}

#[test]
fn a_name_that_nobody_has_fails_each_time_it_is_asked() {
    let mut app = App::new();
    let long = format!("{}.invalid", "a".repeat(300));
    for name in ["nobody.invalid", &long] {
        let lookup = resolve(&mut app, name).unwrap();
        app.wait("resolve-address-stream.subscribe", lookup);
        for _ in 0..2 {
            assert_eq!(next(&mut app, lookup), Err(ErrorCode::NameUnresolvable));
        }
    }
}

#[test]
fn many_names_can_be_asked_at_once_and_forgotten() {
    let mut app = App::new();
    let lookups: Vec<u32> = (0..100)
        .map(|_| resolve(&mut app, "localhost").unwrap())
        .collect();
    for &lookup in lookups.iter().step_by(2) {
        app.drop("resolve-address-stream", lookup).unwrap();
    }
    for &lookup in lookups.iter().skip(1).step_by(2) {
        app.wait("resolve-address-stream.subscribe", lookup);
        assert!(next(&mut app, lookup).unwrap().is_some());
    }
}
