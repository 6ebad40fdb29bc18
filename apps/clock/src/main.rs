//! Prints UTC every second, and how far the wall clock has moved against the monotonic clock since the app started
//! (it moves when the device's clock is set or disciplined).

mod iso8601;

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iso8601::Utc;

fn main() {
    let started = Instant::now();
    let wall_at_start = since_epoch();
    loop {
        let wall = since_epoch();
        let drift =
            milliseconds(wall) - milliseconds(wall_at_start) - milliseconds(started.elapsed());
        println!("{} drift {drift:+} ms", Utc(wall.as_secs()));
        // To the start of the next second, whatever the last round took.
        thread::sleep(Duration::from_nanos(
            1_000_000_000 - u64::from(wall.subsec_nanos()),
        ));
    }
}

/// A clock before 1970 counts as 1970.
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
