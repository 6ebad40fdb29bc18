//! Unix seconds as ISO 8601 text.

use vyoma::print::{Line, Show};

const DAY: u64 = 24 * 60 * 60;
/// Days in 400 years of the Gregorian calendar, after which it repeats.
const ERA: u64 = 146_097;

/// Seconds since 1970-01-01 00:00:00 UTC; prints as `2026-11-22T20:31:05Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Utc(pub(crate) u64);

impl Show for Utc {
    fn show(&self, line: &mut Line) {
        let (year, month, day) = date(self.0 / DAY);
        let second = self.0 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        vyoma::write!(
            line,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        );
    }
}

/// Year, month and day of a day since 1970. The year is counted from March, so that a leap day is its last day
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
fn date(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use vyoma::print;
    use vyoma::testing::printed;

    use super::*;

    #[test]
    fn known_moments_print_as_they_should() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (2_147_483_648, "2038-01-19T03:14:08Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(printed(|| print!("{}", Utc(seconds))), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut last = date(0);
        for day in 1..ERA {
            let (y, m, d) = last;
            let next = date(day);
            assert!(
                [(y, m, d + 1), (y, m + 1, 1), (y + 1, 1, 1)].contains(&next),
                "{last:?} then {next:?}"
            );
            last = next;
        }
    }
}
