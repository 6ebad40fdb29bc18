//! Sleeps, waits with a limit in time, and compares clocks. Prints `what: yes` for each thing that must hold on every
//! platform, or `what: NO` and what was found, in nanoseconds.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{Duration, Error, Inbox, Instant, Received, println, since_epoch, sleep};

vyoma::main!(main);

/// 2020-01-01: a device's clock never starts before what it last saw, and images are younger.
const YEAR_2020: Duration = Duration::from_hours(438_288);

fn main() -> Result<(), Error> {
    let ten = Duration::from_millis(10);

    let before = Instant::now();
    sleep(ten);
    let slept = before.elapsed();
    check("slept at least 10 ms", slept >= ten, slept);
    // A busy machine may be late, but not by seconds.
    check("slept less than 2 s", slept < Duration::from_secs(2), slept);

    let mut last = Instant::now();
    let mut backwards = Duration::ZERO;
    for _ in 0..1000 {
        let now = Instant::now();
        backwards = backwards.max(last - now);
        last = now;
    }
    check(
        "monotonic clock never goes back",
        backwards.is_zero(),
        backwards,
    );

    let wall = since_epoch();
    check("wall clock is past 2020", wall > YEAR_2020, wall);

    let mut inbox = Inbox::open();
    let before = Instant::now();
    let mut promised = Duration::ZERO;
    for _ in 0..5 {
        match inbox.receive_within(ten)? {
            Received::Nothing => promised = promised.saturating_add(ten),
            Received::Incoming(_) | Received::Closed => {}
        }
    }
    let waited = before.elapsed();
    check(
        "each wait without input lasted its time",
        waited >= promised,
        waited,
    );

    let before = Instant::now();
    sleep(Duration::ZERO);
    let none = before.elapsed();
    check("no sleep is short", none < Duration::from_secs(1), none);
    println!("done");
    Ok(())
}

fn check(what: &str, holds: bool, found: Duration) {
    if holds {
        println!("{what}: yes");
    } else {
        println!("{what}: NO, found {}", found.as_nanos() as u64);
    }
}
