//! UDP: binding, streams with and without a peer, datagrams.

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasip2::sockets::udp::{
    IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasip2::sockets::udp_create_socket::create_udp_socket;

use crate::{does, host, loopback, loopback6, port, show, wait};

fn socket() -> UdpSocket {
    create_udp_socket(IpAddressFamily::Ipv4).expect("there is network")
}

fn bind(socket: &UdpSocket, address: IpSocketAddress) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), address)?;
    wait(&socket.subscribe(), || socket.finish_bind())
}

fn send(
    stream: &OutgoingDatagramStream,
    data: &[u8],
    to: Option<IpSocketAddress>,
) -> Result<u64, ErrorCode> {
    while stream.check_send()? == 0 {
        stream.subscribe().block();
    }
    stream.send(&[OutgoingDatagram {
        data: data.to_vec(),
        remote_address: to,
    }])
}

/// Prints the next datagram.
fn receive(what: &str, stream: &IncomingDatagramStream) {
    stream.subscribe().block();
    show(
        what,
        stream.receive(1).map(|datagrams| {
            datagrams
                .iter()
                .map(|datagram| {
                    (
                        datagram.data.len(),
                        datagram.data.first().copied(),
                        host(&datagram.remote_address),
                    )
                })
                .collect::<Vec<_>>()
        }),
    );
}

pub(crate) fn run() {
    println!("-- udp");
    for number in [0, 47_124, 80] {
        does(
            &format!("bind port {number}"),
            bind(&socket(), loopback(number)),
        );
    }
    let one = socket();
    show("local address of a fresh socket", one.local_address());
    show("remote address of a fresh socket", one.remote_address());
    does("finish to bind what was not begun", one.finish_bind());
    does("streams of a fresh socket", one.stream(None));
    does("bind another family", bind(&one, loopback6(0)));
    does("bind", bind(&one, loopback(0)));
    does("bind again", bind(&one, loopback(0)));
    show(
        "has a port",
        one.local_address().map(|address| port(&address) != 0),
    );
    let two = socket();
    bind(&two, loopback(0)).expect("any port is free");
    let (address_one, address_two) = (
        one.local_address().expect("it is bound"),
        two.local_address().expect("it is bound"),
    );
    does("streams to port 0", one.stream(Some(loopback(0))));
    does("streams to another family", one.stream(Some(loopback6(9))));
    let Some((in_one, out_one)) = does("streams", one.stream(None)) else {
        return;
    };
    let Some((in_two, out_two)) = does("streams with a peer", two.stream(Some(address_one))) else {
        return;
    };
    show(
        "remote address of the peer's end",
        two.remote_address()
            .map(|address| port(&address) == port(&address_one)),
    );
    show(
        "receive when nothing came",
        in_one.receive(10).map(|datagrams| datagrams.len()),
    );
    show("send to nobody", send(&out_one, b"x", None));
    show("send to port 0", send(&out_one, b"x", Some(loopback(0))));
    show(
        "send to another family",
        send(&out_one, b"x", Some(loopback6(9))),
    );
    show("send", send(&out_one, b"first", Some(address_two)));
    receive("receive", &in_two);
    show("send to the peer", send(&out_two, b"second", None));
    receive("receive", &in_one);
    show(
        "send to the peer by name",
        send(&out_two, b"third", Some(address_one)),
    );
    receive("receive", &in_one);
    show(
        "send to another than the peer",
        send(&out_two, b"x", Some(loopback(9))),
    );
    show("send nothing", send(&out_two, b"", None));
    receive("receive", &in_one);
    show("send 60000 bytes", send(&out_two, &vec![7; 60_000], None));
    receive("receive", &in_one);
    show("send 65508 bytes", send(&out_two, &vec![7; 65_508], None));
    show("send none", out_two.send(&[]));
    show(
        "receive none",
        in_one.receive(0).map(|datagrams| datagrams.len()),
    );
    out_two.check_send().expect("it is open");
    let several: Vec<OutgoingDatagram> = (0..3)
        .map(|number| OutgoingDatagram {
            data: vec![number],
            remote_address: None,
        })
        .collect();
    show("send three", out_two.send(&several));
    for _ in 0..3 {
        receive("receive", &in_one);
    }
    drop((in_two, out_two));
    let third = socket();
    bind(&third, loopback(0)).expect("any port is free");
    let address_three = third.local_address().expect("it is bound");
    let Some((input, out)) = does("streams with another peer", two.stream(Some(address_three)))
    else {
        return;
    };
    show("send to the old peer", send(&out, b"x", Some(address_one)));
    drop((input, out));
    does("streams without a peer", two.stream(None));
    show("remote address without a peer", two.remote_address());
}
