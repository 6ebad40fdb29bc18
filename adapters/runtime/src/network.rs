//! What the `network` grant lets an app bind to: one rule for every engine. Called by the adapters' host functions.

use std::net::SocketAddr;

use vyoma_capabilities::resolve::Network;

/// The lowest port that an app may bind which names none in its manifest: those below are privileged on Linux.
const FIRST_FREE_PORT: u16 = 1024;

/// Whether an app may bind a TCP or UDP socket to `address`: with a port in its manifest, to that one; without, to any that
/// is not privileged. Port 0, the kernel's choice, is always free. Nothing else about an address is restricted: a listener
/// is bound before it listens, and every peer may be reached.
pub fn may_bind(network: Network, address: SocketAddr) -> bool {
    match (address.port(), network.port) {
        (0, _) => true,
        (port, Some(own)) => port == own,
        (port, None) => port >= FIRST_FREE_PORT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(port: Option<u16>, address: &str) -> bool {
        may_bind(Network { port }, address.parse().unwrap())
    }

    #[test]
    fn an_app_with_a_port_binds_that_one_or_any_free_one() {
        assert!(may(Some(80), "0.0.0.0:80"));
        assert!(may(Some(80), "[::]:0"));
        assert!(!may(Some(80), "0.0.0.0:81"));
        assert!(!may(Some(80), "127.0.0.1:8080"));
    }

    #[test]
    fn an_app_without_a_port_binds_unprivileged_ones() {
        assert!(may(None, "0.0.0.0:0"));
        assert!(may(None, "0.0.0.0:1024"));
        assert!(!may(None, "0.0.0.0:1023"));
        assert!(!may(None, "[::1]:53"));
    }
}
