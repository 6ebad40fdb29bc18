//! Waiting, for drivers.

use embedded_hal::delay::DelayNs;

/// Waits by the monotonic clock: other apps run meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay;

impl DelayNs for Delay {
    fn delay_ns(&mut self, nanoseconds: u32) {
        vyoma::sleep(vyoma::Duration::from_nanos(nanoseconds.into()));
    }

    fn delay_us(&mut self, microseconds: u32) {
        vyoma::sleep(vyoma::Duration::from_micros(microseconds.into()));
    }

    fn delay_ms(&mut self, milliseconds: u32) {
        vyoma::sleep(vyoma::Duration::from_millis(milliseconds.into()));
    }
}
