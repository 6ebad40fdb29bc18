//! Options of sockets: what they are at first, what they can be set to.

use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::udp_create_socket::create_udp_socket;

use crate::tcp::socket;
use crate::{does, show};

pub(crate) fn run() {
    println!("-- options");
    let tcp = socket(IpAddressFamily::Ipv4);
    show("keep alive", tcp.keep_alive_enabled());
    does("set it", tcp.set_keep_alive_enabled(true));
    show("keep alive", tcp.keep_alive_enabled());
    does("set idle time", tcp.set_keep_alive_idle_time(5_500_000_000));
    show("idle time", tcp.keep_alive_idle_time());
    does("set idle time to 0", tcp.set_keep_alive_idle_time(0));
    does("set idle time to 1", tcp.set_keep_alive_idle_time(1));
    show("idle time", tcp.keep_alive_idle_time());
    does("set interval", tcp.set_keep_alive_interval(7_000_000_000));
    show("interval", tcp.keep_alive_interval());
    does("set interval to 0", tcp.set_keep_alive_interval(0));
    does(
        "set interval to all time",
        tcp.set_keep_alive_interval(u64::MAX),
    );
    show("interval", tcp.keep_alive_interval());
    does("set count", tcp.set_keep_alive_count(3));
    show("count", tcp.keep_alive_count());
    does("set count to 0", tcp.set_keep_alive_count(0));
    does("set count to all", tcp.set_keep_alive_count(u32::MAX));
    show("count", tcp.keep_alive_count());
    does("set hop limit", tcp.set_hop_limit(9));
    show("hop limit", tcp.hop_limit());
    does("set hop limit to 0", tcp.set_hop_limit(0));
    does("set receive buffer to 0", tcp.set_receive_buffer_size(0));
    does("set receive buffer", tcp.set_receive_buffer_size(20_000));
    show("receive buffer", tcp.receive_buffer_size());
    does("set send buffer to 0", tcp.set_send_buffer_size(0));
    does("set send buffer", tcp.set_send_buffer_size(30_000));
    show("send buffer", tcp.send_buffer_size());
    does("set backlog", tcp.set_listen_backlog_size(1));
    let udp = create_udp_socket(IpAddressFamily::Ipv6).expect("there is network");
    println!("family: {:?}", udp.address_family());
    does("set udp hop limit", udp.set_unicast_hop_limit(10));
    show("udp hop limit", udp.unicast_hop_limit());
    does("set udp hop limit to 0", udp.set_unicast_hop_limit(0));
    does(
        "set udp receive buffer to 0",
        udp.set_receive_buffer_size(0),
    );
    does(
        "set udp receive buffer",
        udp.set_receive_buffer_size(20_000),
    );
    show("udp receive buffer", udp.receive_buffer_size());
    does("set udp send buffer to 0", udp.set_send_buffer_size(0));
    does("set udp send buffer", udp.set_send_buffer_size(30_000));
    show("udp send buffer", udp.send_buffer_size());
}
