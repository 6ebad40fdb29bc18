//! Time: the monotonic clock, sleeping, and the wall clock.

use core::ops::{Add, AddAssign, Sub};
pub use core::time::Duration;

use crate::sys;

/// A moment on the monotonic clock, in nanoseconds since some beginning. It never goes back, and says nothing about the date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// Now.
    pub fn now() -> Self {
        Self(sys::now())
    }

    /// How long ago this was; zero when it is yet to come.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        self - earlier
    }

    /// The moment when the clock (`wasi:clocks/monotonic-clock`) shows so many.
    pub fn at_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds on the clock.
    #[cfg(target_os = "wasi")]
    pub(crate) fn nanoseconds(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The last moment that the clock knows, when the sum is beyond it.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero when `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Waits for that long. The app counts as waiting, not as silent, and others run meanwhile.
pub fn sleep(duration: Duration) {
    sys::sleep(nanoseconds(duration));
}

/// Waits until that moment; not at all when it is over. A loop that sleeps until moments a period apart doesn't drift.
pub fn sleep_until(moment: Instant) {
    sys::sleep_until(moment);
}

/// Time since 1970-01-01 00:00:00 UTC by the device's clock, which may be wrong and may be set at any time.
pub fn since_epoch() -> Duration {
    let (seconds, nanoseconds) = sys::wall();
    Duration::new(seconds, nanoseconds % 1_000_000_000)
}

/// 584 years at most.
#[inline]
fn nanoseconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos().into())
}
