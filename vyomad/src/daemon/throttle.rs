//! How fast an app may print. The daemon simply stops reading the pipe of one that is over: the pipe fills, and the
//! app waits in its own write. Nothing is buffered and nothing is lost.

use std::time::{Duration, Instant};

/// Sustained rate in bytes per second: more than any log is read, little enough that 200 apps at once neither wear
/// out a flash disk nor fill a processor.
const RATE: u64 = 256 * 1024;
/// What may come at once.
const BURST: u64 = 256 * 1024;
/// What a line costs besides its bytes: a flood of empty lines is a flood.
const LINE: u64 = 64;
/// The rest of a line that is too long is dropped, not kept: it costs only the reading, this part of what is kept.
const DROPPED: u64 = 8;

/// A token bucket; stdout and stderr of an app share one.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Negative while the app is over.
    tokens: i64,
    filled: Instant,
}

impl Throttle {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            tokens: BURST as i64,
            filled: now,
        }
    }

    /// Pays for what was read; says how long not to read.
    pub(crate) fn pay(&mut self, now: Instant, bytes: usize, lines: usize) -> Duration {
        let millis = now.duration_since(self.filled).as_millis().min(60_000) as u64;
        let gained = millis * RATE / 1000;
        if gained > 0 {
            self.tokens = (self.tokens + gained as i64).min(BURST as i64);
            self.filled = now;
        }
        let cost = if lines == 0 {
            bytes as u64 / DROPPED
        } else {
            bytes as u64 + LINE * lines as u64
        };
        self.tokens -= cost as i64;
        if self.tokens >= 0 {
            Duration::ZERO
        } else {
            Duration::from_millis(self.tokens.unsigned_abs() * 1000 / RATE + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_held_to_the_rate_after_its_burst() {
        let start = Instant::now();
        let mut now = start;
        let mut throttle = Throttle::new(start);
        let mut read = 0;
        while now.duration_since(start) < Duration::from_secs(10) {
            now += throttle.pay(now, 8192, 1);
            read += 8192;
        }
        let most = BURST + RATE * 10 + 8192;
        assert!(read <= most && read > most * 9 / 10, "{read} of {most}");
    }

    #[test]
    fn a_line_without_an_end_is_read_faster_but_not_without_limit() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        let mut read = 0;
        while throttle.pay(now, 16 * 1024, 0) == Duration::ZERO {
            read += 16 * 1024;
        }
        assert_eq!(read, BURST * DROPPED);
    }

    #[test]
    fn empty_lines_are_not_free() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        assert!(throttle.pay(now, 8192, 8192) > Duration::from_secs(1));
    }
}
