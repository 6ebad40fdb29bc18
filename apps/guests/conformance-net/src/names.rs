//! Name look-up, as far as it needs no server.

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{ErrorCode, IpAddress};

/// The addresses of a name, sorted, each once: their order is the resolver's.
fn look_up(name: &str) -> Result<Vec<String>, ErrorCode> {
    let stream = resolve_addresses(&instance_network(), name)?;
    let mut addresses = Vec::new();
    while let Some(address) = crate::wait(&stream.subscribe(), || stream.resolve_next_address())? {
        addresses.push(match address {
            IpAddress::Ipv4(address) => format!("{address:?}"),
            IpAddress::Ipv6(address) => format!("{address:?}"),
        });
    }
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

pub(crate) fn run() {
    println!("-- names");
    crate::show("look up 127.0.0.1", look_up("127.0.0.1"));
    crate::show("look up ::1", look_up("::1"));
    crate::show("look up [::1]", look_up("[::1]"));
    crate::show(
        "look up localhost, 127.0.0.1 is there",
        look_up("localhost").map(|found| found.contains(&"(127, 0, 0, 1)".to_owned())),
    );
    crate::show("look up nothing", look_up(""));
    crate::show("look up a name with a space", look_up("a b"));
    crate::show("look up an address with a port", look_up("127.0.0.1:80"));
    crate::show("look up a name with a zero byte", look_up("a\0b"));
}
