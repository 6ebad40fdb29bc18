//! Durations, sizes and times: how people write them on the command line and read them in tables. Pure functions.

use std::time::Duration;

/// Longest duration that is taken: a year. More is a slip of the keyboard.
const MAX: Duration = Duration::from_hours(366 * 24);

/// Reads `500ms`, `30s`, `5m`, `2h`, `1d` or a sum such as `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str =
        "expected a number and a unit of ms, s, m, h or d, such as 30s, 5m or 1h30m";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => return Err(EXPECTED.to_owned()),
        };
        let part = number
            .checked_mul(millis)
            .map(Duration::from_millis)
            .filter(|part| *part <= MAX)
            .ok_or("more than a year")?;
        total += part;
        if total > MAX {
            return Err("more than a year".to_owned());
        }
        rest = tail;
    }
    Ok(total)
}

/// A point in time, as `--since` names it. The device's clock counts: a device may have no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long before the device's present.
    Ago(Duration),
    /// Unix time in milliseconds.
    At(u64),
}

impl Since {
    /// Reads a duration, or a time of RFC 3339.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(unix_ms) = parse_time(text) {
            return Ok(Self::At(unix_ms));
        }
        parse_duration(text)
            .map(Self::Ago)
            .map_err(|error| format!("{error}, or a time of RFC 3339 such as 2026-11-26T09:30:00Z"))
    }

    /// Unix milliseconds at which it begins, on a device whose clock is at `now_ms`.
    pub(crate) fn begins_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::Ago(ago) => now_ms.saturating_sub(millis(ago)),
            Self::At(unix_ms) => unix_ms,
        }
    }
}

/// Milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Unix milliseconds of a time as RFC 3339 (section 5.6) writes it, `2026-11-26T09:30:00.5+01:00`: a space may stand for the
/// `T`, as in what `logs` shows, and without a zone it is UTC, likewise. None for what is no such time, or before 1970.
fn parse_time(text: &str) -> Option<u64> {
    let text = text.trim();
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let offset_minutes = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
            let minutes = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
            if zone.starts_with('-') {
                minutes.cast_signed()
            } else {
                -minutes.cast_signed()
            }
        }
    };
    if hour > 23 || minute > 59 || second > 60 || fraction.is_empty() {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let days = days_from_civil(year, month, day)?;
    let seconds = (days * 86_400 + hour * 3600 + minute * 60 + second)
        .checked_add_signed(offset_minutes * 60)?;
    Some(seconds * 1000 + thousandths)
}

/// The numbers of `2026-11-26`, each of exactly so many digits.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut values = [0; N];
    let mut parts = text.split(between);
    for (value, count) in values.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != count || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *value = part.parse().ok()?;
    }
    parts.next().is_none().then_some(values)
}

/// Days since 1970-01-01; none for a day that there is not, or one before.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 || year < 1970 {
        return None;
    }
    // Howard Hinnant's `days_from_civil`; `civil` is its inverse, and refuses what it made of the 30th of February.
    let shifted = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Reads the name of an app: what can't be one is refused before a device is asked.
pub(crate) fn parse_app(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(',') {
        return Err(
            "expected the name of an app; several names are separated by spaces".to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Like [`parse_duration`], but nothing is too short to repeat at.
pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    // 100 ms: a device should not spend its time on being watched.
    if interval < Duration::from_millis(100) {
        return Err("expected 100ms or more".to_owned());
    }
    Ok(interval)
}

/// Reads a timeout: seconds, with a fraction if need be; more than 0, at most a day.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    const DAY: f64 = 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= DAY => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected seconds, more than 0 and at most 86400, such as 5 or 0.5".to_owned()),
    }
}

/// `340ms`, `12s`, `3m12s`, `2h05m`, `3d02h`: two units at most.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match () {
        () if seconds == 0 => format!("{millis}ms"),
        () if minutes == 0 => format!("{seconds}s"),
        () if hours == 0 => format!("{minutes}m{:02}s", seconds % 60),
        () if days == 0 => format!("{hours}h{:02}m", minutes % 60),
        () => format!("{days}d{:02}h", hours % 24),
    }
}

/// KiB as `640 KiB`, `1.5 MiB`, `2.0 GiB`.
pub(crate) fn kib(kib: u64) -> String {
    const MIB: u64 = 1024;
    const GIB: u64 = 1024 * 1024;
    match kib {
        0..MIB => format!("{kib} KiB"),
        MIB..GIB => format!("{:.1} MiB", kib as f64 / MIB as f64),
        _ => format!("{:.1} GiB", kib as f64 / GIB as f64),
    }
}

/// Unix milliseconds as `2026-11-22 20:41:03.123`, UTC: a device has no other time zone.
pub(crate) fn time(unix_ms: u64) -> String {
    let (days, in_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hours, minutes, seconds, millis) = (
        in_day / 3_600_000,
        in_day / 60_000 % 60,
        in_day / 1000 % 60,
        in_day % 1000,
    );
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant's `civil_from_days`, for days >= 0).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_and_summed() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1h30m", 5_400_000),
            (" 1m5s ", 65_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "5y",
            "1.5h",
            "5M",
            "5m3",
            "５m",
            "\u{1b}[31m",
        ] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.contains("such as"), "{text}: {error}");
        }
        assert_eq!(parse_duration("400d"), Err("more than a year".to_owned()));
        assert_eq!(
            parse_duration("18446744073709551615d"),
            Err("more than a year".to_owned())
        );
        assert_eq!(
            parse_duration("300d300d"),
            Err("more than a year".to_owned())
        );
    }

    #[test]
    fn a_beginning_is_a_duration_or_a_time_of_rfc_3339() {
        assert_eq!(Since::parse("10m"), Ok(Since::Ago(Duration::from_mins(10))));
        for (text, unix_ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00.123Z", 951_782_400_123),
            ("2000-02-29 00:00:00.123", 951_782_400_123),
            ("2000-02-29t01:30:00.12345+01:30", 951_782_400_123),
            ("2000-02-28T19:00:00.1-05:00", 951_782_400_100),
            ("2024-12-31T23:59:60Z", 1_735_689_600_000),
        ] {
            assert_eq!(Since::parse(text), Ok(Since::At(unix_ms)), "{text}");
        }
        for text in [
            "2000-02-30T00:00:00Z",
            "2000-13-01T00:00:00Z",
            "1969-12-31T00:00:00Z",
            "2000-02-29",
            "2000-02-29T24:00:00Z",
            "2000-02-29T00:00:00.Z",
            "2000-02-29T00:00:00+99:00",
            "2000-02-29T00:00Z",
            "+000-02-29T00:00:00Z",
            "yesterday",
        ] {
            let error = Since::parse(text).expect_err(text);
            assert!(error.contains("2026-11-26T09:30:00Z"), "{text}: {error}");
        }
        assert_eq!(Since::Ago(Duration::from_secs(2)).begins_ms(1500), 0);
        assert_eq!(Since::At(7).begins_ms(1500), 7);
    }

    #[test]
    fn every_day_of_four_centuries_is_found_again() {
        for days in 0..146_097 {
            let (year, month, day) = civil(days);
            assert_eq!(days_from_civil(year, month, day), Some(days));
        }
    }

    #[test]
    fn an_interval_that_would_keep_the_device_busy_is_refused() {
        assert!(parse_interval("99ms").is_err());
        assert_eq!(parse_interval("100ms"), Ok(Duration::from_millis(100)));
    }

    #[test]
    fn timeouts_are_positive_seconds() {
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "NaN", "inf", "1e9", "5s", ""] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_and_sizes_read_well() {
        assert_eq!(duration(0), "0ms");
        assert_eq!(duration(12_999), "12s");
        assert_eq!(duration(192_000), "3m12s");
        assert_eq!(duration(7_500_000), "2h05m");
        assert_eq!(duration(266_400_000), "3d02h");
        assert_eq!(kib(640), "640 KiB");
        assert_eq!(kib(1536), "1.5 MiB");
        assert_eq!(kib(2 * 1024 * 1024), "2.0 GiB");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00.000");
        assert_eq!(time(951_782_400_123), "2000-02-29 00:00:00.123");
        assert_eq!(time(1_735_689_599_999), "2024-12-31 23:59:59.999");
        assert_eq!(time(4_107_542_400_000), "2100-03-01 00:00:00.000");
        // Whatever a device claims, nothing overflows.
        let _ = time(u64::MAX);
    }
}
