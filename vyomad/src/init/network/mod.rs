//! The network of a device: loopback, and one ethernet interface with a static address or one from DHCP.
//!
//! It only does what a device with one cable needs: no routing, no wireless, no IPv6 beyond what the kernel does by
//! itself. The daemon runs [`run`] as a task of its main loop; nothing in it blocks, and no packet can make it fail or
//! take more than a small share of the loop's time.

mod dhcp;
mod link;
mod message;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout_at};

use super::Note;
use super::cmdline::IpConfig;
use dhcp::{Action, Client, Event};
use link::Link;
use message::{Identity, Lease};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// How often to look whether an interface has come, or the cable: a person at the device should not wonder.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks without an interface it is said, once, and looked for more seldom (a USB adapter may come).
const LOOKS: u32 = 5;
const SELDOM: Duration = Duration::from_secs(10);
/// Rest after each datagram: at most 100 a second are looked at, the kernel drops the rest of a flood.
const REST: Duration = Duration::from_millis(10);
/// Before a socket that failed is made anew.
const RETRY: Duration = Duration::from_secs(5);
/// Silence from all servers after which it is said, once.
const PATIENCE: Duration = Duration::from_secs(15);

/// Switches loopback on; the kernel gives it its address.
pub(super) fn loopback() -> Note {
    let lo = Link::loopback();
    match lo.up().and_then(|()| lo.address()) {
        Ok((addr, prefix)) => Note::new("network", format!("lo {addr}/{prefix}")),
        Err(error) => Note::warning(format!("loopback can't be switched on: {error}")),
    }
}

/// Configures the network and keeps it so; returns only when there is nothing to keep. `report` gets what the kernel
/// says of it after each change.
pub(crate) async fn run(ip: IpConfig, mut report: impl FnMut(Note)) {
    if ip == IpConfig::Off {
        return report(Note::new("network", "off: loopback only (vyoma.ip=off)"));
    }
    let link = wait_for_interface(ip, &mut report).await;
    if let Err(error) = link.up() {
        return report(Note::warning(format!(
            "{} can't be switched on: {error}",
            link.name
        )));
    }
    match ip {
        IpConfig::Static {
            addr,
            prefix,
            gateway,
            dns,
        } => {
            let dns = dns.map_or_else(Vec::new, |dns| vec![dns]);
            report(configure(&link, addr, prefix, gateway, &dns, "static"));
        }
        IpConfig::Auto | IpConfig::Dhcp | IpConfig::Off => loop {
            let error = lease_for_ever(&link, &mut report).await;
            report(Note::warning(format!(
                "DHCP on {}: {error}; trying again",
                link.name
            )));
            sleep(RETRY).await;
        },
    }
}

async fn wait_for_interface(ip: IpConfig, report: &mut impl FnMut(Note)) -> Link {
    let mut looks = 0;
    loop {
        if let Some(link) = Link::first_ethernet() {
            return link;
        }
        looks += 1;
        if looks == LOOKS {
            let found = "no ethernet interface; one that comes later will be used";
            report(if ip == IpConfig::Auto {
                Note::new("network", found)
            } else {
                Note::warning(found)
            });
        }
        sleep(if looks < LOOKS { LOOK } else { SELDOM }).await;
    }
}

/// Gets and keeps a lease; ends only with a failure of the socket.
async fn lease_for_ever(link: &Link, report: &mut impl FnMut(Note)) -> io::Error {
    match try_lease(link, report).await {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn try_lease(
    link: &Link,
    report: &mut impl FnMut(Note),
) -> io::Result<std::convert::Infallible> {
    let mac = link
        .mac()
        .ok_or_else(|| io::Error::other("the interface has no hardware address"))?;
    let hostname = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_default();
    let mut client = Client::new(Identity { mac, hostname }, seed(mac));
    let socket = open(link).await?;
    let start = Instant::now();
    let mut buffer = [0; message::MAX_MESSAGE];
    let (mut had_link, mut said) = (false, false);
    loop {
        let mut actions = Vec::new();
        let has_link = link.has_carrier();
        if has_link != had_link {
            had_link = has_link;
            actions.append(&mut client.handle(
                start.elapsed(),
                if has_link {
                    Event::LinkUp
                } else {
                    Event::LinkDown
                },
            ));
        }
        actions.append(&mut client.handle(start.elapsed(), Event::Tick));
        // A cable is looked for as long as there is an address to lose or to get.
        let look = Instant::now() + LOOK;
        let due = client
            .wake_at()
            .and_then(|wake| start.checked_add(wake))
            .map_or(look, |wake| wake.min(look));
        act(link, &socket, actions, &mut said, report).await;
        let received = timeout_at(due, socket.recv_from(&mut buffer)).await;
        if let Ok(received) = received {
            match received {
                Ok((length, from)) if from.port() == SERVER_PORT => {
                    let actions =
                        client.handle(start.elapsed(), Event::Datagram(&buffer[..length]));
                    act(link, &socket, actions, &mut said, report).await;
                }
                Ok(_) => {}
                // An ICMP error about an earlier packet, or the interface going down: neither ends the client.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ECONNREFUSED | libc::ENETDOWN | libc::EHOSTUNREACH)
                    ) => {}
                Err(error) => return Err(error),
            }
            sleep(REST).await;
        }
        if !said && start.elapsed() > PATIENCE {
            said = true;
            let why = if had_link {
                "no DHCP server answers"
            } else {
                "no cable"
            };
            report(Note::warning(format!("{}: {why}; still trying", link.name)));
        }
    }
}

/// A socket that only this interface reaches.
async fn open(link: &Link) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).await?;
    socket.bind_device(Some(link.name.as_bytes()))?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

/// `said`: whether the state of things is known to the log already.
async fn act(
    link: &Link,
    socket: &UdpSocket,
    actions: Vec<Action>,
    said: &mut bool,
    report: &mut impl FnMut(Note),
) {
    for action in actions {
        match action {
            Action::Send { to, bytes } => {
                // A packet that can't be sent is a packet lost: time brings the next.
                let _ = socket
                    .send_to(&bytes, SocketAddr::from((to, SERVER_PORT)))
                    .await;
            }
            Action::Configure(Lease {
                addr,
                prefix,
                gateway,
                dns,
                times,
                ..
            }) => {
                let renewed = link.address().is_ok_and(|now| now == (addr, prefix));
                let note = configure(link, addr, prefix, gateway, &dns, "dhcp");
                *said = true;
                // A renewal every half minute is no news.
                if !renewed || note.kind == "warning" {
                    let lease = times.map_or_else(
                        || "for ever".to_owned(),
                        |times| format!("for {} s", times.expire.as_secs()),
                    );
                    report(Note {
                        detail: format!("{}, {lease}", note.detail),
                        ..note
                    });
                }
            }
            Action::Deconfigure(why) => {
                *said = true;
                let _ = link.clear_address();
                report(Note::warning(format!(
                    "{} has no address any more: {why}",
                    link.name
                )));
            }
        }
    }
}

/// Sets address, default route and name servers, and tells what the kernel made of it.
fn configure(
    link: &Link,
    addr: Ipv4Addr,
    prefix: u8,
    gateway: Option<Ipv4Addr>,
    dns: &[Ipv4Addr],
    by: &str,
) -> Note {
    let name = &link.name;
    if let Err(error) = link.set_address(addr, prefix) {
        return Note::warning(format!(
            "{name} can't have the address {addr}/{prefix}: {error}"
        ));
    }
    if let Some(gateway) = gateway
        && let Err(error) = link.set_default_route(gateway)
    {
        return Note::warning(format!(
            "{name} {addr}/{prefix}: no default route over {gateway}: {error}"
        ));
    }
    if let Err(error) = set_name_servers(Path::new("/etc/resolv.conf"), dns) {
        return Note::warning(format!(
            "{name} {addr}/{prefix}: can't write /etc/resolv.conf: {error}"
        ));
    }
    match link.address() {
        Ok((addr, prefix)) => {
            let route = default_route(
                &fs::read_to_string("/proc/net/route").unwrap_or_default(),
                name,
            );
            let route = route.map_or_else(
                || "no router".to_owned(),
                |gateway| format!("router {gateway}"),
            );
            let dns: Vec<_> = dns.iter().map(Ipv4Addr::to_string).collect();
            let dns = if dns.is_empty() {
                "no name server".to_owned()
            } else {
                format!("name servers {}", dns.join(" "))
            };
            Note::new(
                "network",
                format!("{name} {addr}/{prefix} by {by}, {route}, {dns}"),
            )
        }
        Err(error) => Note::warning(format!("{name} can't tell its address: {error}")),
    }
}

/// Makes the file of the name servers if the image has none: an app that starts before the first lease needs one to
/// be allowed to read (see `sandbox/landlock.rs`).
pub(super) fn name_server_file(path: &Path) -> Option<Note> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    let made = made.and_then(|()| fs::OpenOptions::new().append(true).create(true).open(path));
    made.err().map(|error| {
        Note::warning(format!(
            "can't make {}: {error}; apps can look up no names",
            path.display()
        ))
    })
}

/// Without a name server the file of the image stays. Written in place, never replaced: the sandboxes of running apps
/// let them read this very file, and not another one of its name.
fn set_name_servers(path: &Path, dns: &[Ipv4Addr]) -> io::Result<()> {
    if dns.is_empty() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut lines = String::new();
    for dns in dns {
        lines.push_str("nameserver ");
        lines.push_str(&dns.to_string());
        lines.push('\n');
    }
    fs::write(path, lines)
}

/// The gateway of the default route over `name` in the text of /proc/net/route (numbers in the machine's byte order).
fn default_route(table: &str, name: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ours = words.next()? == name && words.next()? == "00000000";
        let gateway = u32::from_str_radix(words.next()?, 16).ok()?;
        ours.then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

/// Differs between devices (hardware address) and between boots (time), and need not be secret.
fn seed(mac: [u8; 6]) -> u64 {
    let mut number = [0; 8];
    number[..6].copy_from_slice(&mac);
    let time = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_nanos() as u64);
    u64::from_le_bytes(number) ^ time.rotate_left(17) ^ 0x9E37_79B9_7F4A_7C15
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_kernels_route_table_is_read() {
        let gateway = u32::from_ne_bytes([10, 0, 2, 2]);
        let table = format!(
            "Iface\tDestination\tGateway\n eth1\t00000000\t00000000\neth0\t00000002\t00000000\neth0\t00000000\t{gateway:08X}\t0003\n"
        );
        assert_eq!(
            default_route(&table, "eth0"),
            Some(Ipv4Addr::new(10, 0, 2, 2))
        );
        assert_eq!(default_route(&table, "eth2"), None);
        assert_eq!(default_route("", "eth0"), None);
    }

    #[test]
    fn name_servers_are_written_into_the_file_and_none_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etc/resolv.conf");
        set_name_servers(&path, &[]).unwrap();
        assert!(!path.exists());
        assert!(name_server_file(&path).is_none());
        let inode = fs::metadata(&path).unwrap().ino();
        set_name_servers(
            &path,
            &[Ipv4Addr::new(10, 0, 2, 3), Ipv4Addr::new(1, 1, 1, 1)],
        )
        .unwrap();
        // An app that runs may read this file, and no new one of its name.
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "nameserver 10.0.2.3\nnameserver 1.1.1.1\n"
        );
    }
}
