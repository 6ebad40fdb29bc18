//! Tries each kind of network call and prints one line for each: `what: ok` or `what: KindOfError`.
//!
//! Arguments: an address to connect and send to (default 127.0.0.1:9), a port to bind (default 8080), a name to look
//! up (default localhost).

use std::fmt::Display;
use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn main() {
    let argument = |index, default: &str| std::env::args().nth(index).unwrap_or(default.to_owned());
    let peer = argument(1, "127.0.0.1:9");
    let port = argument(2, "8080");
    let name = argument(3, "localhost");

    report(
        format_args!("tcp connect {peer}"),
        TcpStream::connect(&peer),
    );
    report("tcp bind 0.0.0.0:0", TcpListener::bind("0.0.0.0:0"));
    let bind = format!("0.0.0.0:{port}");
    report(format_args!("tcp bind {bind}"), TcpListener::bind(&bind));
    report("tcp bind [::]:0", TcpListener::bind("[::]:0"));
    report("udp bind 0.0.0.0:0", UdpSocket::bind("0.0.0.0:0"));
    report(
        format_args!("udp send {peer}"),
        UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"probe", &peer)),
    );
    report(
        format_args!("look up {name}"),
        (name.as_str(), 80).to_socket_addrs(),
    );
    println!("done");
}

fn report<T>(what: impl Display, result: io::Result<T>) {
    match result {
        Ok(_) => println!("{what}: ok"),
        Err(error) => println!("{what}: {:?}", error.kind()),
    }
}
