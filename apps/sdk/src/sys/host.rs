//! The same over `std`, where an app's tests run.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use super::{Read, Stream};

/// Writes all bytes. Errors are swallowed.
pub(crate) fn write(stream: Stream, bytes: &[u8]) {
    let _ = match stream {
        Stream::Out => std::io::stdout().lock().write_all(bytes),
        Stream::Err => std::io::stderr().lock().write_all(bytes),
    };
}

/// Nanoseconds since the first call.
pub(crate) fn now() -> u64 {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let since = BEGINNING.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Sleeps.
pub(crate) fn sleep(nanoseconds: u64) {
    std::thread::sleep(Duration::from_nanos(nanoseconds));
}

/// Sleeps until a moment of [`now`].
pub(crate) fn sleep_until(moment: u64) {
    sleep(moment.saturating_sub(now()));
}

/// Seconds since 1970 and nanoseconds of the second; 1970 for a clock that is before.
pub(crate) fn wall() -> (u64, u32) {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    (since.as_secs(), since.subsec_nanos())
}

/// Ends the program as a trap would.
pub(crate) fn trap() -> ! {
    std::process::abort()
}

/// Ends the program.
pub(crate) fn exit(failed: bool) -> ! {
    std::process::exit(failed.into())
}

/// Reads standard input.
pub(crate) fn read(_buffer: &mut [u8], _deadline: Option<u64>) -> Read {
    Read::Closed
}
