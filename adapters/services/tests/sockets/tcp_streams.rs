//! The two streams of a TCP connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use rustix::net::sockopt::set_socket_linger;
use vyoma_component::trap::Trap;
use vyoma_component::wasi::sockets::ErrorCode;

use crate::guest::{App, Failed, IPV4, IPV6, Outcome, eventually};

/// A connection of the guest to a peer outside: (socket, input, output) and the peer.
fn connected(app: &mut App) -> ((u32, u32, u32), TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = app.connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

#[test]
fn bytes_go_both_ways_over_ipv4_and_ipv6() {
    for (family, host) in [(IPV4, "127.0.0.1"), (IPV6, "[::1]")] {
        let mut app = App::new();
        let (listener, address) = app.listener(family, host);
        let (_, client_input, client_output) = app.connect(address).unwrap();
        let (_, server_input, server_output) = app.accept(listener);
        app.send(client_output, b"question").unwrap();
        assert_eq!(app.read(server_input), Ok(b"question".to_vec()));
        app.send(server_output, b"answer").unwrap();
        assert_eq!(app.read(client_input), Ok(b"answer".to_vec()));
    }
}

#[test]
fn an_ipv6_listener_takes_no_ipv4_clients() {
    let mut app = App::new();
    let (listener, address) = app.listener(IPV6, "[::]");
    let v4 = SocketAddr::from(([127, 0, 0, 1], address.port()));
    assert_eq!(app.connect(v4).map(drop), Err(ErrorCode::ConnectionRefused));
    let v6 = SocketAddr::new("::1".parse().unwrap(), address.port());
    app.connect(v6).unwrap();
    app.accept(listener);
}

#[test]
fn reading_does_not_wait_and_ends_when_the_peer_closes() {
    let mut app = App::new();
    let ((_, input, output), mut peer) = connected(&mut app);
    let empty: Result<Vec<u8>, Failed> = app.method("input-stream.read", input, &[100]).unwrap();
    assert_eq!(empty, Ok(vec![]));
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(app.read(input), Ok(b"last words".to_vec()));
    assert_eq!(app.read(input), Err(Failed::Closed));
    assert_eq!(app.read(input), Err(Failed::Closed));
    // The other half stays open.
    app.send(output, b"still here").unwrap();
    let mut buffer = [0; 10];
    peer.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"still here");
}

#[test]
fn shutdown_closes_the_halves_it_names() {
    let mut app = App::new();
    let ((socket, input, output), mut peer) = connected(&mut app);
    let waiting: u32 = app.method("input-stream.subscribe", input, &[]).unwrap();
    assert!(!app.is_ready(waiting));
    // Sending: the peer reads to the end and can answer.
    assert_eq!(app.try_do("tcp-socket.shutdown", socket, &[1]), Ok(()));
    assert_eq!(app.check_write(output), Err(Failed::Closed));
    assert_eq!(app.write(output, b""), Err(Failed::Closed));
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"");
    peer.write_all(b"answer").unwrap();
    app.block(waiting);
    assert_eq!(app.read(input), Ok(b"answer".to_vec()));
    // Receiving.
    assert!(!app.is_ready(waiting));
    assert_eq!(app.try_do("tcp-socket.shutdown", socket, &[0]), Ok(()));
    assert!(app.is_ready(waiting));
    assert_eq!(app.read(input), Err(Failed::Closed));
    assert_eq!(app.try_do("tcp-socket.shutdown", socket, &[2]), Ok(()));
}

#[test]
fn more_bytes_than_permitted_are_a_trap() {
    let mut app = App::new();
    let ((_, _, output), _peer) = connected(&mut app);
    let over = |app: &mut App, length| {
        let list = app.put(0, &vec![1; length]);
        app.method::<Result<(), Failed>>("output-stream.write", output, &list)
    };
    let trap = Trap::Interface("write of more bytes than `check-write` permitted".to_owned());
    assert_eq!(over(&mut app, 1), Err(trap.clone()), "without a permit");
    assert_eq!(app.check_write(output), Ok(65_536));
    assert_eq!(app.write(output, &[1; 100]), Ok(()));
    assert_eq!(
        over(&mut app, 1),
        Err(trap.clone()),
        "a permit is for one write"
    );
    assert_eq!(app.check_write(output), Ok(65_536));
    assert_eq!(over(&mut app, 65_537), Err(trap));
}

/// Writes until the kernel's buffers are full and something remains unsent; how many bytes.
fn fill(app: &mut App, output: u32) -> usize {
    let mut written = 0;
    loop {
        match app.check_write(output).unwrap() {
            0 => return written,
            permit => {
                app.write(output, &vec![7; permit as usize]).unwrap();
                written += permit as usize;
            }
        }
    }
}

#[test]
fn what_was_written_arrives_while_the_guest_waits_for_something_else() {
    let mut app = App::new();
    let ((_, input, output), mut peer) = connected(&mut app);
    let written = fill(&mut app, output);
    let writable: u32 = app.method("output-stream.subscribe", output, &[]).unwrap();
    assert!(!app.is_ready(writable));
    // The peer answers only when it has everything.
    let peer = thread::spawn(move || {
        let mut all = vec![0; written];
        peer.read_exact(&mut all).unwrap();
        peer.write_all(b"got it").unwrap();
        assert!(all.iter().all(|&byte| byte == 7));
        peer
    });
    assert_eq!(app.read(input), Ok(b"got it".to_vec()));
    assert!(app.is_ready(writable));
    assert_eq!(app.check_write(output), Ok(65_536));
    peer.join().unwrap();
}

#[test]
fn a_blocking_write_waits_for_a_slow_peer() {
    let mut app = App::new();
    let ((_, _, output), mut peer) = connected(&mut app);
    let written = fill(&mut app, output);
    let peer = thread::spawn(move || {
        let mut all = Vec::new();
        let mut buffer = [0; 1000];
        // In little bites: many waits in one call of the guest.
        while let Ok(count @ 1..) = peer.read(&mut buffer) {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    });
    assert_eq!(app.send(output, &[9; 4096]), Ok(()));
    drop(app);
    let all = peer.join().unwrap();
    assert_eq!(all.len(), written + 4096);
    assert!(all[written..].iter().all(|&byte| byte == 9));
}

#[test]
fn dropping_a_stream_sends_what_was_written_first() {
    let mut app = App::new();
    let ((socket, input, output), mut peer) = connected(&mut app);
    let written = fill(&mut app, output);
    let peer = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all.len()
    });
    app.drop("output-stream", output).unwrap();
    app.drop("input-stream", input).unwrap();
    app.drop("tcp-socket", socket).unwrap();
    assert_eq!(peer.join().unwrap(), written);
}

#[test]
fn shutting_down_sends_what_was_written_first() {
    let mut app = App::new();
    let ((socket, input, output), mut peer) = connected(&mut app);
    let written = fill(&mut app, output);
    assert_eq!(app.try_do("tcp-socket.shutdown", socket, &[1]), Ok(()));
    let peer = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all.len()
    });
    // The end of the peer's life is all that the guest waits for.
    assert_eq!(app.read(input), Err(Failed::Closed));
    assert_eq!(peer.join().unwrap(), written);
    assert_eq!(app.check_write(output), Err(Failed::Closed));
}

#[test]
fn a_run_ends_though_a_peer_does_not_read() {
    let mut app = App::new();
    let ((..), _peer) = {
        let connection = connected(&mut app);
        fill(&mut app, connection.0.2);
        connection
    };
    drop(app);
}

#[test]
fn a_connection_is_closed_when_its_last_handle_is_dropped() {
    let mut app = App::new();
    let ((socket, input, output), mut peer) = connected(&mut app);
    fill(&mut app, output);
    let mut all = vec![0; 64 << 20];
    peer.set_nonblocking(true).unwrap();
    // Everything is sent by looking at the stream, never by waiting.
    eventually("the stream is empty", || {
        while peer.read(&mut all).is_ok_and(|count| count > 0) {}
        app.check_write(output) == Ok(65_536)
    });
    app.drop("output-stream", output).unwrap();
    app.drop("input-stream", input).unwrap();
    app.drop("tcp-socket", socket).unwrap();
    eventually("the peer is told", || matches!(peer.read(&mut all), Ok(0)));
}

#[test]
fn a_peer_reads_to_the_end_though_the_guest_left_bytes_unread() {
    let mut app = App::new();
    let ((socket, input, output), mut peer) = connected(&mut app);
    peer.write_all(b"more than the guest wants").unwrap();
    app.send(output, b"enough").unwrap();
    app.wait("input-stream.subscribe", input);
    app.drop("input-stream", input).unwrap();
    app.drop("output-stream", output).unwrap();
    app.drop("tcp-socket", socket).unwrap();
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"enough");
}

#[test]
fn a_reset_is_an_error_once_and_then_the_end() {
    let mut app = App::new();
    let ((_, input, output), peer) = connected(&mut app);
    set_socket_linger(&peer, Some(std::time::Duration::ZERO)).unwrap();
    drop(peer);
    match app.read(input) {
        Err(Failed::With(error)) => assert_eq!(app.words(error), "ConnectionReset"),
        other => panic!("{other:?}"),
    }
    assert_eq!(app.read(input), Err(Failed::Closed));
    // The kernel told the reader; for the writer the pipe is broken.
    assert_eq!(app.send(output, b"anyone?"), Err(Failed::Closed));
    assert_eq!(app.check_write(output), Err(Failed::Closed));
}

#[test]
fn a_reset_that_a_write_finds_stays_its_error() {
    let mut app = App::new();
    let ((_, input, output), peer) = connected(&mut app);
    set_socket_linger(&peer, Some(std::time::Duration::ZERO)).unwrap();
    drop(peer);
    let reset: u32 = app.method("input-stream.subscribe", input, &[]).unwrap();
    app.block(reset);
    assert_eq!(app.check_write(output), Ok(65_536));
    for _ in 0..2 {
        match app.write(output, b"anyone?") {
            Err(Failed::With(error)) => {
                assert_eq!(app.words(error), "connection-reset (error 15)");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn many_connections_are_served_in_one_wait() {
    const CLIENTS: usize = 200;
    let mut app = App::new();
    let (listener, address) = app.listener(IPV4, "127.0.0.1");
    let clients = thread::spawn(move || {
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for (index, client) in clients.iter_mut().enumerate() {
            client.write_all(&[index as u8]).unwrap();
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let mut answer = [0];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [index as u8]);
        }
    });
    let mut waiting: Vec<(u32, u32, u32)> = Vec::new();
    let accepts: u32 = app.method("tcp-socket.subscribe", listener, &[]).unwrap();
    let mut served = 0;
    while served < CLIENTS {
        let handles: Vec<u8> = std::iter::once(accepts)
            .chain(waiting.iter().map(|&(pollable, ..)| pollable))
            .flat_map(u32::to_le_bytes)
            .collect();
        let list = app.put(0, &handles);
        let ready: Vec<u32> = app
            .call("wasi:io/poll", "poll", &[list[0], list[1] / 4])
            .unwrap();
        assert!(!ready.is_empty());
        for &index in ready.iter().rev() {
            if index == 0 {
                let (_, input, output): (u32, u32, u32) = app
                    .method::<Outcome<_>>("tcp-socket.accept", listener, &[])
                    .unwrap()
                    .unwrap();
                let pollable = app.method("input-stream.subscribe", input, &[]).unwrap();
                waiting.push((pollable, input, output));
            } else {
                let (_, input, output) = waiting.swap_remove(index as usize - 1);
                let question = app.read(input).unwrap();
                app.send(output, &question).unwrap();
                served += 1;
            }
        }
    }
    clients.join().unwrap();
}
