//! Prints, line by line, what `wasi:sockets` answers on the loopback interface: states, values, and the exact code of every
//! error. The transcript that every engine must print is `expected.txt`. It runs with the network capability and port 47123.

mod names;
mod options;
mod tcp;
mod udp;

use std::fmt::Debug;

use wasip2::sockets::network::{ErrorCode, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};

fn main() {
    tcp::run();
    options::run();
    udp::run();
    names::run();
    println!("done");
}

/// `127.0.0.1` and a port.
fn loopback(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port,
        address: (127, 0, 0, 1),
    })
}

/// `::1` and a port.
fn loopback6(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv6(Ipv6SocketAddress {
        port,
        flow_info: 0,
        address: (0, 0, 0, 0, 0, 0, 0, 1),
        scope_id: 0,
    })
}

/// The port of an address, which differs from run to run.
fn port(address: &IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

/// An address without its port.
fn host(address: &IpSocketAddress) -> String {
    match address {
        IpSocketAddress::Ipv4(address) => format!("{:?}", address.address),
        IpSocketAddress::Ipv6(address) => format!("{:?}", address.address),
    }
}

/// Prints `what: value` or `what: error`.
fn show<T: Debug>(what: &str, answer: Result<T, ErrorCode>) {
    match answer {
        Ok(value) => println!("{what}: {value:?}"),
        Err(code) => println!("{what}: error {}", code.name()),
    }
}

/// Prints whether it went well.
fn does<T>(what: &str, answer: Result<T, ErrorCode>) -> Option<T> {
    match answer {
        Ok(value) => {
            println!("{what}: ok");
            Some(value)
        }
        Err(code) => {
            println!("{what}: error {}", code.name());
            None
        }
    }
}

/// Calls until the answer is another than `would-block`, waiting in between.
fn wait<T>(
    pollable: &wasip2::io::poll::Pollable,
    mut call: impl FnMut() -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    loop {
        match call() {
            Err(ErrorCode::WouldBlock) => pollable.block(),
            answer => return answer,
        }
    }
}
