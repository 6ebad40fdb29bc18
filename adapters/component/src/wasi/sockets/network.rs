//! `wasi:sockets/network` and `instance-network`: types of addresses and errors, and which addresses are valid where.

use core::fmt;
use core::marker::PhantomData;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::Sockets;
use crate::handles::Own;
use crate::host::{Context, Interface};
use crate::trap::Trap;
use crate::{enumeration, function, record, resource, variant};

enumeration! {
    /// Why a call failed (`error-code`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[allow(missing_docs, reason = "WIT documents them")]
    pub enum ErrorCode {
        Unknown,
        AccessDenied,
        NotSupported,
        InvalidArgument,
        OutOfMemory,
        Timeout,
        ConcurrencyConflict,
        NotInProgress,
        WouldBlock,
        InvalidState,
        NewSocketLimit,
        AddressNotBindable,
        AddressInUse,
        RemoteUnreachable,
        ConnectionRefused,
        ConnectionReset,
        ConnectionAborted,
        DatagramTooLarge,
        NameUnresolvable,
        TemporaryResolverFailure,
        PermanentResolverFailure,
    }
}

/// As WIT writes it.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::AccessDenied => "access-denied",
            Self::NotSupported => "not-supported",
            Self::InvalidArgument => "invalid-argument",
            Self::OutOfMemory => "out-of-memory",
            Self::Timeout => "timeout",
            Self::ConcurrencyConflict => "concurrency-conflict",
            Self::NotInProgress => "not-in-progress",
            Self::WouldBlock => "would-block",
            Self::InvalidState => "invalid-state",
            Self::NewSocketLimit => "new-socket-limit",
            Self::AddressNotBindable => "address-not-bindable",
            Self::AddressInUse => "address-in-use",
            Self::RemoteUnreachable => "remote-unreachable",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectionReset => "connection-reset",
            Self::ConnectionAborted => "connection-aborted",
            Self::DatagramTooLarge => "datagram-too-large",
            Self::NameUnresolvable => "name-unresolvable",
            Self::TemporaryResolverFailure => "temporary-resolver-failure",
            Self::PermanentResolverFailure => "permanent-resolver-failure",
        })
    }
}

impl core::error::Error for ErrorCode {}

enumeration! {
    /// IPv4 or IPv6.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[allow(missing_docs, reason = "they say it")]
    pub enum IpAddressFamily {
        Ipv4,
        Ipv6,
    }
}

type Ipv4Octets = (u8, u8, u8, u8);
type Ipv6Segments = (u16, u16, u16, u16, u16, u16, u16, u16);

/// `ip-address`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they say it")]
pub enum IpAddress {
    Ipv4(Ipv4Octets),
    Ipv6(Ipv6Segments),
}

variant!(IpAddress {
    0 Ipv4(Ipv4Octets),
    1 Ipv6(Ipv6Segments),
});

/// `ipv4-socket-address`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4SocketAddress {
    /// Port.
    pub port: u16,
    /// Most significant octet first.
    pub address: Ipv4Octets,
}

record!(Ipv4SocketAddress {
    port: u16,
    address: Ipv4Octets,
});

/// `ipv6-socket-address`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6SocketAddress {
    /// Port.
    pub port: u16,
    /// Flow label.
    pub flow_info: u32,
    /// Most significant segment first.
    pub address: Ipv6Segments,
    /// Zone of a link-local address.
    pub scope_id: u32,
}

record!(Ipv6SocketAddress {
    port: u16,
    flow_info: u32,
    address: Ipv6Segments,
    scope_id: u32,
});

/// `ip-socket-address`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they say it")]
pub enum IpSocketAddress {
    Ipv4(Ipv4SocketAddress),
    Ipv6(Ipv6SocketAddress),
}

variant!(IpSocketAddress {
    0 Ipv4(Ipv4SocketAddress),
    1 Ipv6(Ipv6SocketAddress),
});

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address.octets().into()),
            IpAddr::V6(address) => Self::Ipv6(address.segments().into()),
        }
    }
}

impl From<IpSocketAddress> for SocketAddr {
    fn from(address: IpSocketAddress) -> Self {
        match address {
            IpSocketAddress::Ipv4(v4) => {
                SocketAddrV4::new(<[u8; 4]>::from(v4.address).into(), v4.port).into()
            }
            IpSocketAddress::Ipv6(v6) => SocketAddrV6::new(
                <[u16; 8]>::from(v6.address).into(),
                v6.port,
                v6.flow_info,
                v6.scope_id,
            )
            .into(),
        }
    }
}

impl From<SocketAddr> for IpSocketAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::Ipv4(Ipv4SocketAddress {
                port: v4.port(),
                address: v4.ip().octets().into(),
            }),
            SocketAddr::V6(v6) => Self::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: v6.ip().segments().into(),
                scope_id: v6.scope_id(),
            }),
        }
    }
}

impl IpAddressFamily {
    /// The address that a socket has before it is bound, which is also what stands for an implicit bind.
    pub(super) fn unspecified(self) -> SocketAddr {
        let address = match self {
            Self::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(address, 0)
    }

    /// Whether sockets of this family take the address. Never IPv4 in IPv6's clothes: mapped ones would be dual-stack,
    /// and compatible ones were deprecated in 2006.
    pub(super) fn takes(self, address: SocketAddr) -> bool {
        match (self, address.ip()) {
            (Self::Ipv4, IpAddr::V4(_)) => true,
            (Self::Ipv6, IpAddr::V6(address)) => {
                let compatible = matches!(address.segments(), [0, 0, 0, 0, 0, 0, _, _])
                    && !address.is_unspecified()
                    && !address.is_loopback();
                !compatible && address.to_ipv4_mapped().is_none()
            }
            _ => false,
        }
    }
}

/// Whether a peer can have the address.
pub(super) fn is_remote(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_unspecified() && address.port() != 0
}

/// Whether it is the address of one host. (The unspecified one passes.)
pub(super) fn is_unicast(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_multicast(),
    }
}

/// The resource `network`: a token without content. What may be done is decided by the grants.
#[derive(Debug)]
pub struct Network;

/// The interfaces over services `S`.
pub struct NetworkInterfaces<S>(PhantomData<S>);

impl<S: Sockets> NetworkInterfaces<S> {
    /// `wasi:sockets/network`
    pub const NETWORK: &'static Interface<S> = &Interface {
        name: "wasi:sockets/network",
        functions: &[],
        resources: &[resource!("network", Network)],
    };

    /// `wasi:sockets/instance-network`
    pub const INSTANCE_NETWORK: &'static Interface<S> = &Interface {
        name: "wasi:sockets/instance-network",
        functions: &[function!("instance-network", instance_network::<S>)],
        resources: &[],
    };
}

fn instance_network<S: Sockets>(cx: &mut Context<'_, S>, (): ()) -> Result<Own<Network>, Trap> {
    cx.handles.push(Network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(family: IpAddressFamily, address: &str) -> bool {
        family.takes(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn a_socket_takes_addresses_of_its_own_family_only() {
        assert!(takes(IpAddressFamily::Ipv4, "127.0.0.1"));
        assert!(!takes(IpAddressFamily::Ipv4, "::1"));
        assert!(takes(IpAddressFamily::Ipv6, "::1"));
        assert!(takes(IpAddressFamily::Ipv6, "::"));
        assert!(takes(IpAddressFamily::Ipv6, "fe80::1"));
        assert!(!takes(IpAddressFamily::Ipv6, "127.0.0.1"));
        assert!(!takes(IpAddressFamily::Ipv6, "::ffff:127.0.0.1"));
        assert!(!takes(IpAddressFamily::Ipv6, "::127.0.0.1"));
    }

    #[test]
    fn a_remote_address_is_specified_and_has_a_port() {
        let remote = |address: &str| is_remote(address.parse().unwrap());
        assert!(remote("10.0.0.1:80"));
        assert!(!remote("10.0.0.1:0"));
        assert!(!remote("0.0.0.0:80"));
        assert!(!remote("[::]:80"));
        assert!(!remote("[::ffff:0.0.0.0]:80"));
    }

    #[test]
    fn multicast_and_broadcast_are_no_unicast() {
        let unicast = |address: &str| is_unicast(address.parse().unwrap());
        assert!(unicast("10.0.0.1:1") && unicast("0.0.0.0:1") && unicast("[::1]:1"));
        assert!(!unicast("224.0.0.1:1"));
        assert!(!unicast("255.255.255.255:1"));
        assert!(!unicast("[ff02::1]:1"));
        assert!(!unicast("[::ffff:224.0.0.1]:1"));
    }

    #[test]
    fn addresses_survive_the_way_to_the_guest_and_back() {
        for text in ["1.2.3.4:5", "[1:2:3:4:5:6:7:8]:9", "[fe80::1%3]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(IpSocketAddress::from(address)), address);
        }
    }
}
