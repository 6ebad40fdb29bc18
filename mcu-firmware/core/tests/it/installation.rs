//! Installations: what is taken, what is refused and how it says so, and what a client leaves behind that goes away.

use vyoma_capabilities::control::{ErrorKind, InstallOptions, Request, Response};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::link::{Kind, MAX_BODY};
use vyoma_mcu_core::session::SILENCE_MS;
use vyoma_mcu_core::store::Mark;

use crate::operator::Operator;
use crate::played::MEMORY;
use crate::power::{component, found};
use crate::session::{announcement, apps, device, error, stop};

#[test]
fn an_app_is_installed_and_replaced_in_pieces_of_any_size() {
    let mut operator = Operator::greeted(device(&["old"]));
    for (number, size) in (0..).zip([MAX_BODY, 1, 7, 100]) {
        let bytes = component(3000, 40 + number);
        let kind = operator.ask(&announcement("new", &bytes)).unwrap();
        assert_eq!(kind, Kind::Taken, "the device is ready for the component");
        operator.upload(&bytes, size).unwrap();
        let Some(Response::Installed {
            app,
            sha256,
            replaced,
            warnings,
        }) = operator.response()
        else {
            panic!("expected Installed");
        };
        assert_eq!((&*app, replaced, warnings.len()), ("new", number > 0, 0));
        let entry = operator.device.store.find("new").unwrap();
        assert_eq!(sha256, hex::encode(&entry.sha256()));
        assert_eq!(found(&operator.device.store)["new"].component, bytes);
        assert_eq!(operator.device.starts["new"], number + 1);
    }
}

#[test]
fn a_new_version_takes_its_place_only_when_the_old_one_has_ended() {
    let mut operator = Operator::greeted(device(&["a"]));
    operator.device.slowness = 4;
    let bytes = component(4000, 9);
    operator.ask(&announcement("a", &bytes)).unwrap();
    operator.upload(&bytes, MAX_BODY).unwrap();
    assert_eq!(found(&operator.device.store)["a"].number, 1);
    assert_eq!(operator.device.phases["a"], Phase::Stopping);
    assert!(matches!(
        operator.response(),
        Some(Response::Installed { replaced: true, .. })
    ));
    assert_eq!(found(&operator.device.store)["a"].number, 2);
}

/// Each kind of installation that fails, and what is said about it. Nothing has changed then, and the next one works.
#[test]
fn each_failed_installation_says_why_and_leaves_the_old_version() {
    let good = component(3000, 5);
    let mut wrong_hash = announcement("a", &good);
    let mut too_large = announcement("a", &good);
    let mut enormous = announcement("a", &good);
    let mut empty = announcement("a", &good);
    let mut no_manifest = announcement("a", &good);
    let mut no_hash = announcement("a", &good);
    for (request, change) in [
        (&mut wrong_hash, (0, 3000)),
        (&mut too_large, (1, 200 * 1024)),
        (&mut enormous, (1, u64::MAX)),
        (&mut empty, (1, 0)),
        (&mut no_manifest, (2, 3000)),
        (&mut no_hash, (3, 3000)),
    ] {
        let Request::InstallCompact {
            manifest,
            component_size,
            sha256,
        } = request
        else {
            unreachable!()
        };
        *component_size = change.1;
        match change.0 {
            0 => *sha256 = "ab".repeat(32),
            2 => manifest.truncate(3),
            3 => sha256.truncate(3),
            _ => {}
        }
    }
    let text = Request::Install {
        manifest: String::new(),
        component_size: 1,
        sha256: String::new(),
        ahead_of_time: None,
        options: InstallOptions::default(),
    };
    let mut operator = Operator::greeted(device(&["a"]));
    let before = found(&operator.device.store);
    for (request, kind, said) in [
        (&wrong_hash, ErrorKind::HashMismatch, "expected abab"),
        (
            &too_large,
            ErrorKind::Limit,
            "needs 206848 bytes in a row, free are",
        ),
        (&enormous, ErrorKind::Limit, "no room in flash"),
        (&empty, ErrorKind::Invalid, "an empty file"),
        (&no_manifest, ErrorKind::Invalid, "compact manifest"),
        (&no_hash, ErrorKind::Invalid, "64 hexadecimal digits"),
        (&text, ErrorKind::Invalid, "as text"),
    ] {
        if operator.ask(request) == Some(Kind::Taken) {
            operator.upload(&good, MAX_BODY).unwrap();
        }
        let (found_kind, message) = error(operator.response().unwrap());
        assert_eq!(found_kind, kind, "{message}");
        assert!(message.contains(said), "{message}");
        assert_eq!(found(&operator.device.store), before);
        assert_eq!(operator.device.starts["a"], 1, "the old version ran on");
    }
    operator.ask(&announcement("a", &good)).unwrap();
    operator.upload(&good, MAX_BODY).unwrap();
    assert!(matches!(
        operator.response(),
        Some(Response::Installed { .. })
    ));
}

#[test]
fn a_pinned_hash_is_checked_before_anything_is_sent() {
    let mut operator = Operator::greeted(device(&[]));
    let text = format!(
        "[app]\nname = \"a\"\nversion = \"1\"\nwasm = \"a.wasm\"\nwasm_sha256 = {:?}\n",
        "cd".repeat(32)
    );
    let parsed = vyoma_capabilities::manifest::parse("vyoma.toml", &text).unwrap();
    let mut request = announcement("a", b"x");
    if let Request::InstallCompact { manifest, .. } = &mut request {
        *manifest = vyoma_capabilities::manifest::compact::encode(&parsed).unwrap();
    }
    let (kind, message) = error(operator.call(&request));
    assert_eq!(kind, ErrorKind::HashMismatch);
    assert!(message.contains(&"cd".repeat(32)), "{message}");
}

#[test]
fn more_bytes_than_announced_end_the_installation() {
    let mut operator = Operator::greeted(device(&[]));
    let bytes = component(1000, 1);
    operator.ask(&announcement("a", &bytes[..900])).unwrap();
    operator.upload(&bytes, 512).unwrap();
    let (kind, message) = error(operator.response().unwrap());
    assert_eq!(kind, ErrorKind::Protocol);
    assert!(
        message.contains("more bytes came than the 900"),
        "{message}"
    );
    assert_eq!(operator.device.store.apps().count(), 0);
}

#[test]
fn bytes_of_a_component_that_nobody_announced_are_refused() {
    let mut operator = Operator::greeted(device(&["a"]));
    operator.exchange(Kind::Upload, b"bytes").unwrap();
    let (kind, message) = error(operator.message().unwrap());
    assert_eq!(kind, ErrorKind::Protocol);
    assert!(message.contains("InstallCompact first"), "{message}");
}

#[test]
fn what_does_not_run_or_fit_is_refused_before_the_old_version_is_stopped() {
    let mut operator = Operator::greeted(device(&["a"]));
    operator.device.admits = None;
    let before = found(&operator.device.store);
    let wide = wat::parse_str(
        r#"(component
            (core module $m (memory (export "memory") 2) (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $r (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $r)))"#,
    )
    .unwrap();
    for (bytes, kind, said) in [
        (
            component(300, 1),
            ErrorKind::Invalid,
            "malformed at offset 0x0",
        ),
        (wide, ErrorKind::Limit, "free are 102400"),
    ] {
        operator.ask(&announcement("a", &bytes)).unwrap();
        operator.upload(&bytes, MAX_BODY).unwrap();
        let (found_kind, message) = error(operator.response().unwrap());
        assert_eq!(found_kind, kind, "{message}");
        assert!(message.contains(said), "{message}");
        if kind == ErrorKind::Limit {
            let needs = message.split("needs ").nth(1).unwrap();
            let needs: u64 = needs.split(' ').next().unwrap().parse().unwrap();
            assert!(needs > MEMORY && needs < 2 * MEMORY, "{message}");
        }
        assert_eq!(found(&operator.device.store), before);
        assert_eq!(operator.device.starts["a"], 1);
    }
}

#[test]
fn a_client_that_goes_away_in_an_installation_leaves_the_device_as_it_was() {
    let good = component(5000, 3);
    for pieces in 0..10 {
        let mut operator = Operator::greeted(device(&["a"]));
        let before = found(&operator.device.store);
        operator.ask(&announcement("a", &good)).unwrap();
        operator.upload(&good[..pieces * 500], 500).unwrap();
        // Another client, in the middle of it; and one that comes after the first has been forgotten.
        if pieces % 2 == 1 {
            operator.now_ms += SILENCE_MS;
            assert_eq!(operator.session.wake_at(), Some(operator.now_ms));
            operator.session.tick(operator.now_ms, &mut operator.device);
            assert_eq!(operator.session.wake_at(), None);
            assert_eq!(operator.exchange(Kind::Upload, b"x"), Some(Kind::Lost));
        }
        operator.open(8);
        assert_eq!(found(&operator.device.store), before);
        operator.ask(&announcement("a", &good)).unwrap();
        operator.upload(&good, MAX_BODY).unwrap();
        assert!(matches!(
            operator.response(),
            Some(Response::Installed { replaced: true, .. })
        ));
        assert_eq!(found(&operator.device.store)["a"].component, good);
    }
}

#[test]
fn what_has_come_whole_is_finished_although_the_client_is_gone_and_the_next_one_waits() {
    let mut operator = Operator::greeted(device(&["a"]));
    operator.device.slowness = 6;
    let good = component(5000, 3);
    operator.ask(&announcement("a", &good)).unwrap();
    operator.upload(&good, MAX_BODY).unwrap();
    // The client goes; another one comes while the old version is still ending.
    operator.open(8);
    assert_eq!(found(&operator.device.store)["a"].number, 2);
    assert_eq!(apps(operator.call(&Request::Ps)).len(), 1);
    // The same without another client: time alone brings it to its end.
    operator.device.slowness = 6;
    operator.call(&stop("a"));
    let again = component(4000, 4);
    operator.call(&Request::Start { app: "a".into() });
    operator.ask(&announcement("a", &again)).unwrap();
    operator.upload(&again, MAX_BODY).unwrap();
    while operator.device.phases["a"] == Phase::Stopping {
        let wake = operator.session.wake_at().unwrap();
        operator.session.tick(wake, &mut operator.device);
    }
    assert_eq!(found(&operator.device.store)["a"].component, again);
}

#[test]
fn when_the_flash_fails_the_old_version_is_started_again() {
    let mut operator = Operator::greeted(device(&["a"]));
    let good = component(600, 3);
    operator.ask(&announcement("a", &good)).unwrap();
    operator.upload(&good[..599], MAX_BODY).unwrap();
    // The last word of the component is written, the first one of the commit is not.
    operator
        .device
        .store
        .flash()
        .fail(1, crate::flash::Left::None);
    operator.upload(&good[599..], 1).unwrap();
    let (kind, message) = error(operator.response().unwrap());
    assert_eq!(kind, ErrorKind::Device);
    assert!(message.contains("the flash failed"), "{message}");
    assert_eq!(operator.device.phases["a"], Phase::Running);
    assert_eq!(operator.device.store.find("a").unwrap().mark(), Mark::None);
    assert_eq!(found(&operator.device.store)["a"].number, 1);
}
