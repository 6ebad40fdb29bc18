//! TCP sockets: states, addresses, options.

use std::net::TcpListener;

use vyoma_component::trap::Trap;
use vyoma_component::wasi::sockets::ErrorCode;

use crate::guest::{App, IPV4, IPV6, Outcome};

#[test]
fn a_new_socket_has_no_address_and_no_operation_to_finish() {
    let mut app = App::new();
    let socket = app.tcp();
    for method in ["finish-bind", "finish-listen"] {
        let outcome = app.try_do(&format!("tcp-socket.{method}"), socket, &[]);
        assert_eq!(outcome, Err(ErrorCode::NotInProgress), "{method}");
    }
    assert_eq!(
        finish_connect(&mut app, socket),
        Err(ErrorCode::NotInProgress)
    );
    for method in ["tcp-socket.local-address", "tcp-socket.remote-address"] {
        assert_eq!(app.address(method, socket), Err(ErrorCode::InvalidState));
    }
    let outcome = app.try_do("tcp-socket.start-listen", socket, &[]);
    assert_eq!(outcome, Err(ErrorCode::InvalidState), "not bound");
    assert_eq!(accept_now(&mut app, socket), Err(ErrorCode::InvalidState));
    let outcome = app.try_do("tcp-socket.shutdown", socket, &[2]);
    assert_eq!(outcome, Err(ErrorCode::InvalidState));
    assert_eq!(
        app.method("tcp-socket.is-listening", socket, &[]),
        Ok(false)
    );
    assert_eq!(
        app.method("tcp-socket.address-family", socket, &[]),
        Ok(0_u8)
    );
}

fn finish_connect(app: &mut App, socket: u32) -> Outcome<(u32, u32)> {
    app.method("tcp-socket.finish-connect", socket, &[])
        .unwrap()
}

fn accept_now(app: &mut App, socket: u32) -> Outcome<(u32, u32, u32)> {
    app.method("tcp-socket.accept", socket, &[]).unwrap()
}

#[test]
fn one_operation_at_a_time_and_each_once() {
    let mut app = App::new();
    let socket = app.tcp();
    let bind = |app: &mut App| app.try_address("tcp-socket.start-bind", socket, "127.0.0.1:0");
    assert_eq!(bind(&mut app), Ok(()));
    assert_eq!(bind(&mut app), Err(ErrorCode::ConcurrencyConflict));
    let listen = app.try_do("tcp-socket.start-listen", socket, &[]);
    assert_eq!(listen, Err(ErrorCode::ConcurrencyConflict));
    let connect = app.try_address("tcp-socket.start-connect", socket, "127.0.0.1:1");
    assert_eq!(connect, Err(ErrorCode::ConcurrencyConflict));
    assert_eq!(app.try_do("tcp-socket.finish-bind", socket, &[]), Ok(()));
    let again = app.try_do("tcp-socket.finish-bind", socket, &[]);
    assert_eq!(again, Err(ErrorCode::NotInProgress));
    assert_eq!(bind(&mut app), Err(ErrorCode::InvalidState), "bound");
    assert_eq!(app.try_do("tcp-socket.start-listen", socket, &[]), Ok(()));
    assert_eq!(app.method("tcp-socket.is-listening", socket, &[]), Ok(true));
    assert_eq!(app.try_do("tcp-socket.finish-listen", socket, &[]), Ok(()));
    for outcome in [
        app.try_do("tcp-socket.start-listen", socket, &[]),
        app.try_address("tcp-socket.start-connect", socket, "127.0.0.1:1"),
        bind(&mut app),
    ] {
        assert_eq!(outcome, Err(ErrorCode::InvalidState), "listening");
    }
    assert_eq!(accept_now(&mut app, socket), Err(ErrorCode::WouldBlock));
}

#[test]
fn addresses_that_can_not_be_are_invalid_arguments() {
    let mut app = App::new();
    for (family, address) in [
        (IPV4, "[::1]:0"),
        (IPV4, "224.0.0.1:0"),
        (IPV4, "255.255.255.255:0"),
        (IPV6, "127.0.0.1:0"),
        (IPV6, "[::ffff:127.0.0.1]:0"),
        (IPV6, "[ff02::1]:0"),
    ] {
        let socket = app.create("tcp", family).unwrap();
        let outcome = app.try_address("tcp-socket.start-bind", socket, address);
        assert_eq!(outcome, Err(ErrorCode::InvalidArgument), "bind {address}");
    }
    for (family, address) in [
        (IPV4, "[::1]:80"),
        (IPV4, "0.0.0.0:80"),
        (IPV4, "127.0.0.1:0"),
        (IPV4, "224.0.0.1:80"),
        (IPV6, "127.0.0.1:80"),
        (IPV6, "[::]:80"),
        (IPV6, "[::ffff:127.0.0.1]:80"),
    ] {
        let socket = app.create("tcp", family).unwrap();
        let outcome = app.try_address("tcp-socket.start-connect", socket, address);
        assert_eq!(
            outcome,
            Err(ErrorCode::InvalidArgument),
            "connect {address}"
        );
        // It is as if nothing had been asked.
        assert_eq!(
            finish_connect(&mut app, socket),
            Err(ErrorCode::NotInProgress)
        );
    }
}

#[test]
fn an_address_that_is_not_here_or_is_taken_can_not_be_bound() {
    let mut app = App::new();
    let socket = app.tcp();
    let foreign = app.try_address("tcp-socket.start-bind", socket, "192.0.2.1:0");
    assert_eq!(foreign, Err(ErrorCode::AddressNotBindable));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = app.try_address("tcp-socket.start-bind", socket, &address);
    assert_eq!(outcome, Err(ErrorCode::AddressInUse));
    // Neither was a bind.
    let local = app.address("tcp-socket.local-address", socket);
    assert_eq!(local, Err(ErrorCode::InvalidState));
}

#[test]
fn a_port_can_be_bound_again_right_after_its_last_connection() {
    let mut app = App::new();
    let (listener, address) = app.listener(IPV4, "127.0.0.1");
    let (client, input, output) = app.connect(address).unwrap();
    let (server, server_input, server_output) = app.accept(listener);
    // The server closes first: its side stays in TIME_WAIT.
    for (kind, handle) in [
        ("input-stream", server_input),
        ("output-stream", server_output),
        ("tcp-socket", server),
        ("tcp-socket", listener),
        ("input-stream", input),
        ("output-stream", output),
        ("tcp-socket", client),
    ] {
        app.drop(kind, handle).unwrap();
    }
    let again = app.tcp();
    let bound = app.try_address("tcp-socket.start-bind", again, &address.to_string());
    assert_eq!(bound, Ok(()));
    app.try_do("tcp-socket.finish-bind", again, &[]).unwrap();
    assert_eq!(app.try_do("tcp-socket.start-listen", again, &[]), Ok(()));
}

#[test]
fn connecting_is_begun_by_start_and_ended_by_finish() {
    let mut app = App::new();
    let (listener, address) = app.listener(IPV4, "127.0.0.1");
    let socket = app.tcp();
    // Subscribed before there is anything to wait for, as wasi-libc does.
    let pollable: u32 = app.method("tcp-socket.subscribe", socket, &[]).unwrap();
    assert!(app.is_ready(pollable));
    app.try_address("tcp-socket.start-connect", socket, &address.to_string())
        .unwrap();
    let local = app.address("tcp-socket.local-address", socket);
    assert_eq!(local, Err(ErrorCode::InvalidState));
    let option: Outcome<u8> = app.method("tcp-socket.hop-limit", socket, &[]).unwrap();
    assert_eq!(option, Err(ErrorCode::InvalidState));
    // The first time, the attempt is only begun.
    assert_eq!(finish_connect(&mut app, socket), Err(ErrorCode::WouldBlock));
    app.block(pollable);
    assert_eq!(
        app.address("tcp-socket.remote-address", socket),
        Ok(address),
        "a wait makes the connection"
    );
    assert!(finish_connect(&mut app, socket).is_ok());
    assert_eq!(
        finish_connect(&mut app, socket),
        Err(ErrorCode::NotInProgress)
    );
    assert!(app.is_ready(pollable));
    let again = app.try_address("tcp-socket.start-connect", socket, &address.to_string());
    assert_eq!(again, Err(ErrorCode::InvalidState));
    let (server, ..) = app.accept(listener);
    assert_eq!(
        app.address("tcp-socket.remote-address", server),
        app.address("tcp-socket.local-address", socket)
    );
    assert_eq!(app.address("tcp-socket.local-address", server), Ok(address));
}

#[test]
fn a_refused_connection_leaves_a_socket_of_no_use() {
    let mut app = App::new();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let socket = app.tcp();
    app.try_address("tcp-socket.start-connect", socket, &nobody.to_string())
        .unwrap();
    app.wait("tcp-socket.subscribe", socket);
    let refused = Err(ErrorCode::ConnectionRefused);
    assert_eq!(
        app.address("tcp-socket.local-address", socket),
        Err(ErrorCode::ConnectionRefused)
    );
    assert_eq!(
        finish_connect(&mut app, socket),
        Err(ErrorCode::ConnectionRefused)
    );
    assert_eq!(
        finish_connect(&mut app, socket),
        Err(ErrorCode::NotInProgress)
    );
    assert_eq!(
        app.try_do("tcp-socket.set-hop-limit", socket, &[5]),
        refused
    );
    assert_eq!(
        app.try_do("tcp-socket.set-listen-backlog-size", socket, &[5]),
        refused
    );
    let again = app.try_address("tcp-socket.start-connect", socket, &nobody.to_string());
    assert_eq!(again, Err(ErrorCode::InvalidState));
    app.drop("tcp-socket", socket).unwrap();
}

#[test]
fn options_are_clamped_and_zero_is_refused() {
    const SECOND: u64 = 1_000_000_000;
    let mut app = App::new();
    let socket = app.tcp();
    let get = |app: &mut App, name: &str| -> u64 {
        let name = format!("tcp-socket.{name}");
        app.method::<Outcome<u64>>(&name, socket, &[])
            .unwrap()
            .unwrap()
    };
    for (name, given, expected) in [
        ("keep-alive-idle-time", 1, SECOND),
        ("keep-alive-idle-time", 1_500_000_000, 2 * SECOND),
        ("keep-alive-idle-time", u64::MAX, 32_767 * SECOND),
        ("keep-alive-interval", 7 * SECOND, 7 * SECOND),
        ("receive-buffer-size", 65_536, 65_536),
        ("send-buffer-size", 65_536, 65_536),
    ] {
        let set = format!("tcp-socket.set-{name}");
        assert_eq!(app.try_do(&set, socket, &[given]), Ok(()), "{name}");
        assert_eq!(get(&mut app, name), expected, "{name} of {given}");
    }
    for (name, given, expected) in [("keep-alive-count", 1_000, 127), ("keep-alive-count", 3, 3)] {
        let set = format!("tcp-socket.set-{name}");
        assert_eq!(app.try_do(&set, socket, &[given]), Ok(()));
        let now: Outcome<u32> = app
            .method(&format!("tcp-socket.{name}"), socket, &[])
            .unwrap();
        assert_eq!(now, Ok(expected));
    }
    for name in [
        "keep-alive-idle-time",
        "keep-alive-interval",
        "keep-alive-count",
        "hop-limit",
        "receive-buffer-size",
        "send-buffer-size",
        "listen-backlog-size",
    ] {
        let zero = app.try_do(&format!("tcp-socket.set-{name}"), socket, &[0]);
        assert_eq!(zero, Err(ErrorCode::InvalidArgument), "{name}");
    }
    let enabled = "tcp-socket.keep-alive-enabled";
    assert_eq!(
        app.method::<Outcome<bool>>(enabled, socket, &[]),
        Ok(Ok(false))
    );
    assert_eq!(
        app.try_do("tcp-socket.set-keep-alive-enabled", socket, &[1]),
        Ok(())
    );
    assert_eq!(
        app.method::<Outcome<bool>>(enabled, socket, &[]),
        Ok(Ok(true))
    );
    let huge = app.try_do("tcp-socket.set-listen-backlog-size", socket, &[u64::MAX]);
    assert_eq!(huge, Ok(()));
    for family in [IPV4, IPV6] {
        let socket = app.create("tcp", family).unwrap();
        assert_eq!(
            app.try_do("tcp-socket.set-hop-limit", socket, &[42]),
            Ok(())
        );
        assert_eq!(
            app.method::<Outcome<u8>>("tcp-socket.hop-limit", socket, &[]),
            Ok(Ok(42))
        );
    }
}

#[test]
fn a_socket_lives_as_long_as_what_came_of_it() {
    let mut app = App::new();
    let (listener, address) = app.listener(IPV4, "127.0.0.1");
    let (client, input, output) = app.connect(address).unwrap();
    assert_eq!(app.drop("tcp-socket", client), Err(Trap::HasChildren));
    let pollable: u32 = app.method("input-stream.subscribe", input, &[]).unwrap();
    assert_eq!(app.drop("input-stream", input), Err(Trap::HasChildren));
    app.drop("pollable", pollable).unwrap();
    app.drop("input-stream", input).unwrap();
    app.drop("output-stream", output).unwrap();
    app.drop("tcp-socket", client).unwrap();
    let pollable: u32 = app.method("tcp-socket.subscribe", listener, &[]).unwrap();
    assert_eq!(app.drop("tcp-socket", listener), Err(Trap::HasChildren));
    app.drop("pollable", pollable).unwrap();
    app.drop("tcp-socket", listener).unwrap();
}

#[test]
fn a_wait_between_start_and_finish_of_listening_ends_at_once() {
    let mut app = App::new();
    let socket = app.tcp();
    app.try_address("tcp-socket.start-bind", socket, "127.0.0.1:0")
        .unwrap();
    app.try_do("tcp-socket.finish-bind", socket, &[]).unwrap();
    let pollable: u32 = app.method("tcp-socket.subscribe", socket, &[]).unwrap();
    app.try_do("tcp-socket.start-listen", socket, &[]).unwrap();
    assert!(app.is_ready(pollable));
    app.try_do("tcp-socket.finish-listen", socket, &[]).unwrap();
    assert!(!app.is_ready(pollable), "now it waits for clients");
}
