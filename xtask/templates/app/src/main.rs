//! Greets, and answers whoever writes to it.

use std::io;

use vyoma::{Inbox, Incoming};

fn main() -> io::Result<()> {
    vyoma::log("hello from {{name}}");
    let mut inbox = Inbox::open();
    while let Some(incoming) = inbox.receive()? {
        if let Incoming::Line(text) = incoming {
            vyoma::reply(format_args!("you said: {text}"));
        }
    }
    Ok(())
}
