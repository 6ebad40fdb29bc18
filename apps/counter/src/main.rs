//! Prints a count every second; answers any line from another app with the count.
//!
//! Shows how one thread waits for lines and for time at once.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{Duration, Error, Inbox, Incoming, Instant, Received, println, sleep_until};

vyoma::main!(main);

const TICK: Duration = Duration::from_secs(1);

fn main() -> Result<(), Error> {
    let mut inbox = Inbox::open();
    let mut listening = true;
    let mut count: u64 = 0;
    let mut next = Instant::now() + TICK;
    loop {
        if Instant::now() >= next {
            count += 1;
            println!("count {count}");
            // From the last due time, not from now: the count doesn't lag.
            next += TICK;
        } else if listening {
            match inbox.receive_until(next)? {
                Received::Incoming(Incoming::Line(_)) => vyoma::reply!("{count}"),
                Received::Incoming(_) | Received::Nothing => {}
                Received::Closed => listening = false,
            }
        } else {
            sleep_until(next);
        }
    }
}
