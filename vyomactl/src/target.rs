//! `--target`: where a device is.

use std::path::PathBuf;

use crate::exit::{Exit, Failure};

/// Bits per second on a serial line, unless something else is said: what Vyoma's firmware uses.
const BAUD: u32 = 115_200;

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A control socket on this machine.
    Socket(PathBuf),
    /// A serial port.
    Serial {
        /// `/dev/ttyACM0`
        port: PathBuf,
        /// Bits per second.
        baud: u32,
    },
    /// A device behind SSH.
    Ssh(Remote),
}

/// A device behind SSH, in the words of the program `ssh`: the host may be an alias of `~/.ssh/config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Absent: what ssh makes of it; a device takes any.
    pub(crate) user: Option<String>,
    /// Name or address.
    pub(crate) host: String,
    /// Absent: what ssh makes of it.
    pub(crate) port: Option<u16>,
    /// Further options of ssh, `KEY=VALUE`.
    pub(crate) options: Vec<String>,
    /// Several devices are asked at once, so ssh must not ask anything.
    pub(crate) batch: bool,
}

impl Remote {
    /// A host, with ssh's own idea of everything else.
    pub(crate) fn new(host: &str) -> Self {
        Self {
            user: None,
            host: host.to_owned(),
            port: None,
            options: Vec::new(),
            batch: false,
        }
    }

    /// Reads what follows `ssh://`: `[user@]host[:port]`, an IPv6 address in brackets.
    fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected ssh://[user@]host[:port]";
        let text = text.strip_suffix('/').unwrap_or(text);
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| format!("found no ] behind the address; {EXPECTED}"))?;
                (host, rest)
            }
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(number) => Some(
                number
                    .parse()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or_else(|| format!("found port {number:?}; expected 1 to 65535"))?,
            ),
            None => return Err(format!("found {port:?} behind the host; {EXPECTED}")),
        };
        for (what, word) in [("host", Some(host)), ("user", user)] {
            // A leading dash would be an option of ssh, and the others mean something to it or to a shell.
            let odd = |c: char| !(c.is_alphanumeric() || "._-:%+".contains(c));
            if word
                .is_some_and(|word| word.is_empty() || word.starts_with('-') || word.contains(odd))
            {
                return Err(format!(
                    "found {what} {:?}; {EXPECTED}",
                    word.unwrap_or_default()
                ));
            }
        }
        Ok(Self {
            user: user.map(str::to_owned),
            port,
            ..Self::new(host)
        })
    }

    /// The command that goes there without vyomactl.
    pub(crate) fn by_hand(&self) -> String {
        let port = self
            .port
            .map_or(String::new(), |port| format!("-p {port} "));
        let user = self
            .user
            .as_ref()
            .map_or(String::new(), |user| format!("{user}@"));
        format!("ssh {port}{user}{}", self.host)
    }

    /// Its name in `known_hosts`.
    pub(crate) fn known_as(&self) -> String {
        match self.port {
            Some(port) if port != 22 => format!("[{}]:{port}", self.host),
            _ => self.host.clone(),
        }
    }
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Target {
    /// Reads `unix:///PATH`, a bare path, `ssh://[user@]host[:port]`, or `serial:///PATH`, with `?baud=RATE` behind it if need be.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        const EXPECTED: &str = "use unix:///PATH of a control socket, ssh://HOST of a device, or serial:///dev/ttyACM0 of a microcontroller";
        let slip = |why: &str| Failure::new(Exit::Usage, format!("target {text:?}: {why}"));
        let target = match text.split_once("://") {
            Some(("unix", path)) => Self::Socket(PathBuf::from(path)),
            Some(("serial", rest)) => {
                let (port, query) = rest.split_once('?').unwrap_or((rest, ""));
                let baud = match query.split_once('=') {
                    None if query.is_empty() => Some(BAUD),
                    // From the slowest to the fastest speed that Linux's termios names.
                    Some(("baud", rate)) => rate
                        .parse()
                        .ok()
                        .filter(|rate| (50..=4_000_000).contains(rate)),
                    _ => None,
                };
                let baud = baud.ok_or_else(|| {
                    slip(&format!(
                        "found ?{query}; expected ?baud=RATE with a rate from 50 to 4000000, such as ?baud=115200"
                    ))
                })?;
                Self::Serial {
                    port: PathBuf::from(port),
                    baud,
                }
            }
            Some(("ssh", rest)) => {
                return Remote::parse(rest).map(Self::Ssh).map_err(|why| slip(&why));
            }
            Some((scheme, _)) => {
                return Err(slip(&format!("unknown scheme {scheme}://; {EXPECTED}")));
            }
            None => Self::Socket(PathBuf::from(text)),
        };
        if let Self::Socket(path) | Self::Serial { port: path, .. } = &target
            && path.as_os_str().is_empty()
        {
            return Err(slip(&format!(
                "no path; {EXPECTED}, in --target or VYOMA_TARGET"
            )));
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_unix_address_or_a_bare_path() {
        for text in ["unix:///run/x.sock", "/run/x.sock"] {
            assert_eq!(
                Target::parse(text).expect(text),
                Target::Socket(PathBuf::from("/run/x.sock"))
            );
        }
        assert_eq!(
            Target::parse("unix://state/control.sock").expect("relative"),
            Target::Socket(PathBuf::from("state/control.sock"))
        );
    }

    #[test]
    fn a_target_is_a_serial_port_with_its_speed() {
        for (text, port, baud) in [
            ("serial:///dev/ttyACM0", "/dev/ttyACM0", 115_200),
            ("serial:///dev/pts/5?baud=9600", "/dev/pts/5", 9600),
            ("serial://ttyUSB0?baud=4000000", "ttyUSB0", 4_000_000),
        ] {
            let port = PathBuf::from(port);
            assert_eq!(
                Target::parse(text).expect(text),
                Target::Serial { port, baud }
            );
        }
    }

    #[test]
    fn a_target_is_a_host_as_ssh_takes_it() {
        for (text, user, host, port) in [
            ("ssh://device", None, "device", None),
            (
                "ssh://root@10.0.0.5:2222/",
                Some("root"),
                "10.0.0.5",
                Some(2222),
            ),
            ("ssh://[fe80::1%eth0]:22", None, "fe80::1%eth0", Some(22)),
            ("ssh://[::1]", None, "::1", None),
        ] {
            let Ok(Target::Ssh(remote)) = Target::parse(text) else {
                panic!("{text} is no host");
            };
            assert_eq!(remote.user.as_deref(), user, "{text}");
            assert_eq!((remote.host.as_str(), remote.port), (host, port), "{text}");
            assert_eq!(remote.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn what_names_no_device_is_told_with_what_was_expected() {
        for (text, said) in [
            ("ssh://", "found host \"\""),
            ("ssh://-oProxyCommand=x", "found host"),
            ("ssh://@device", "found user"),
            ("ssh://device:0", "1 to 65535"),
            ("ssh://device:ssh", "1 to 65535"),
            ("ssh://[::1", "found no ]"),
            ("ssh://[::1]x", "behind the host"),
            ("ssh://device/path", "found host"),
            ("ssh://a b", "found host"),
            ("http://x", "unknown scheme"),
            ("unix://", "no path"),
            ("serial://", "no path"),
            ("serial://?baud=9600", "no path"),
            ("serial:///dev/ttyACM0?baud=fast", "found ?baud=fast"),
            ("serial:///dev/ttyACM0?baud=5", "50 to 4000000"),
            ("serial:///dev/ttyACM0?speed=9600", "expected ?baud=RATE"),
            ("", "no path"),
        ] {
            let failure = Target::parse(text).expect_err(text);
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(failure.message().contains(said), "{}", failure.message());
        }
    }
}
