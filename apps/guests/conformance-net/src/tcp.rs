//! TCP: every state and what may be done in it.

use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::{does, host, loopback, loopback6, port, show, wait};

type Connection = (InputStream, OutputStream);

pub(crate) fn run() {
    println!("-- tcp");
    ports();
    states();
    conversation(IpAddressFamily::Ipv4, loopback);
    conversation(IpAddressFamily::Ipv6, loopback6);
    refused();
}

pub(crate) fn socket(family: IpAddressFamily) -> TcpSocket {
    create_tcp_socket(family).expect("there is network")
}

fn bind(socket: &TcpSocket, address: IpSocketAddress) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), address)?;
    wait(&socket.subscribe(), || socket.finish_bind())
}

pub(crate) fn listen(socket: &TcpSocket) -> Result<(), ErrorCode> {
    socket.start_listen()?;
    wait(&socket.subscribe(), || socket.finish_listen())
}

fn connect(socket: &TcpSocket, address: IpSocketAddress) -> Result<Connection, ErrorCode> {
    socket.start_connect(&instance_network(), address)?;
    wait(&socket.subscribe(), || socket.finish_connect())
}

fn ports() {
    for number in [0, 47_123, 47_124, 80] {
        let socket = socket(IpAddressFamily::Ipv4);
        does(
            &format!("bind port {number}"),
            bind(&socket, loopback(number)),
        );
    }
    let v4 = socket(IpAddressFamily::Ipv4);
    does(
        "bind an IPv6 address to an IPv4 socket",
        bind(&v4, loopback6(0)),
    );
    let mapped = IpSocketAddress::Ipv6(wasip2::sockets::network::Ipv6SocketAddress {
        port: 0,
        flow_info: 0,
        address: (0, 0, 0, 0, 0, 0xffff, 0x7f00, 1),
        scope_id: 0,
    });
    let v6 = socket(IpAddressFamily::Ipv6);
    does("bind an IPv4 address in IPv6 clothes", bind(&v6, mapped));
    let multicast = |address| IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address });
    does(
        "bind a multicast address",
        bind(&v4, multicast((224, 0, 0, 1))),
    );
    does("bind broadcast", bind(&v4, multicast((255, 255, 255, 255))));
    does(
        "bind an address of another machine",
        bind(&v4, multicast((192, 0, 2, 1))),
    );
}

fn states() {
    let network = instance_network();
    let fresh = socket(IpAddressFamily::Ipv4);
    println!(
        "family: {:?}, listens: {}",
        fresh.address_family(),
        fresh.is_listening()
    );
    show("local address of a fresh socket", fresh.local_address());
    show("remote address of a fresh socket", fresh.remote_address());
    does("finish to bind what was not begun", fresh.finish_bind());
    does(
        "finish to connect what was not begun",
        fresh.finish_connect(),
    );
    does("finish to listen what was not begun", fresh.finish_listen());
    does("accept on a fresh socket", fresh.accept());
    does(
        "shut down a fresh socket",
        fresh.shutdown(ShutdownType::Both),
    );
    does("listen unbound", fresh.start_listen());
    does("begin to bind", fresh.start_bind(&network, loopback(0)));
    does(
        "begin to bind again",
        fresh.start_bind(&network, loopback(0)),
    );
    does(
        "connect while binding",
        fresh.start_connect(&network, loopback(9)),
    );
    does("finish to bind", fresh.finish_bind());
    does(
        "bind what is bound",
        fresh.start_bind(&network, loopback(0)),
    );
    show(
        "host it is bound to",
        fresh.local_address().map(|address| host(&address)),
    );
    show(
        "has a port",
        fresh.local_address().map(|address| port(&address) != 0),
    );
    does("listen", listen(&fresh));
    println!("listens: {}", fresh.is_listening());
    does("listen again", fresh.start_listen());
    does(
        "connect a listener",
        fresh.start_connect(&network, loopback(9)),
    );
    does("accept when nobody came", fresh.accept());
    show("remote address of a listener", fresh.remote_address());
    does(
        "shut down a listener",
        fresh.shutdown(ShutdownType::Receive),
    );
    let address = fresh.local_address().expect("it is bound");
    let second = socket(IpAddressFamily::Ipv4);
    does("bind the address of another socket", bind(&second, address));
    let unfit = socket(IpAddressFamily::Ipv4);
    does(
        "connect to port 0",
        unfit.start_connect(&network, loopback(0)),
    );
    let unfit = socket(IpAddressFamily::Ipv4);
    does(
        "connect to any address",
        unfit.start_connect(
            &network,
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port: 9,
                address: (0, 0, 0, 0),
            }),
        ),
    );
    let unfit = socket(IpAddressFamily::Ipv4);
    does(
        "connect to another family",
        unfit.start_connect(&network, loopback6(9)),
    );
}

fn told<T: std::fmt::Debug>(what: &str, answer: Result<T, StreamError>) {
    match answer {
        Ok(value) => println!("{what}: {value:?}"),
        Err(StreamError::Closed) => println!("{what}: closed"),
        Err(StreamError::LastOperationFailed(_)) => println!("{what}: failed"),
    }
}

fn conversation(family: IpAddressFamily, at: fn(u16) -> IpSocketAddress) {
    println!("conversation over {family:?}");
    let server = socket(family);
    does("bind", bind(&server, at(0)));
    does("set the backlog", server.set_listen_backlog_size(8));
    does("set no backlog", server.set_listen_backlog_size(0));
    does("listen", listen(&server));
    let address = server.local_address().expect("it is bound");
    let client = socket(family);
    let Some((client_in, client_out)) = does("connect", connect(&client, address)) else {
        return;
    };
    let accepted = wait(&server.subscribe(), || server.accept());
    let Some((peer, peer_in, peer_out)) = does("accept", accepted) else {
        return;
    };
    println!(
        "each end knows the other: {} {}",
        client.local_address().map(|it| port(&it)).ok()
            == peer.remote_address().map(|it| port(&it)).ok(),
        client.remote_address().map(|it| port(&it)).ok()
            == peer.local_address().map(|it| port(&it)).ok(),
    );
    println!(
        "family: {:?}, listens: {}",
        peer.address_family(),
        peer.is_listening()
    );
    does(
        "connect again",
        client.start_connect(&instance_network(), address),
    );
    does("listen when connected", client.start_listen());
    told("read when nothing came", peer_in.read(10));
    told("write", client_out.blocking_write_and_flush(b"ping"));
    told("read", peer_in.blocking_read(10));
    told("write", peer_out.blocking_write_and_flush(b"pong"));
    told("read", client_in.blocking_read(2));
    told("read", client_in.blocking_read(10));
    large(&client_out, &peer_in);
    does("shut down the way out", client.shutdown(ShutdownType::Send));
    told(
        "write after that",
        client_out.blocking_write_and_flush(b"x"),
    );
    told("read to the end", peer_in.blocking_read(10));
    told("read at the end", peer_in.blocking_read(10));
    told(
        "write the other way",
        peer_out.blocking_write_and_flush(b"still"),
    );
    told("read", client_in.blocking_read(10));
    drop((peer_in, peer_out));
    drop(peer);
    told("read when the peer is gone", client_in.blocking_read(10));
}

/// Half a megabyte, more than the buffers of both ends hold, read while it is written.
fn large(out: &OutputStream, input: &InputStream) {
    const ALL: usize = 500_000;
    let (mut sent, mut received, mut sum) = (0_usize, 0_usize, 0_u64);
    while received < ALL {
        if sent < ALL {
            let room = out.check_write().expect("it is open");
            let part = usize::try_from(room)
                .expect("small")
                .min(ALL - sent)
                .min(10_000);
            let bytes: Vec<u8> = (sent..sent + part).map(|at| (at % 251) as u8).collect();
            out.write(&bytes).expect("it was permitted");
            sent += part;
        }
        let bytes = input.read(65_536).expect("it is open");
        if bytes.is_empty() && sent == ALL {
            input.subscribe().block();
        }
        for byte in &bytes {
            sum += u64::from(*byte);
        }
        received += bytes.len();
    }
    println!("{received} bytes came, sum {sum}");
}

fn refused() {
    // A port on which nobody listens: it was bound a moment ago.
    let port = {
        let socket = socket(IpAddressFamily::Ipv4);
        bind(&socket, loopback(0)).expect("any port is free");
        port(&socket.local_address().expect("it is bound"))
    };
    let socket = socket(IpAddressFamily::Ipv4);
    does("connect to nobody", connect(&socket, loopback(port)));
    does(
        "connect with it again",
        socket.start_connect(&instance_network(), loopback(port)),
    );
    show("remote address after that", socket.remote_address());
}
