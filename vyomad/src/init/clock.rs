//! The clock's floor: time never starts before a moment that is known to be past.
//!
//! Boards without a battery wake up in 1970, and then certificates, logs and file dates are nonsense. It sets the
//! clock forward to the later of the `clock` file in the state directory and the time of this source; it never
//! sets it back, and it does not keep it exact (that is NTP's work). Called by init at boot; the daemon calls [`save`]
//! now and then and at shutdown.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};

use super::{Note, files};

/// Unix seconds that no device running this source can have lived before: `SOURCE_DATE_EPOCH` of the build (images set
/// it to the commit's date, so that builds stay reproducible), else when this constant was last raised.
const BUILD_SECS: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => match decimal(text) {
        Some(secs) if secs > SOURCE_SECS => secs,
        _ => SOURCE_SECS,
    },
    None => SOURCE_SECS,
};
/// 2026-11-22 00:00 UTC; raise it with a release.
const SOURCE_SECS: u64 = 1_795_305_600;
/// A saved time further than this after the build is a damaged file, not a device that ran so long: a wrong year can't
/// be undone by a floor. 30 years.
const PLAUSIBLE_SECS: u64 = 30 * 365 * 86_400;

/// Sets the system clock forward to the floor when it is before it. A note says what was done; none: all was well.
pub(crate) fn floor(state_dir: &Path) -> Option<Note> {
    let saved = saved(&fs::read_to_string(state_dir.join("clock")).unwrap_or_default());
    let floor = lowest(saved);
    let now = now_secs();
    if now >= floor {
        return None;
    }
    let source = if saved == Some(floor) {
        "the time saved at the last run"
    } else {
        "the time of the build"
    };
    let set = TimeSpec::from_duration(Duration::from_secs(floor));
    Some(match clock_settime(ClockId::CLOCK_REALTIME, set) {
        // Read back: a note is evidence only when the kernel says the same.
        Ok(()) => Note::new(
            "clock",
            format!("was {now}, before {source}: set forward to {}", now_secs()),
        ),
        Err(error) => Note::new(
            "warning",
            format!("the clock says {now}, before {source} ({floor}), and can't be set: {error}"),
        ),
    })
}

/// Remembers the time for the next boot.
pub(crate) fn save(state_dir: &Path) -> io::Result<()> {
    files::replace(
        &state_dir.join("clock"),
        format!("{}\n", now_secs()).as_bytes(),
    )
}

/// Unix seconds by the kernel; 0 before 1970.
fn now_secs() -> u64 {
    clock_gettime(ClockId::CLOCK_REALTIME)
        .ok()
        .and_then(|now| u64::try_from(now.tv_sec()).ok())
        .unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs())
        })
}

/// The time in a `clock` file, if it can be true.
fn saved(text: &str) -> Option<u64> {
    decimal(text.trim()).filter(|secs| *secs <= BUILD_SECS + PLAUSIBLE_SECS)
}

fn lowest(saved: Option<u64>) -> u64 {
    saved.unwrap_or(0).max(BUILD_SECS)
}

const fn decimal(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    // 12 digits reach the year 33658 and can't overflow.
    if digits.is_empty() || digits.len() > 12 {
        return None;
    }
    let (mut value, mut n) = (0, 0);
    while n < digits.len() {
        if !digits[n].is_ascii_digit() {
            return None;
        }
        value = value * 10 + (digits[n] - b'0') as u64;
        n += 1;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_later_of_the_saved_time_and_the_build() {
        assert_eq!(lowest(None), BUILD_SECS);
        assert_eq!(lowest(saved("17\n")), BUILD_SECS);
        assert_eq!(
            lowest(saved(&format!("{}\n", BUILD_SECS + 5))),
            BUILD_SECS + 5
        );
    }

    #[test]
    fn a_damaged_clock_file_is_no_floor() {
        for text in [
            "",
            "soon",
            "-5",
            "99999999999",
            "999999999999999999999",
            "\u{0}\u{0}",
        ] {
            assert_eq!(saved(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_saved_clock_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("clock")).unwrap();
        assert!(now_secs() - saved(&text).unwrap() < 60);
        // The machine that runs the tests is past the floor: its clock stays as it is.
        assert_eq!(floor(dir.path()), None);
    }
}
