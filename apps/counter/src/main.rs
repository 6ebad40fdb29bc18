//! Prints a count every second; answers any line from another app with the count.
//!
//! Shows how one thread waits for lines and for time at once.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use vyoma::{Inbox, Incoming, Received};

const TICK: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let mut inbox = Inbox::open();
    let mut listening = true;
    let mut count: u64 = 0;
    let mut next = Instant::now() + TICK;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        if left.is_zero() {
            count += 1;
            vyoma::log(format_args!("count {count}"));
            // From the last due time, not from now: the count doesn't lag.
            next += TICK;
        } else if listening {
            match inbox.receive_within(left)? {
                Received::Incoming(Incoming::Line(_)) => vyoma::reply(count),
                Received::Incoming(_) | Received::Nothing => {}
                Received::Closed => listening = false,
            }
        } else {
            thread::sleep(left);
        }
    }
}
