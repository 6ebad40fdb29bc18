//! DHCP messages as this client needs them: what it sends, and what it believes of what it receives.
//!
//! The wire format is smoltcp's: it is made for hostile packets (bounds-checked, no allocation, fuzzed upstream) and
//! brings eight small crates; dhcproto would bring seventy, a DNS and a Unicode library among them, into PID 1. On top of it stands the
//! judgement: [`read`] gives a reply only when every value in it can be used. Pure. RFC 2131, RFC 2132.

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress};

/// Most bytes of a message that are read: what an Ethernet frame carries.
pub(super) const MAX_MESSAGE: usize = 1500;
/// What is asked for: mask, router, name servers, lease time, T1, T2.
const WANTED: [u8; 6] = [1, 3, 6, 51, 58, 59];
const OPTION_MASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_HOSTNAME: u8 = 12;
/// Name servers that are kept: resolv.conf takes three.
const MAX_DNS: usize = 3;
/// The shortest lease: a server that says "one second" would have us send at that rate.
pub(super) const MIN_LEASE: Duration = Duration::from_mins(1);
/// RFC 2131: all ones is for ever.
const FOREVER: u32 = u32::MAX;

/// What a server lets us have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Our address.
    pub(crate) addr: Ipv4Addr,
    /// Length of the network's prefix.
    pub(crate) prefix: u8,
    /// Router, when there is one in our network.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Name servers, at most three.
    pub(crate) dns: Vec<Ipv4Addr>,
    /// Who gave it.
    pub(crate) server: Ipv4Addr,
    /// Renew (T1), rebind (T2) and give up after these times; absent: for ever.
    pub(crate) times: Option<Times>,
}

/// The times of a lease, from when it was given: `renew < rebind < expire`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// T1: ask the server that gave it.
    pub(crate) renew: Duration,
    /// T2: ask anyone.
    pub(crate) rebind: Duration,
    /// It is not ours any more.
    pub(crate) expire: Duration,
}

/// A reply that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A server would give this.
    Offer(Lease),
    /// It is ours.
    Ack(Lease),
    /// This server refuses.
    Nak {
        /// Which server, if it says so.
        server: Option<Ipv4Addr>,
    },
}

/// Who we are in one exchange.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Hardware address of the interface.
    pub(super) mac: [u8; 6],
    /// Told to the server, which may show it to people; may be empty.
    pub(super) hostname: String,
}

/// What to ask.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    /// Who can give an address?
    Discover,
    /// I take what you offered.
    Request {
        /// The address.
        addr: Ipv4Addr,
        /// Whose offer it was.
        server: Ipv4Addr,
    },
    /// I have this address; may I keep it?
    Keep {
        /// The address.
        addr: Ipv4Addr,
    },
}

/// The bytes of a question.
pub(super) fn write(identity: &Identity, xid: u32, secs: u16, ask: Ask) -> Vec<u8> {
    let nobody = Ipv4Addr::UNSPECIFIED;
    let name = &identity.hostname.as_bytes()[..identity.hostname.len().min(64)];
    let named = [DhcpOption {
        kind: OPTION_HOSTNAME,
        data: name,
    }];
    let (message_type, client_ip, requested_ip, server_identifier) = match ask {
        Ask::Discover => (DhcpMessageType::Discover, nobody, None, None),
        Ask::Request { addr, server } => {
            (DhcpMessageType::Request, nobody, Some(addr), Some(server))
        }
        Ask::Keep { addr } => (DhcpMessageType::Request, addr, None, None),
    };
    let mac = EthernetAddress(identity.mac);
    let message = DhcpRepr {
        message_type,
        transaction_id: xid,
        secs,
        client_hardware_address: mac,
        client_ip,
        your_ip: nobody,
        server_ip: nobody,
        router: None,
        subnet_mask: None,
        relay_agent_ip: nobody,
        // Until we have an address the kernel would not hand us a unicast reply.
        broadcast: client_ip.is_unspecified(),
        requested_ip,
        client_identifier: Some(mac),
        server_identifier,
        parameter_request_list: Some(&WANTED),
        dns_servers: None,
        max_size: Some(MAX_MESSAGE as u16),
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: if name.is_empty() { &[] } else { &named },
    };
    let mut bytes = vec![0; message.buffer_len()];
    // It fails only when the buffer is shorter than buffer_len says; then nothing is sent and time tries again.
    if message
        .emit(&mut DhcpPacket::new_unchecked(bytes.as_mut_slice()))
        .is_err()
    {
        bytes.clear();
    }
    bytes
}

/// What a datagram tells us, if it is the reply to our exchange and makes sense.
pub(super) fn read(bytes: &[u8], mac: [u8; 6], xid: u32) -> Option<Reply> {
    let packet = DhcpPacket::new_checked(bytes).ok()?;
    let message = DhcpRepr::parse(&packet).ok()?;
    if message.transaction_id != xid || message.client_hardware_address.0 != mac {
        return None;
    }
    let lease = || {
        Some(judge(&Raw {
            addr: message.your_ip,
            // smoltcp reads only a router option with one address; servers may list several, in order of preference.
            router: first_address(&packet, OPTION_ROUTER),
            mask: first_address(&packet, OPTION_MASK),
            dns: message.dns_servers.iter().flatten().copied().collect(),
            server: message.server_identifier?,
            lease: message.lease_duration?,
            renew: message.renew_duration,
            rebind: message.rebind_duration,
        }))
        .flatten()
    };
    match message.message_type {
        DhcpMessageType::Offer => lease().map(Reply::Offer),
        DhcpMessageType::Ack => lease().map(Reply::Ack),
        DhcpMessageType::Nak => Some(Reply::Nak {
            server: message.server_identifier,
        }),
        _ => None,
    }
}

fn first_address(packet: &DhcpPacket<&[u8]>, kind: u8) -> Option<Ipv4Addr> {
    let option = packet.options().find(|option| option.kind == kind)?;
    let four: [u8; 4] = option.data.get(..4)?.try_into().ok()?;
    Some(four.into())
}

/// Values as they came.
#[derive(Debug, Clone)]
struct Raw {
    addr: Ipv4Addr,
    router: Option<Ipv4Addr>,
    mask: Option<Ipv4Addr>,
    dns: Vec<Ipv4Addr>,
    server: Ipv4Addr,
    lease: u32,
    renew: Option<u32>,
    rebind: Option<u32>,
}

/// A lease whose values fit together, or none. A router or name server that can't be one is left out; an address that
/// can't be one makes the whole lease worthless.
fn judge(raw: &Raw) -> Option<Lease> {
    let prefix = match raw.mask {
        Some(mask) => prefix_of(mask)?,
        // Before masks, the first bits told. RFC 2131 lets a server leave it out.
        None => match raw.addr.octets()[0] {
            0..=127 => 8,
            128..=191 => 16,
            _ => 24,
        },
    };
    if !is_host(raw.addr) || !is_host(raw.server) || is_edge(raw.addr, prefix) {
        return None;
    }
    let near = |other: &Ipv4Addr| {
        *other != raw.addr
            && network(*other, prefix) == network(raw.addr, prefix)
            && !is_edge(*other, prefix)
    };
    Some(Lease {
        addr: raw.addr,
        prefix,
        gateway: raw.router.filter(|router| is_host(*router)).filter(near),
        dns: raw
            .dns
            .iter()
            .copied()
            .filter(|dns| is_host(*dns))
            .take(MAX_DNS)
            .collect(),
        server: raw.server,
        times: (raw.lease != FOREVER).then(|| times(raw)),
    })
}

/// T1 and T2 as the server wants them, where they make sense; else half and seven eighths, as RFC 2131 says.
fn times(raw: &Raw) -> Times {
    let expire = Duration::from_secs(raw.lease.into()).max(MIN_LEASE);
    let wanted = |secs: Option<u32>| {
        secs.map(|secs| Duration::from_secs(secs.into()))
            .filter(|time| *time >= MIN_LEASE / 4)
    };
    let rebind = wanted(raw.rebind)
        .filter(|rebind| *rebind < expire)
        .unwrap_or(expire * 7 / 8);
    let renew = wanted(raw.renew)
        .filter(|renew| *renew < rebind)
        .unwrap_or(rebind * 4 / 7);
    Times {
        renew,
        rebind,
        expire,
    }
}

fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (ones > 0 && bits.count_ones() == ones).then_some(ones as u8)
}

fn network(addr: Ipv4Addr, prefix: u8) -> u32 {
    u32::from(addr) & (u32::MAX << (32 - u32::from(prefix.clamp(1, 32))))
}

/// The network's own or its broadcast address; a network of two or one has none.
fn is_edge(addr: Ipv4Addr, prefix: u8) -> bool {
    let host = u32::from(addr) ^ network(addr, prefix);
    prefix < 31 && (host == 0 || host == u32::MAX >> prefix)
}

fn is_host(addr: Ipv4Addr) -> bool {
    let first = addr.octets()[0];
    // 0/8 is "this network", 127/8 this machine, 224/3 multicast and reserved.
    first != 0 && first != 127 && first < 224
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    /// A server's message, as bytes: message type, then the options as they are.
    pub(crate) fn server_says(
        kind: u8,
        xid: u32,
        addr: [u8; 4],
        options: &[(u8, &[u8])],
    ) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&xid.to_be_bytes());
        bytes[16..20].copy_from_slice(&addr);
        bytes[28..34].copy_from_slice(&MAC);
        bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        bytes.extend([53, 1, kind]);
        for (kind, data) in options {
            bytes.extend([*kind, data.len() as u8]);
            bytes.extend(*data);
        }
        bytes.push(255);
        bytes
    }

    /// What QEMU's user network answers.
    pub(crate) const QEMU: [(u8, &[u8]); 5] = [
        (54, &[10, 0, 2, 2]),
        (1, &[255, 255, 255, 0]),
        (3, &[10, 0, 2, 2]),
        (6, &[10, 0, 2, 3]),
        (51, &[0, 1, 0x51, 0x80]),
    ];

    fn offered(options: &[(u8, &[u8])]) -> Option<Lease> {
        match read(&server_says(2, 7, [10, 0, 2, 15], options), MAC, 7)? {
            Reply::Offer(lease) => Some(lease),
            other => panic!("{other:?}"),
        }
    }

    fn with(kind: u8, data: &'static [u8]) -> Vec<(u8, &'static [u8])> {
        QEMU.into_iter()
            .filter(|(k, _)| *k != kind)
            .chain([(kind, data)])
            .collect()
    }

    #[test]
    fn an_offer_of_qemus_network_is_read() {
        let lease = offered(&QEMU).unwrap();
        assert_eq!(lease.addr, Ipv4Addr::new(10, 0, 2, 15));
        assert_eq!(
            (lease.prefix, lease.gateway),
            (24, Some(Ipv4Addr::new(10, 0, 2, 2)))
        );
        assert_eq!(lease.dns, [Ipv4Addr::new(10, 0, 2, 3)]);
        let times = lease.times.unwrap();
        assert_eq!(times.expire.as_secs(), 86_400);
        assert_eq!(
            (times.renew.as_secs(), times.rebind.as_secs()),
            (43_200, 75_600)
        );
    }

    #[test]
    fn the_first_of_several_routers_is_taken_and_three_name_servers() {
        assert_eq!(
            offered(&with(3, &[10, 0, 2, 1, 10, 0, 2, 2]))
                .unwrap()
                .gateway,
            Some(Ipv4Addr::new(10, 0, 2, 1))
        );
        let many = offered(&with(
            6,
            &[1, 1, 1, 1, 2, 2, 2, 2, 127, 0, 0, 1, 3, 3, 3, 3, 4, 4, 4, 4],
        ))
        .unwrap();
        assert!(many.dns.len() <= MAX_DNS && !many.dns.contains(&Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_reply_to_someone_else_or_of_another_exchange_is_not_ours() {
        let bytes = server_says(2, 7, [10, 0, 2, 15], &QEMU);
        assert_eq!(read(&bytes, MAC, 8), None);
        assert_eq!(read(&bytes, [1; 6], 7), None);
        assert!(read(&bytes, MAC, 7).is_some());
    }

    #[test]
    fn an_address_that_no_host_can_have_is_refused() {
        for addr in [
            [0, 0, 0, 0],
            [127, 0, 0, 1],
            [224, 0, 0, 1],
            [255; 4],
            [10, 0, 2, 0],
            [10, 0, 2, 255],
        ] {
            assert_eq!(
                read(&server_says(5, 7, addr, &QEMU), MAC, 7),
                None,
                "{addr:?}"
            );
        }
        assert_eq!(offered(&with(54, &[0, 0, 0, 0])), None);
        assert_eq!(offered(&with(1, &[255, 0, 255, 0])), None);
        assert_eq!(offered(&with(1, &[0, 0, 0, 0])), None);
    }

    #[test]
    fn an_offer_without_a_server_or_a_lease_time_is_refused() {
        for kind in [51, 54] {
            let without: Vec<_> = QEMU.into_iter().filter(|(k, _)| *k != kind).collect();
            assert_eq!(offered(&without), None);
        }
    }

    #[test]
    fn a_router_outside_our_network_is_left_out() {
        assert_eq!(offered(&with(3, &[192, 168, 1, 1])).unwrap().gateway, None);
        assert_eq!(offered(&with(3, &[10, 0, 2, 15])).unwrap().gateway, None);
        assert_eq!(offered(&with(3, &[10, 0])).unwrap().gateway, None);
    }

    #[test]
    fn times_that_make_no_sense_become_those_of_the_rfc() {
        let mut options = with(51, &[0, 0, 0, 0]);
        options.extend([(58, &[255, 255, 255, 255][..]), (59, &[0, 0, 0, 1])]);
        let times = offered(&options).unwrap().times.unwrap();
        assert_eq!(times.expire, MIN_LEASE);
        assert!(
            times.renew < times.rebind
                && times.rebind < times.expire
                && times.renew.as_secs() >= 15
        );
        assert_eq!(offered(&with(51, &[255; 4])).unwrap().times, None);
    }

    #[test]
    fn a_question_carries_who_asks_and_what() {
        let identity = Identity {
            mac: MAC,
            hostname: "pump-3".into(),
        };
        let (addr, server) = (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
        let bytes = write(&identity, 9, 3, Ask::Request { addr, server });
        let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
        let message = DhcpRepr::parse(&packet).unwrap();
        assert_eq!(message.message_type, DhcpMessageType::Request);
        assert_eq!(
            (message.requested_ip, message.server_identifier),
            (Some(addr), Some(server))
        );
        assert!(message.broadcast);
        assert!(
            packet
                .options()
                .any(|option| option.kind == 12 && option.data == b"pump-3")
        );
        let keep = write(&identity, 9, 3, Ask::Keep { addr });
        let packet = DhcpPacket::new_checked(&keep[..]).unwrap();
        assert_eq!((packet.client_ip(), packet.flags().bits()), (addr, 0));
        assert!(
            write(
                &Identity {
                    mac: MAC,
                    hostname: "x".repeat(64)
                },
                1,
                1,
                Ask::Discover
            )
            .len()
                <= 548
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_fail(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
            prop_assert_eq!(read(&bytes, MAC, 7), None);
        }

        #[test]
        fn options_of_any_shape_give_a_sane_lease_or_none(
            addr: [u8; 4], tail in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..400,
        ) {
            let mut bytes = server_says(2, 7, addr, &QEMU);
            bytes.pop();
            bytes.extend(tail);
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Some(Reply::Offer(lease)) = read(&bytes, MAC, 7) {
                prop_assert!(is_host(lease.addr) && is_host(lease.server));
                prop_assert!((1..=32).contains(&lease.prefix) && lease.dns.len() <= MAX_DNS);
                if let Some(times) = lease.times {
                    prop_assert!(times.renew < times.rebind && times.rebind < times.expire);
                }
            }
        }
    }
}
