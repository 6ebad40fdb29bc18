//! A loop of a thousand rounds a second, and how late it and other things come. Only the standard library: `cargo xtask bench`
//! compiles this file for the machine itself as well.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// From one round to the next.
const TICK: Duration = Duration::from_millis(1);
/// Upper ends of the histogram's classes, in microseconds; the last one is open.
const CLASSES: [u64; 9] = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// Nanoseconds of all rounds, and what they come to.
pub(crate) fn timed<E>(rounds: u64, mut work: impl FnMut() -> Result<u64, E>) -> Result<String, E> {
    let begun = Instant::now();
    let mut checksum = 0_u64;
    for _ in 0..rounds {
        checksum = checksum.rotate_left(5) ^ work()?;
    }
    Ok(format!("{} {checksum:016x}", begun.elapsed().as_nanos()))
}

/// How late something came, again and again, in nanoseconds.
#[derive(Default)]
pub(crate) struct Latenesses(Vec<u64>);

impl Latenesses {
    /// One more.
    pub(crate) fn add(&mut self, nanoseconds: u64) {
        self.0.push(nanoseconds);
    }

    /// `COUNT MISSED MEDIAN P99 MOST CLASS,CLASS,...`, in nanoseconds: what xtask reads.
    pub(crate) fn summary(mut self, missed: u64) -> String {
        self.0.sort_unstable();
        let at = |percent: usize| {
            let place = self.0.len() * percent / 100;
            self.0
                .get(place.min(self.0.len().saturating_sub(1)))
                .copied()
                .unwrap_or_default()
        };
        let mut text = format!(
            "{} {missed} {} {} {}",
            self.0.len(),
            at(50),
            at(99),
            at(100)
        );
        let mut from = 0;
        for (place, upper) in CLASSES
            .iter()
            .map(|upper| upper * 1000)
            .chain([u64::MAX])
            .enumerate()
        {
            let to = self.0.partition_point(|lateness| *lateness < upper);
            let _ = write!(text, "{}{}", if place == 0 { ' ' } else { ',' }, to - from);
            from = to;
        }
        text
    }
}

/// Sleeps until each of so many rounds begins. A round whose time has passed before the one before it was over is missed.
pub(crate) fn ticks(rounds: u64) -> String {
    let mut late = Latenesses::default();
    let mut missed = 0;
    let mut next = Instant::now() + TICK;
    for _ in 0..rounds {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let error = Instant::now().saturating_duration_since(next);
        late.add(error.as_nanos() as u64);
        next += TICK;
        while next < Instant::now() {
            missed += 1;
            next += TICK;
        }
    }
    late.summary(missed)
}
