//! Prints UTC every second, and how far the wall clock has moved against the monotonic clock since the app started
//! (it moves when the device's clock is set or disciplined).
#![cfg_attr(target_os = "wasi", no_std, no_main)]

mod iso8601;

use iso8601::Utc;
use vyoma::{Duration, Instant, println, since_epoch, sleep};

vyoma::main!(main);

const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let started = Instant::now();
    let wall_at_start = since_epoch();
    loop {
        let wall = since_epoch();
        let drift =
            milliseconds(wall) - milliseconds(wall_at_start) - milliseconds(started.elapsed());
        println!("{} drift {drift:+} ms", Utc(wall.as_secs()));
        // To the start of the next second, whatever the last round took.
        sleep(SECOND.saturating_sub(Duration::from_nanos(wall.subsec_nanos().into())));
    }
}

/// Whole milliseconds; 292 million years are enough.
fn milliseconds(time: Duration) -> i64 {
    time.as_secs().wrapping_mul(1000).cast_signed() + i64::from(time.subsec_millis())
}
