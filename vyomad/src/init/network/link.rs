//! One network interface and the default route, by the kernel's ioctls (netdevice(7)).
//!
//! Seven calls that have not changed since Linux 2.2 do all that a device with one IPv4 address needs. rtnetlink would
//! do the same with thirty-five crates and its own task on the runtime; netlink is worth it once there are several
//! addresses or routes per interface. Knows no policy. Called by the rest of `network`.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// ARPHRD_ETHER of linux/if_arp.h.
const ETHERNET: &str = "1";

/// An interface by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// As in /sys/class/net; checked to fit the kernel's 15 bytes.
    pub(super) name: String,
}

impl Link {
    /// `lo`
    pub(super) fn loopback() -> Self {
        Self {
            name: "lo".to_owned(),
        }
    }

    /// The first ethernet interface with hardware behind it; `eth0` before others.
    pub(super) fn first_ethernet() -> Option<Self> {
        first_ethernet(Path::new("/sys/class/net")).map(|name| Self { name })
    }

    fn sys(&self, file: &str) -> Option<String> {
        let path = Path::new("/sys/class/net").join(&self.name).join(file);
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    }

    /// Hardware address.
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        mac(&self.sys("address")?)
    }

    /// Whether the cable is in; an interface that can't tell has it in.
    pub(super) fn has_carrier(&self) -> bool {
        self.sys("carrier").is_none_or(|carrier| carrier == "1")
    }

    /// Switches the interface on.
    pub(super) fn up(&self) -> io::Result<()> {
        let mut request = self.request();
        ioctl(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: SIOCGIFFLAGS has just filled in the flags.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
        ioctl(libc::SIOCSIFFLAGS, &mut request)
    }

    /// Gives the interface this address instead of any other.
    pub(super) fn set_address(&self, addr: Ipv4Addr, prefix: u8) -> io::Result<()> {
        if self.address().is_ok_and(|now| now == (addr, prefix)) {
            return Ok(());
        }
        self.set(libc::SIOCSIFADDR, addr)?;
        self.set(libc::SIOCSIFNETMASK, mask(prefix))
    }

    /// Takes the address away, and with it the routes over it.
    pub(super) fn clear_address(&self) -> io::Result<()> {
        self.set(libc::SIOCSIFADDR, Ipv4Addr::UNSPECIFIED)
    }

    /// Address and prefix as the kernel has them.
    pub(super) fn address(&self) -> io::Result<(Ipv4Addr, u8)> {
        let addr = self.get(libc::SIOCGIFADDR)?;
        let mask = self.get(libc::SIOCGIFNETMASK)?;
        Ok((addr, u32::from(mask).leading_ones() as u8))
    }

    /// Makes `gateway` the way to everywhere else.
    pub(super) fn set_default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        // An old route of ours would come first.
        let _ = self.route(libc::SIOCDELRT, None);
        match self.route(libc::SIOCADDRT, Some(gateway)) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    fn route(&self, call: libc::c_ulong, gateway: Option<Ipv4Addr>) -> io::Result<()> {
        // SAFETY: all zeros is a valid rtentry: numbers and null pointers.
        let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
        let mut name = [0_u8; libc::IFNAMSIZ];
        name[..self.name.len()].copy_from_slice(self.name.as_bytes());
        route.rt_dst = sockaddr(Ipv4Addr::UNSPECIFIED);
        route.rt_genmask = sockaddr(Ipv4Addr::UNSPECIFIED);
        route.rt_flags = libc::RTF_UP;
        if let Some(gateway) = gateway {
            route.rt_gateway = sockaddr(gateway);
            route.rt_flags |= libc::RTF_GATEWAY;
        }
        route.rt_dev = name.as_mut_ptr().cast();
        ioctl(call, &mut route)
    }

    fn set(&self, call: libc::c_ulong, addr: Ipv4Addr) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_addr = sockaddr(addr);
        ioctl(call, &mut request)
    }

    fn get(&self, call: libc::c_ulong) -> io::Result<Ipv4Addr> {
        let mut request = self.request();
        ioctl(call, &mut request)?;
        // SAFETY: these calls fill in a sockaddr_in, whose address stands after family and port, as `sockaddr` writes it.
        let data = unsafe { request.ifr_ifru.ifru_addr.sa_data };
        Ok(Ipv4Addr::new(
            data[2] as u8,
            data[3] as u8,
            data[4] as u8,
            data[5] as u8,
        ))
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: all zeros is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (place, byte) in request
            .ifr_name
            .iter_mut()
            .zip(self.name.bytes().take(libc::IFNAMSIZ - 1))
        {
            *place = byte as libc::c_char;
        }
        request
    }
}

fn ioctl<T>(call: libc::c_ulong, argument: &mut T) -> io::Result<()> {
    let any = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: `argument` is the structure that `call` reads and writes: ifreq or rtentry, see the callers.
    let result = unsafe {
        libc::ioctl(
            any.as_raw_fd(),
            call as libc::Ioctl,
            std::ptr::from_mut(argument),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A `sockaddr_in` as a plain `sockaddr`: family, port 0, address in network order.
fn sockaddr(addr: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (place, byte) in data[2..6].iter_mut().zip(addr.octets()) {
        *place = byte as libc::c_char;
    }
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: data,
    }
}

fn mask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX << (32 - u32::from(prefix.clamp(1, 32))))
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    (parts.next().is_none() && mac != [0; 6]).then_some(mac)
}

fn first_ethernet(sys: &Path) -> Option<String> {
    let ethernet = |name: &String| {
        let folder = sys.join(name);
        let kind = fs::read_to_string(folder.join("type")).unwrap_or_default();
        // Bridges, tunnels and the like have no device behind them.
        kind.trim() == ETHERNET && folder.join("device").exists() && name.len() < libc::IFNAMSIZ
    };
    let names = fs::read_dir(sys)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(ethernet)
        .min_by_key(|name| (name != "eth0", name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ethernet_interface_with_hardware_is_chosen() {
        let sys = tempfile::tempdir().unwrap();
        let add = |name: &str, kind: &str, device: bool| {
            fs::create_dir_all(sys.path().join(name)).unwrap();
            fs::write(sys.path().join(name).join("type"), kind).unwrap();
            if device {
                fs::create_dir(sys.path().join(name).join("device")).unwrap();
            }
        };
        add("lo", "772\n", false);
        add("br0", "1\n", false);
        add("can0", "280\n", true);
        assert_eq!(first_ethernet(sys.path()), None);
        add("enp1s0", "1\n", true);
        assert_eq!(first_ethernet(sys.path()).as_deref(), Some("enp1s0"));
        add("eth0", "1\n", true);
        assert_eq!(first_ethernet(sys.path()).as_deref(), Some("eth0"));
    }

    #[test]
    fn hardware_addresses_and_masks_are_read() {
        assert_eq!(
            mac("52:54:00:12:34:56"),
            Some([0x52, 0x54, 0, 0x12, 0x34, 0x56])
        );
        for text in [
            "",
            "52:54",
            "00:00:00:00:00:00",
            "52:54:00:12:34:56:78",
            "x",
        ] {
            assert_eq!(mac(text), None);
        }
        assert_eq!(mask(24), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(mask(32), Ipv4Addr::BROADCAST);
    }

    #[test]
    fn the_kernel_tells_the_address_of_loopback() {
        assert_eq!(
            Link::loopback().address().unwrap(),
            (Ipv4Addr::LOCALHOST, 8)
        );
        assert!(
            Link {
                name: "nosuch0".into()
            }
            .address()
            .is_err()
        );
    }
}
