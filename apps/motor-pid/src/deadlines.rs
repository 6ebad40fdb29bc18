//! Keeps account of ticks: by how much each was late, and which did not happen.

use vyoma::{Duration, Instant};

/// Upper ends of the histogram's places, in microseconds; the last one has no end.
const BELOW: [u32; 8] = [10, 20, 50, 100, 200, 500, 1000, u32::MAX];

/// Ticks at multiples of a period.
pub(crate) struct Deadlines {
    period: Duration,
    next: Instant,
    ticks: u32,
    missed: u32,
    /// Microseconds.
    sum: u64,
    worst: u32,
    histogram: [u32; BELOW.len()],
}

impl Deadlines {
    /// The first tick is one period after `start`.
    pub(crate) fn new(period: Duration, start: Instant) -> Self {
        Self {
            period,
            next: start + period,
            ticks: 0,
            missed: 0,
            sum: 0,
            worst: 0,
            histogram: [0; BELOW.len()],
        }
    }

    /// When the next tick is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// The tick that was due happens now. Ticks whose time is over by now are missed: the next one is the first that is yet to
    /// come.
    pub(crate) fn tick(&mut self, now: Instant) {
        let late = now - self.next;
        let microseconds = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
        self.ticks += 1;
        self.sum += u64::from(microseconds);
        self.worst = self.worst.max(microseconds);
        for (below, count) in BELOW.iter().zip(&mut self.histogram) {
            if microseconds < *below || *below == u32::MAX {
                *count += 1;
                break;
            }
        }
        self.next += self.period;
        while self.next <= now {
            self.next += self.period;
            self.missed = self.missed.saturating_add(1);
        }
    }

    /// How late ticks were on average, in microseconds.
    pub(crate) fn mean(&self) -> u32 {
        let mean = self.sum.checked_div(self.ticks.into()).unwrap_or_default();
        u32::try_from(mean).unwrap_or(u32::MAX)
    }

    /// How late the latest was, in microseconds.
    pub(crate) fn worst(&self) -> u32 {
        self.worst
    }

    /// How many did not happen.
    pub(crate) fn missed(&self) -> u32 {
        self.missed
    }

    /// How many ticks were late by less than so many microseconds, and not less than the one before.
    pub(crate) fn histogram(&self) -> impl Iterator<Item = (u32, u32)> {
        BELOW.iter().copied().zip(self.histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(1);

    #[test]
    fn a_tick_that_is_late_does_not_move_the_next_one() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(PERIOD, start);
        deadlines.tick(deadlines.next() + Duration::from_micros(30));
        assert_eq!(deadlines.next(), start + 2 * PERIOD);
        deadlines.tick(deadlines.next() + Duration::from_micros(10));
        assert_eq!(
            (deadlines.mean(), deadlines.worst(), deadlines.missed()),
            (20, 30, 0)
        );
        let places: Vec<(u32, u32)> = deadlines
            .histogram()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(places, [(20, 1), (50, 1)]);
    }

    #[test]
    fn ticks_whose_time_is_over_are_missed_and_not_made_up_for() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(PERIOD, start);
        // Due at 1 ms, woken at 4.5 ms: those of 2, 3 and 4 ms did not happen.
        deadlines.tick(start + Duration::from_micros(4500));
        assert_eq!(deadlines.missed(), 3);
        assert_eq!(deadlines.next(), start + 5 * PERIOD);
        assert_eq!(deadlines.worst(), 3500);
        let last = deadlines.histogram().last();
        assert_eq!(last, Some((u32::MAX, 1)));
    }
}
