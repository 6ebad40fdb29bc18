//! `wasi:sockets` on Linux, called as a guest calls it, against sockets of this machine.

mod guest;
mod names;
mod tcp;
mod tcp_streams;
mod udp;

use vyoma_capabilities::resolve::Network;
use vyoma_component::wasi::sockets::ErrorCode;

use self::guest::{App, IPV4, IPV6, Outcome};

#[test]
fn without_the_grant_every_way_to_the_network_is_denied() {
    let mut app = App::with(None);
    for family in [IPV4, IPV6] {
        assert_eq!(app.create("tcp", family), Err(ErrorCode::AccessDenied));
        assert_eq!(app.create("udp", family), Err(ErrorCode::AccessDenied));
    }
    for name in ["localhost", "127.0.0.1", "not a name"] {
        assert_eq!(names::resolve(&mut app, name), Err(ErrorCode::AccessDenied));
    }
}

#[test]
fn an_app_binds_its_own_port_or_an_unprivileged_one() {
    let bind = |port: Option<u16>, kind: &str, address: &str| -> Outcome<()> {
        let mut app = App::with(Some(Network { port }));
        let socket = app.create(kind, IPV4).unwrap();
        app.try_address(&format!("{kind}-socket.start-bind"), socket, address)
    };
    for kind in ["tcp", "udp"] {
        assert_eq!(
            bind(None, kind, "127.0.0.1:80"),
            Err(ErrorCode::AccessDenied)
        );
        assert_eq!(bind(None, kind, "127.0.0.1:0"), Ok(()));
        assert_eq!(
            bind(Some(47_311), kind, "127.0.0.1:47312"),
            Err(ErrorCode::AccessDenied)
        );
        assert_eq!(bind(Some(47_311), kind, "127.0.0.1:0"), Ok(()));
        assert_eq!(bind(Some(47_311), kind, "127.0.0.1:47311"), Ok(()));
    }
}
