//! The hardware watchdog: when nobody feeds it, it resets the device.
//!
//! The daemon feeds it from its main loop and nowhere else, so that a stalled loop is a reset. Linux' own `softdog`
//! stands in where there is no hardware. The interface is the kernel's watchdog API (Documentation/watchdog/watchdog-api.rst).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Watchdogs that are looked at: /dev/watchdog0 and on. Boards have one or two.
const MAX_DEVICES: u32 = 4;
/// How the kernel names its stand-in.
const SOFTDOG: &str = "Software Watchdog";

/// `struct watchdog_info` of linux/watchdog.h.
#[repr(C)]
struct Info {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

nix::ioctl_read!(wdioc_getsupport, b'W', 0, Info);
nix::ioctl_readwrite!(wdioc_settimeout, b'W', 6, i32);
nix::ioctl_read!(wdioc_keepalive, b'W', 5, i32);

/// An armed watchdog. Dropping it leaves it armed: only [`HardwareWatchdog::disarm`] ends the threat.
pub(crate) struct HardwareWatchdog {
    device: File,
    /// As the driver took it, which may differ from what was asked.
    timeout_secs: u32,
    identity: String,
}

impl HardwareWatchdog {
    /// Arms the first hardware watchdog, or else softdog, to reset the device after `secs` seconds without
    /// [`HardwareWatchdog::feed`]. None: `secs` is 0, or there is no watchdog.
    pub(crate) fn open(secs: u32) -> Option<Self> {
        if secs == 0 {
            return None;
        }
        // Opening one starts it, so one that is not kept must be disarmed.
        let mut found: Option<Self> = None;
        for n in 0..MAX_DEVICES {
            let Ok(next) = Self::arm(&format!("/dev/watchdog{n}"), secs) else {
                continue;
            };
            match found.take() {
                Some(kept) if kept.identity != SOFTDOG => {
                    next.disarm();
                    found = Some(kept);
                    break;
                }
                Some(softdog) => softdog.disarm(),
                None => {}
            }
            found = Some(next);
            if found.as_ref().is_some_and(|dog| dog.identity != SOFTDOG) {
                break;
            }
        }
        found
    }

    fn arm(path: &str, secs: u32) -> io::Result<Self> {
        let device = OpenOptions::new().write(true).open(path)?;
        let mut info = Info {
            options: 0,
            firmware_version: 0,
            identity: [0; 32],
        };
        // SAFETY: `info` is a watchdog_info and valid for the call.
        let identity = match unsafe { wdioc_getsupport(device.as_raw_fd(), &raw mut info) } {
            Ok(_) => String::from_utf8_lossy(&info.identity)
                .trim_end_matches('\0')
                .to_owned(),
            Err(_) => "unknown watchdog".to_owned(),
        };
        let mut timeout = i32::try_from(secs).unwrap_or(i32::MAX);
        // SAFETY: `timeout` is an int and valid for the call. A driver that can't set it keeps its own, and does not
        // touch the value: then ours is a guess, and the feeding period is short enough for the usual minute.
        let _ = unsafe { wdioc_settimeout(device.as_raw_fd(), &raw mut timeout) };
        Ok(Self {
            device,
            timeout_secs: u32::try_from(timeout).unwrap_or(1).max(1),
            identity,
        })
    }

    /// Puts off the reset by the whole timeout.
    pub(crate) fn feed(&self) {
        let mut unused = 0;
        // SAFETY: `unused` is an int and valid for the call. A failure has no better remedy than the reset to come.
        let _ = unsafe { wdioc_keepalive(self.device.as_raw_fd(), &raw mut unused) };
    }

    /// How often to feed it: a quarter of the timeout, so that three late rounds are forgiven.
    pub(crate) fn period(&self) -> Duration {
        Duration::from_millis(u64::from(self.timeout_secs) * 250)
    }

    /// What the driver calls itself, and the timeout that it took, for people.
    pub(crate) fn describe(&self) -> String {
        format!("{}, resets after {} s", self.identity, self.timeout_secs)
    }

    /// Ends the threat: the "magic close" of the watchdog API.
    pub(crate) fn disarm(mut self) {
        let _ = self.device.write_all(b"V");
    }
}
