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
}

impl Target {
    /// Reads `unix:///PATH`, a bare path, or `serial:///PATH`, with `?baud=RATE` behind it if need be.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        const EXPECTED: &str =
            "use unix:///PATH of a control socket or serial:///dev/ttyACM0 of a microcontroller";
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
            Some((scheme @ "ssh", _)) => {
                return Err(slip(&format!(
                    "{scheme}:// is not in this version; {EXPECTED}"
                )));
            }
            Some((scheme, _)) => {
                return Err(slip(&format!("unknown scheme {scheme}://; {EXPECTED}")));
            }
            None => Self::Socket(PathBuf::from(text)),
        };
        let (Self::Socket(path) | Self::Serial { port: path, .. }) = &target;
        if path.as_os_str().is_empty() {
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
    fn targets_of_later_versions_and_slips_are_told_apart() {
        for (text, said) in [
            ("ssh://root@device", "not in this version"),
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
