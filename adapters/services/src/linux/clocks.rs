//! Clocks and sleeping. Time of the monotonic clock is counted from the start of the run, as wasmtime-wasi does: a guest
//! learns nothing of the host's uptime.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, clock_getres, clock_gettime};
use vyoma_component::services::{Datetime, Instant};

const NANOSECONDS: u64 = 1_000_000_000;

/// `CLOCK_MONOTONIC`, from a zero point on.
#[derive(Clone)]
pub(crate) struct Monotonic {
    /// What the kernel's clock showed at zero.
    zero: u64,
}

impl Monotonic {
    /// Zero is now.
    pub(crate) fn start() -> Self {
        Self {
            zero: nanoseconds(&clock_gettime(ClockId::Monotonic)),
        }
    }

    /// Nanoseconds between two values.
    pub(crate) fn resolution() -> u64 {
        nanoseconds(&clock_getres(ClockId::Monotonic))
    }

    /// Nanoseconds since zero.
    pub(crate) fn now(&self) -> Instant {
        nanoseconds(&clock_gettime(ClockId::Monotonic)) - self.zero
    }

    /// What the kernel's clock shows, in nanoseconds, as a time of this one; zero for what was before it.
    pub(crate) fn of_kernel(&self, nanoseconds: u64) -> Instant {
        nanoseconds.saturating_sub(self.zero)
    }

    /// Sleeps until `when`. By an absolute time, so that a late start of the sleep does not move its end; periodic
    /// tasks keep their period. Signals do not end it.
    pub(crate) fn sleep_until(&self, when: Instant) {
        let when = timespec(self.zero.saturating_add(when));
        while clock_nanosleep_absolute(ClockId::Monotonic, &when) == Err(Errno::INTR) {}
    }
}

/// Since the kernel's zero: 584 years fit.
fn nanoseconds(time: &Timespec) -> u64 {
    time.tv_sec as u64 * NANOSECONDS + time.tv_nsec as u64
}

pub(crate) fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: (nanoseconds / NANOSECONDS) as i64,
        tv_nsec: (nanoseconds % NANOSECONDS) as _,
    }
}

/// A clock that is set before 1970 (a board without a battery, going backwards) shows 1970.
pub(crate) fn wall_now() -> Datetime {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Datetime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}

pub(crate) fn wall_resolution() -> Datetime {
    let resolution = nanoseconds(&clock_getres(ClockId::Realtime));
    Datetime {
        seconds: resolution / NANOSECONDS,
        nanoseconds: (resolution % NANOSECONDS) as u32,
    }
}
