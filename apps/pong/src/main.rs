//! Answers `ping N` from any app with `pong N`.

use std::io;

use vyoma::{Inbox, Incoming};

fn main() -> io::Result<()> {
    let mut inbox = Inbox::open();
    while let Some(incoming) = inbox.receive()? {
        if let Incoming::Line(line) = incoming
            && let Some(number) = line.strip_prefix("ping ")
        {
            vyoma::reply(format_args!("pong {number}"));
        }
    }
    Ok(())
}
