//! The `vyoma.*` words of the kernel command line, as docs/operating.md lists them.
//!
//! Pure: text in, settings out, never an error. A device must come up whatever somebody typed into its boot loader,
//! so a word that can't be used becomes one warning and the default. Called by the daemon, as PID 1, with the text of
//! /proc/cmdline.

use std::net::Ipv4Addr;

use vyoma_capabilities::control::SignaturePolicy;

use super::fault::Faults;

/// Seconds of silence after which the hardware watchdog resets the device. Long enough for a slow flash write or an
/// fsck-like pause of the kernel, short enough that nobody walks to the device first.
pub(crate) const DEFAULT_WATCHDOG_SECS: u32 = 30;
/// The longest that `vyoma.watchdog` takes: hardware watchdogs count to some minutes at most, and a day-long one is
/// none at all.
const MAX_WATCHDOG_SECS: u32 = 3600;
/// The volume label that the image build gives the data disk.
pub(crate) const DEFAULT_DATA_LABEL: &str = "vyoma-data";
/// Where SSH listens (RFC 4253).
const SSH_PORT: u16 = 22;
/// ext4 keeps 16 bytes for a volume label.
const MAX_LABEL: usize = 16;
/// Longest host name that Linux takes (`__NEW_UTS_LEN`).
const MAX_HOSTNAME: usize = 64;
/// Most warnings kept: the kernel's command line holds 2048 bytes or more, and one line too many helps nobody.
const MAX_WARNINGS: usize = 16;

/// What the kernel command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CmdLine {
    /// `vyoma.hostname=NAME`; absent: /etc/hostname, else `vyoma`.
    pub(crate) hostname: Option<String>,
    /// `vyoma.ip=...`
    pub(crate) ip: IpConfig,
    /// `vyoma.data=...`
    pub(crate) data: DataChoice,
    /// `vyoma.board=NAME`; absent: what the device tree says.
    pub(crate) board: Option<String>,
    /// `vyoma.panic=...`
    pub(crate) panic: PanicPolicy,
    /// `vyoma.watchdog=SECS`; 0 is off.
    pub(crate) watchdog_secs: u32,
    /// `vyoma.loglevel=error|warn|info|debug`; absent: `info`.
    pub(crate) loglevel: LogLevel,
    /// `vyoma.ssh=off|PORT`; absent when off.
    pub(crate) ssh_port: Option<u16>,
    /// `vyoma.signatures=off|required|image`; absent: what an operator has set on the device.
    pub(crate) signatures: Option<SignaturePolicy>,
    /// `vyoma.fault=...`: test hooks.
    pub(crate) faults: Faults,
    /// One line for each `vyoma.*` word that could not be used.
    pub(crate) warnings: Vec<String>,
}

/// How eth0 gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpConfig {
    /// Not said: DHCP when there is an ethernet device.
    Auto,
    /// DHCP, and a complaint when there is no ethernet device.
    Dhcp,
    /// Loopback only.
    Off,
    /// As given.
    Static {
        /// Address of the device.
        addr: Ipv4Addr,
        /// Length of the network's prefix, 1 to 32.
        prefix: u8,
        /// Router of the default route.
        gateway: Option<Ipv4Addr>,
        /// Name server.
        dns: Option<Ipv4Addr>,
    },
}

/// Where /data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataChoice {
    /// The ext4 file system with this volume label.
    Label(String),
    /// Memory, by wish: nothing outlives a reboot.
    Tmpfs,
}

/// What follows a panic of PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PanicPolicy {
    /// Start again: what an unattended device needs.
    Reboot,
    /// Stay, so that someone can read the console.
    Halt,
    /// Off.
    PowerOff,
}

/// How much the console shows; the logs keep everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// Only what went wrong.
    Error,
    /// And what is odd.
    Warn,
    /// And what happens.
    Info,
    /// And why.
    Debug,
}

impl Default for CmdLine {
    fn default() -> Self {
        Self {
            hostname: None,
            ip: IpConfig::Auto,
            data: DataChoice::Label(DEFAULT_DATA_LABEL.to_owned()),
            board: None,
            panic: PanicPolicy::Reboot,
            watchdog_secs: DEFAULT_WATCHDOG_SECS,
            loglevel: LogLevel::Info,
            ssh_port: Some(SSH_PORT),
            signatures: None,
            faults: Faults::default(),
            warnings: Vec::new(),
        }
    }
}

impl CmdLine {
    /// Reads the whole command line; words without the `vyoma.` prefix belong to the kernel and are passed over.
    /// Said twice, the last one counts, as with the kernel's own words.
    pub(crate) fn parse(text: &str) -> Self {
        let mut line = Self::default();
        for word in text.split_ascii_whitespace() {
            // Quotes are the kernel's way to carry blanks; no value of ours has any.
            let Some(word) = word.trim_matches('"').strip_prefix("vyoma.") else {
                continue;
            };
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            if let Err(expected) = line.set(key, value) {
                line.warn(key, value, &expected);
            }
        }
        line
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "hostname" => {
                self.hostname = Some(hostname(value).ok_or("1 to 64 letters, digits, - or .")?);
            }
            // Which there are is for the daemon to say: it reads boards, and this reads words.
            "board" => {
                if value.is_empty() {
                    return Err("the name of a board, e.g. raspberry-pi-4".into());
                }
                self.board = Some(value.to_owned());
            }
            "ip" => self.ip = ip(value)?,
            "data" => {
                self.data = data(value)
                    .ok_or("tmpfs, or a volume label of 1 to 16 printable characters")?;
            }
            "panic" => {
                self.panic = match value {
                    "reboot" => PanicPolicy::Reboot,
                    "halt" => PanicPolicy::Halt,
                    "poweroff" => PanicPolicy::PowerOff,
                    _ => return Err("reboot, halt or poweroff".to_owned()),
                }
            }
            "watchdog" => {
                self.watchdog_secs = value
                    .parse()
                    .ok()
                    .filter(|secs| *secs <= MAX_WATCHDOG_SECS)
                    .ok_or("seconds from 0 (off) to 3600")?;
            }
            "loglevel" => {
                self.loglevel = match value {
                    "error" => LogLevel::Error,
                    "warn" => LogLevel::Warn,
                    "info" => LogLevel::Info,
                    "debug" => LogLevel::Debug,
                    _ => return Err("error, warn, info or debug".to_owned()),
                }
            }
            "ssh" => {
                self.ssh_port = match value {
                    "off" => None,
                    port => Some(
                        port.parse()
                            .ok()
                            .filter(|port| *port > 0)
                            .ok_or("off, or a port from 1 to 65535")?,
                    ),
                }
            }
            "signatures" => {
                let policy = SignaturePolicy::parse(value);
                // A slip of the pen must not open a device that was to be closed.
                self.signatures = Some(policy.unwrap_or(SignaturePolicy::Required));
                if policy.is_none() {
                    return Err("off, required or image; signatures are required".to_owned());
                }
            }
            "fault" => self.faults = Faults::parse(value)?,
            _ => {
                return Err(
                    "hostname, ip, data, board, panic, watchdog, loglevel, ssh, signatures or fault after `vyoma.`"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    fn warn(&mut self, key: &str, value: &str, expected: &str) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(format!(
                "kernel command line: `vyoma.{}={}` is not used: expected {expected}",
                shown(key),
                shown(value)
            ));
        }
    }
}

/// The word as it may be put on a console: short, and nothing that a terminal acts on.
fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    text.chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// A host name as Linux and DNS both take it.
pub(super) fn hostname(value: &str) -> Option<String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let edge = |c: char| c.is_ascii_alphanumeric();
    (value.len() <= MAX_HOSTNAME
        && value.chars().all(inner)
        && value.starts_with(edge)
        && value.ends_with(edge))
    .then(|| value.to_owned())
}

fn data(value: &str) -> Option<DataChoice> {
    if value == "tmpfs" {
        return Some(DataChoice::Tmpfs);
    }
    let printable = value.bytes().all(|b| b.is_ascii_graphic());
    (!value.is_empty() && value.len() <= MAX_LABEL && printable)
        .then(|| DataChoice::Label(value.to_owned()))
}

fn ip(value: &str) -> Result<IpConfig, String> {
    match value {
        "dhcp" => return Ok(IpConfig::Dhcp),
        "off" => return Ok(IpConfig::Off),
        _ => {}
    }
    let mut parts = value.split(',');
    let own = parts.next().unwrap_or_default();
    let (addr, prefix) = own
        .split_once('/')
        .ok_or("dhcp, off or A.B.C.D/N[,gw=A.B.C.D][,dns=A.B.C.D]")?;
    let addr =
        host(addr).ok_or_else(|| format!("an IPv4 address of a host, not `{}`", shown(addr)))?;
    let prefix = prefix
        .parse()
        .ok()
        .filter(|n| (1..=32).contains(n))
        .ok_or_else(|| {
            format!(
                "a prefix of 1 to 32 bits after `/`, not `{}`",
                shown(prefix)
            )
        })?;
    let (mut gateway, mut dns) = (None, None);
    for part in parts {
        let (slot, text) = match part.split_once('=') {
            Some(("gw", text)) => (&mut gateway, text),
            Some(("dns", text)) => (&mut dns, text),
            _ => return Err(format!("gw=A.B.C.D or dns=A.B.C.D, not `{}`", shown(part))),
        };
        *slot = Some(
            host(text)
                .ok_or_else(|| format!("an IPv4 address of a host, not `{}`", shown(text)))?,
        );
    }
    Ok(IpConfig::Static {
        addr,
        prefix,
        gateway,
        dns,
    })
}

/// An address that one host can have.
fn host(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok().filter(|addr: &Ipv4Addr| {
        !(addr.is_unspecified() || addr.is_broadcast() || addr.is_multicast())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_warning(text: &str) -> String {
        let line = CmdLine::parse(text);
        assert_eq!(line.warnings.len(), 1, "{:?}", line.warnings);
        let unwarned = CmdLine {
            warnings: Vec::new(),
            ..line.clone()
        };
        assert_eq!(
            unwarned,
            CmdLine::default(),
            "a word that can't be used leaves the default"
        );
        line.warnings[0].clone()
    }

    #[test]
    fn an_empty_line_gives_the_documented_defaults() {
        let line = CmdLine::parse("console=ttyS0 quiet root=/dev/vda");
        assert_eq!(line, CmdLine::default());
        assert_eq!(line.watchdog_secs, 30);
        assert_eq!(line.data, DataChoice::Label("vyoma-data".into()));
        assert_eq!(line.panic, PanicPolicy::Reboot);
    }

    #[test]
    fn every_documented_word_is_understood() {
        let line = CmdLine::parse(
            "vyoma.hostname=pump-3.plant vyoma.ip=10.0.2.15/24,gw=10.0.2.2,dns=10.0.2.3 vyoma.data=other \
             vyoma.panic=poweroff vyoma.watchdog=0 vyoma.loglevel=debug vyoma.fault=stall:5,orphans:1000\n",
        );
        assert_eq!(line.warnings, Vec::<String>::new());
        assert_eq!(line.hostname.as_deref(), Some("pump-3.plant"));
        assert_eq!(
            line.ip,
            IpConfig::Static {
                addr: Ipv4Addr::new(10, 0, 2, 15),
                prefix: 24,
                gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
                dns: Some(Ipv4Addr::new(10, 0, 2, 3)),
            }
        );
        assert_eq!(line.data, DataChoice::Label("other".into()));
        assert_eq!(line.panic, PanicPolicy::PowerOff);
        assert_eq!(line.watchdog_secs, 0);
        assert_eq!(line.loglevel, LogLevel::Debug);
        assert_eq!(line.faults.stall_secs, Some(5));
        assert_eq!(line.faults.orphans, Some(1000));
    }

    #[test]
    fn the_last_of_two_words_counts() {
        assert_eq!(
            CmdLine::parse("vyoma.ip=off vyoma.ip=dhcp").ip,
            IpConfig::Dhcp
        );
    }

    #[test]
    fn a_word_that_cannot_be_used_is_one_warning_that_says_what_was_expected() {
        for (text, expected) in [
            (
                "vyoma.colour=red",
                "`vyoma.colour=red` is not used: expected hostname, ip",
            ),
            ("vyoma.ip", "dhcp, off or"),
            ("vyoma.ip=10.0.2.15", "dhcp, off or"),
            ("vyoma.ip=10.0.2.15/33", "1 to 32"),
            ("vyoma.ip=10.0.2.15/24,gateway=1.2.3.4", "gw=A.B.C.D"),
            ("vyoma.ip=255.255.255.255/24", "address of a host"),
            ("vyoma.hostname=-x", "1 to 64 letters"),
            ("vyoma.data=seventeen-letters", "1 to 16"),
            ("vyoma.panic=cry", "reboot, halt or poweroff"),
            ("vyoma.watchdog=-1", "0 (off) to 3600"),
            ("vyoma.watchdog=99999", "0 (off) to 3600"),
            ("vyoma.loglevel=loud", "error, warn"),
            ("vyoma.fault=fly", "stall:SECS"),
        ] {
            let warning = one_warning(text);
            assert!(warning.contains(expected), "{warning}");
        }
    }

    #[test]
    fn a_hostile_word_cannot_draw_on_the_console() {
        let warning = one_warning("vyoma.ip=\u{1b}[2J");
        assert!(!warning.contains('\u{1b}'), "{warning:?}");
    }

    proptest! {
        #[test]
        fn parsing_never_fails_and_never_grows_without_bound(text in "\\PC*") {
            let line = CmdLine::parse(&text);
            prop_assert!(line.warnings.len() <= MAX_WARNINGS);
            prop_assert!(line.watchdog_secs <= MAX_WATCHDOG_SECS);
        }

        #[test]
        fn vyoma_words_never_fail(words in proptest::collection::vec("vyoma\\.[a-z]{0,9}=?[ -~]{0,40}", 0..40)) {
            let line = CmdLine::parse(&words.join(" "));
            prop_assert!(line.warnings.len() <= MAX_WARNINGS);
            prop_assert!(line.hostname.is_none_or(|name| !name.is_empty() && name.len() <= MAX_HOSTNAME));
            if let IpConfig::Static { prefix, .. } = line.ip {
                prop_assert!((1..=32).contains(&prefix));
            }
        }

        #[test]
        fn a_static_address_reads_back(a: [u8; 4], prefix in 1u8..=32) {
            let addr = Ipv4Addr::from(a);
            prop_assume!(!addr.is_unspecified() && !addr.is_broadcast() && !addr.is_multicast());
            let line = CmdLine::parse(&format!("vyoma.ip={addr}/{prefix}"));
            prop_assert_eq!(line.ip, IpConfig::Static { addr, prefix, gateway: None, dns: None });
        }
    }
}
