//! Sends `ping N` to the app `pong` until it has been answered five times, and logs how long each answer took.

use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use vyoma::{Inbox, Incoming, Received};

/// Round trips after which the work is done.
const ROUND_TRIPS: u32 = 5;
/// Pings after which it gives up: pong may start later than ping, but not half a minute later.
const MAX_PINGS: u32 = 30;
/// How long one answer may take, and the pause between two pings.
const SECOND: Duration = Duration::from_secs(1);

fn main() -> io::Result<ExitCode> {
    let mut inbox = Inbox::open();
    let mut answered = 0;
    for number in 1..=MAX_PINGS {
        let sent = Instant::now();
        vyoma::send("pong", format_args!("ping {number}"));
        if wait_for(&mut inbox, &format!("pong {number}"), sent + SECOND)? {
            answered += 1;
            let micros = sent.elapsed().as_micros();
            vyoma::log(format_args!("pong {number} after {micros} us"));
        } else {
            vyoma::log(format_args!("no answer to ping {number}"));
        }
        if answered == ROUND_TRIPS {
            vyoma::log(format_args!("{number} sent, {answered} answered"));
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep((sent + SECOND).saturating_duration_since(Instant::now()));
    }
    vyoma::log(format_args!(
        "{MAX_PINGS} sent, {answered} answered: is the app pong running?"
    ));
    Ok(ExitCode::FAILURE)
}

/// True when `expected` comes before `deadline`; other lines (late answers) are passed over.
fn wait_for(inbox: &mut Inbox, expected: &str, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match inbox.receive_within(left)? {
            Received::Incoming(Incoming::Line(line)) if line == expected => return Ok(true),
            Received::Incoming(_) => {}
            Received::Nothing | Received::Closed => return Ok(false),
        }
    }
}
