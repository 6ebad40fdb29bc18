//! Answers every line from another app with the same line; otherwise it sleeps.

use std::io;

use vyoma::{Inbox, Incoming};

fn main() -> io::Result<()> {
    vyoma::log("ready");
    let mut inbox = Inbox::open();
    while let Some(incoming) = inbox.receive()? {
        if let Incoming::Line(text) = incoming {
            vyoma::reply(text);
        }
    }
    Ok(())
}
