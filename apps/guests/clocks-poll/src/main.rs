//! Sleeps, waits with a limit in time, and compares clocks. Prints `what: yes` for each thing that must hold on every
//! platform, or `what: NO` and what was found.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use vyoma::{Inbox, Received};

/// 2020-01-01: a device's clock never starts before what it last saw, and images are younger.
const YEAR_2020: u64 = 1_577_836_800;

fn main() -> std::io::Result<()> {
    let ten = Duration::from_millis(10);

    let before = Instant::now();
    thread::sleep(ten);
    let slept = before.elapsed();
    check("slept at least 10 ms", slept >= ten, slept);
    // A busy machine may be late, but not by seconds.
    check("slept less than 2 s", slept < Duration::from_secs(2), slept);

    let mut last = Instant::now();
    let backwards = (0..1000).filter(|_| {
        let now = Instant::now();
        now < std::mem::replace(&mut last, now)
    });
    let backwards = backwards.count();
    check("monotonic clock never goes back", backwards == 0, backwards);

    let wall = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    check("wall clock is past 2020", wall.as_secs() > YEAR_2020, wall);

    let mut inbox = Inbox::open();
    let before = Instant::now();
    let mut rounds = 0;
    for _ in 0..5 {
        match inbox.receive_within(ten).map_err(std::io::Error::other)? {
            Received::Nothing => rounds += 1,
            Received::Incoming(_) | Received::Closed => {}
        }
    }
    let waited = before.elapsed();
    check(
        "each wait without input lasted its time",
        waited >= ten * rounds,
        (waited, rounds),
    );

    let before = Instant::now();
    thread::sleep(Duration::ZERO);
    let none = before.elapsed();
    check("no sleep is short", none < Duration::from_secs(1), none);
    println!("done");
    Ok(())
}

fn check(what: &str, holds: bool, found: impl Debug) {
    if holds {
        println!("{what}: yes");
    } else {
        println!("{what}: NO, found {found:?}");
    }
}
