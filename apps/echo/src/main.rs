//! Answers every line from another app with the same line; otherwise it sleeps.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::inbox::StandardInput;
use vyoma::{Error, Inbox, Incoming, println};

vyoma::main!(main);

/// Bytes of the longest line that comes back whole.
const LONGEST: usize = 1024;

fn main() -> Result<(), Error> {
    println!("ready");
    let mut inbox = Inbox::over(StandardInput, [0; LONGEST]);
    while let Some(incoming) = inbox.receive()? {
        if let Incoming::Line(text) = incoming {
            vyoma::reply!("{text}");
        }
    }
    Ok(())
}
