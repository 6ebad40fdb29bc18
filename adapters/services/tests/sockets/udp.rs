//! UDP sockets and their datagram streams.

use std::net::{SocketAddr, UdpSocket};

use vyoma_component::abi::Bytes;
use vyoma_component::trap::Trap;
use vyoma_component::wasi::sockets::{ErrorCode, IpSocketAddress};

use crate::guest::{App, IPV4, IPV6, Outcome, flat};

/// The streams of a socket: (incoming, outgoing).
fn stream(
    app: &mut App,
    socket: u32,
    peer: Option<SocketAddr>,
) -> Result<Outcome<(u32, u32)>, Trap> {
    let arguments = match peer {
        Some(peer) => [&[1][..], &flat(peer)].concat(),
        None => vec![0; 13],
    };
    app.method("udp-socket.stream", socket, &arguments)
}

fn streams(app: &mut App, socket: u32, peer: Option<SocketAddr>) -> (u32, u32) {
    stream(app, socket, peer).unwrap().unwrap()
}

fn receive(app: &mut App, incoming: u32, most: u64) -> Outcome<Vec<(Vec<u8>, SocketAddr)>> {
    let datagrams: Outcome<Vec<(Bytes, IpSocketAddress)>> = app
        .method("incoming-datagram-stream.receive", incoming, &[most])
        .unwrap();
    let datagrams = datagrams?;
    Ok(datagrams
        .into_iter()
        .map(|(data, from)| (app.bytes(data), from.into()))
        .collect())
}

/// Bytes of an `outgoing-datagram` in memory: list, then option of a variant whose larger case has 32 bytes.
const DATAGRAM: usize = 44;

/// Lays the datagrams out in memory and sends them.
fn send_all(
    app: &mut App,
    outgoing: u32,
    datagrams: &[(&[u8], Option<SocketAddr>)],
) -> Result<Outcome<u64>, Trap> {
    let mut records = Vec::new();
    let mut at = 4096;
    for (data, to) in datagrams {
        app.put(at, data);
        let mut record = vec![0; DATAGRAM];
        record[..4].copy_from_slice(&at.to_le_bytes());
        record[4..8].copy_from_slice(&(data.len() as u32).to_le_bytes());
        if let Some(to) = to {
            record[8] = 1;
            record[12] = u8::from(to.is_ipv6());
            record[16..18].copy_from_slice(&to.port().to_le_bytes());
            match to {
                SocketAddr::V4(v4) => record[18..22].copy_from_slice(&v4.ip().octets()),
                SocketAddr::V6(v6) => {
                    for (place, segment) in record[24..40].chunks_mut(2).zip(v6.ip().segments()) {
                        place.copy_from_slice(&segment.to_le_bytes());
                    }
                }
            }
        }
        records.extend(record);
        at += (data.len() as u32).next_multiple_of(8);
    }
    app.put(0, &records);
    app.method(
        "outgoing-datagram-stream.send",
        outgoing,
        &[0, datagrams.len() as u64],
    )
}

/// Asks for a permit first.
fn send(app: &mut App, outgoing: u32, data: &[u8], to: Option<SocketAddr>) -> Outcome<u64> {
    assert_eq!(check_send(app, outgoing), Ok(16));
    send_all(app, outgoing, &[(data, to)]).unwrap()
}

fn check_send(app: &mut App, outgoing: u32) -> Outcome<u64> {
    app.method("outgoing-datagram-stream.check-send", outgoing, &[])
        .unwrap()
}

#[test]
fn datagrams_go_both_ways_over_ipv4_and_ipv6() {
    for (family, any) in [(IPV4, "127.0.0.1:0"), (IPV6, "[::1]:0")] {
        let mut app = App::new();
        let peer = UdpSocket::bind(any).unwrap();
        let peer_address = peer.local_addr().unwrap();
        let (socket, address) = app.udp(family, any);
        let (incoming, outgoing) = streams(&mut app, socket, None);
        assert_eq!(receive(&mut app, incoming, 10), Ok(vec![]));
        for data in [&b"one"[..], b"", b"three"] {
            assert_eq!(send(&mut app, outgoing, data, Some(peer_address)), Ok(1));
            let mut buffer = [0; 100];
            let (count, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..count], from), (data, address));
            peer.send_to(data, from).unwrap();
        }
        app.wait("incoming-datagram-stream.subscribe", incoming);
        let answers = receive(&mut app, incoming, 2).unwrap();
        assert_eq!(
            answers,
            [(b"one".to_vec(), peer_address), (vec![], peer_address)]
        );
        assert_eq!(receive(&mut app, incoming, 0), Ok(vec![]));
        let rest = receive(&mut app, incoming, u64::MAX).unwrap();
        assert_eq!(rest, [(b"three".to_vec(), peer_address)]);
    }
}

#[test]
fn a_socket_is_bound_explicitly_before_anything_else() {
    let mut app = App::new();
    let socket = app.create("udp", IPV4).unwrap();
    assert_eq!(
        stream(&mut app, socket, None),
        Ok(Err(ErrorCode::InvalidState))
    );
    for method in ["udp-socket.local-address", "udp-socket.remote-address"] {
        assert_eq!(app.address(method, socket), Err(ErrorCode::InvalidState));
    }
    let finish = app.try_do("udp-socket.finish-bind", socket, &[]);
    assert_eq!(finish, Err(ErrorCode::NotInProgress));
    let bind = |app: &mut App, to: &str| app.try_address("udp-socket.start-bind", socket, to);
    assert_eq!(bind(&mut app, "[::1]:0"), Err(ErrorCode::InvalidArgument));
    assert_eq!(
        bind(&mut app, "192.0.2.1:0"),
        Err(ErrorCode::AddressNotBindable)
    );
    assert_eq!(bind(&mut app, "127.0.0.1:0"), Ok(()));
    assert_eq!(
        bind(&mut app, "127.0.0.1:0"),
        Err(ErrorCode::ConcurrencyConflict)
    );
    assert_eq!(app.try_do("udp-socket.finish-bind", socket, &[]), Ok(()));
    assert_eq!(bind(&mut app, "127.0.0.1:0"), Err(ErrorCode::InvalidState));
    let taken = app.address("udp-socket.local-address", socket).unwrap();
    let other = app.create("udp", IPV4).unwrap();
    let again = app.try_address("udp-socket.start-bind", other, &taken.to_string());
    assert_eq!(again, Err(ErrorCode::AddressInUse));
    assert_eq!(
        app.method("udp-socket.address-family", other, &[]),
        Ok(0_u8)
    );
}

#[test]
fn a_connected_socket_hears_and_speaks_to_its_peer_only() {
    let mut app = App::new();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer_address = peer.local_addr().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let stranger_address = stranger.local_addr().unwrap();
    // A port of the app's own choice: one of the kernel's choice is given back by the disconnect below.
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (socket, address) = app.udp(IPV4, &free.to_string());
    // In the queue before the connect, and so not filtered by the kernel.
    stranger.send_to(b"from a stranger", address).unwrap();
    let (incoming, outgoing) = streams(&mut app, socket, Some(peer_address));
    assert_eq!(
        app.address("udp-socket.remote-address", socket),
        Ok(peer_address)
    );
    let pollable: u32 = app
        .method("incoming-datagram-stream.subscribe", incoming, &[])
        .unwrap();
    assert!(!app.is_ready(pollable), "not for this stream");
    peer.send_to(b"from the peer", address).unwrap();
    app.block(pollable);
    assert_eq!(
        receive(&mut app, incoming, 10),
        Ok(vec![(b"from the peer".to_vec(), peer_address)])
    );
    assert_eq!(send(&mut app, outgoing, b"1", None), Ok(1));
    assert_eq!(send(&mut app, outgoing, b"2", Some(peer_address)), Ok(1));
    let elsewhere = send(&mut app, outgoing, b"3", Some(stranger_address));
    assert_eq!(elsewhere, Err(ErrorCode::InvalidArgument));
    for expected in [b"1", b"2"] {
        let mut buffer = [0; 10];
        assert_eq!(peer.recv(&mut buffer).unwrap(), 1);
        assert_eq!(&buffer[..1], expected);
    }
    app.drop("pollable", pollable).unwrap();
    app.drop("incoming-datagram-stream", incoming).unwrap();
    app.drop("outgoing-datagram-stream", outgoing).unwrap();
    // And back to everyone.
    let (incoming, _) = streams(&mut app, socket, None);
    let remote = app.address("udp-socket.remote-address", socket);
    assert_eq!(remote, Err(ErrorCode::InvalidState));
    assert_eq!(app.address("udp-socket.local-address", socket), Ok(address));
    stranger.send_to(b"hello", address).unwrap();
    app.wait("incoming-datagram-stream.subscribe", incoming);
    assert_eq!(
        receive(&mut app, incoming, 1).unwrap()[0].1,
        stranger_address
    );
}

#[test]
fn new_streams_while_the_old_ones_live_are_a_trap() {
    let mut app = App::new();
    let (socket, _) = app.udp(IPV4, "127.0.0.1:0");
    let (incoming, outgoing) = streams(&mut app, socket, None);
    let trap = Err(Trap::Interface("UDP streams not dropped yet".to_owned()));
    assert_eq!(stream(&mut app, socket, None), trap);
    app.drop("incoming-datagram-stream", incoming).unwrap();
    assert_eq!(stream(&mut app, socket, None), trap);
    assert_eq!(app.drop("udp-socket", socket), Err(Trap::HasChildren));
    app.drop("outgoing-datagram-stream", outgoing).unwrap();
    let (incoming, outgoing) = streams(&mut app, socket, None);
    app.drop("incoming-datagram-stream", incoming).unwrap();
    app.drop("outgoing-datagram-stream", outgoing).unwrap();
    app.drop("udp-socket", socket).unwrap();
}

#[test]
fn sending_needs_a_permit_each_time() {
    let mut app = App::new();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = peer.local_addr().ok();
    let (socket, _) = app.udp(IPV4, "127.0.0.1:0");
    let (_, outgoing) = streams(&mut app, socket, None);
    let trap = Trap::Interface("sent more datagrams than `check-send` permitted".to_owned());
    assert_eq!(send_all(&mut app, outgoing, &[]), Ok(Ok(0)));
    assert_eq!(
        send_all(&mut app, outgoing, &[(b"", to)]),
        Err(trap.clone())
    );
    assert_eq!(check_send(&mut app, outgoing), Ok(16));
    let datagrams = vec![(&b"x"[..], to); 17];
    assert_eq!(send_all(&mut app, outgoing, &datagrams), Err(trap.clone()));
    assert_eq!(send_all(&mut app, outgoing, &datagrams[..16]), Ok(Ok(16)));
    assert_eq!(send_all(&mut app, outgoing, &[(b"", to)]), Err(trap));
}

#[test]
fn datagrams_that_can_not_be_sent_have_their_error() {
    let mut app = App::new();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = peer.local_addr().ok();
    let (socket, _) = app.udp(IPV4, "127.0.0.1:0");
    let (_, outgoing) = streams(&mut app, socket, None);
    let large = vec![0; 65_508];
    let larger = vec![0; 65_536];
    for (data, to, error) in [
        (&b"x"[..], None, ErrorCode::InvalidArgument),
        (b"x", "[::1]:9".parse().ok(), ErrorCode::InvalidArgument),
        (b"x", "127.0.0.1:0".parse().ok(), ErrorCode::InvalidArgument),
        (b"x", "0.0.0.0:9".parse().ok(), ErrorCode::InvalidArgument),
        (&large, to, ErrorCode::DatagramTooLarge),
        (&larger, to, ErrorCode::DatagramTooLarge),
    ] {
        assert_eq!(send(&mut app, outgoing, data, to), Err(error));
    }
    // What comes before the bad one is sent, and counts.
    assert_eq!(check_send(&mut app, outgoing), Ok(16));
    let mixed = send_all(&mut app, outgoing, &[(b"a", to), (b"b", None), (b"c", to)]);
    assert_eq!(mixed, Ok(Ok(1)));
    let mut buffer = [0; 10];
    assert_eq!(peer.recv(&mut buffer).unwrap(), 1);
    assert_eq!(buffer[0], b'a');
}

#[test]
fn a_peer_that_is_not_there_is_told_to_a_connected_socket() {
    let mut app = App::new();
    let nobody = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (socket, _) = app.udp(IPV4, "127.0.0.1:0");
    let (incoming, outgoing) = streams(&mut app, socket, Some(nobody));
    assert_eq!(send(&mut app, outgoing, b"anyone?", None), Ok(1));
    app.wait("incoming-datagram-stream.subscribe", incoming);
    assert_eq!(
        receive(&mut app, incoming, 10),
        Err(ErrorCode::ConnectionRefused)
    );
    assert_eq!(receive(&mut app, incoming, 10), Ok(vec![]));
}

#[test]
fn options_are_kept_and_zero_is_refused() {
    let mut app = App::new();
    for family in [IPV4, IPV6] {
        let socket = app.create("udp", family).unwrap();
        for name in ["receive-buffer-size", "send-buffer-size"] {
            let set = format!("udp-socket.set-{name}");
            assert_eq!(app.try_do(&set, socket, &[32_768]), Ok(()));
            let size: Outcome<u64> = app
                .method(&format!("udp-socket.{name}"), socket, &[])
                .unwrap();
            assert_eq!(size, Ok(32_768));
            assert_eq!(
                app.try_do(&set, socket, &[0]),
                Err(ErrorCode::InvalidArgument)
            );
        }
        let set = "udp-socket.set-unicast-hop-limit";
        assert_eq!(app.try_do(set, socket, &[9]), Ok(()));
        assert_eq!(
            app.try_do(set, socket, &[0]),
            Err(ErrorCode::InvalidArgument)
        );
        let limit: Outcome<u8> = app
            .method("udp-socket.unicast-hop-limit", socket, &[])
            .unwrap();
        assert_eq!(limit, Ok(9));
        let pollable: u32 = app.method("udp-socket.subscribe", socket, &[]).unwrap();
        assert!(
            app.is_ready(pollable),
            "no operation of a UDP socket takes time"
        );
    }
}
