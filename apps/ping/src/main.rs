//! Sends `ping N` to the app `pong` until it has been answered five times, and logs how long each answer took.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{Duration, Error, ExitCode, Inbox, Incoming, Instant, Received, println, sleep_until};

vyoma::main!(main);

/// Round trips after which the work is done.
const ROUND_TRIPS: u32 = 5;
/// Pings after which it gives up: pong may start later than ping, but not half a minute later.
const MAX_PINGS: u32 = 30;
/// How long one answer may take, and the pause between two pings.
const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<ExitCode, Error> {
    let mut inbox = Inbox::open();
    let mut answered = 0;
    for number in 1..=MAX_PINGS {
        let sent = Instant::now();
        vyoma::send!("pong", "ping {number}");
        if wait_for(&mut inbox, number, sent + SECOND)? {
            answered += 1;
            let micros = sent.elapsed().as_nanos() as u64 / 1000;
            println!("pong {number} after {micros} us");
        } else {
            println!("no answer to ping {number}");
        }
        if answered == ROUND_TRIPS {
            println!("{number} sent, {answered} answered");
            return Ok(ExitCode::SUCCESS);
        }
        sleep_until(sent + SECOND);
    }
    println!("{MAX_PINGS} sent, {answered} answered: is the app pong running?");
    Ok(ExitCode::FAILURE)
}

/// True when the answer to that ping comes before `deadline`; other lines (late answers) are passed over.
fn wait_for(inbox: &mut Inbox, number: u32, deadline: Instant) -> Result<bool, Error> {
    loop {
        match inbox.receive_until(deadline)? {
            Received::Incoming(Incoming::Line(line)) if is_pong(line, number) => return Ok(true),
            Received::Incoming(_) => {}
            Received::Nothing | Received::Closed => return Ok(false),
        }
    }
}

fn is_pong(line: &str, number: u32) -> bool {
    line.strip_prefix("pong ")
        .is_some_and(|text| text.parse() == Ok(number))
}
