//! Answers `ping N` from any app with `pong N`.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{Error, Inbox, Incoming};

vyoma::main!(main);

fn main() -> Result<(), Error> {
    let mut inbox = Inbox::open();
    while let Some(incoming) = inbox.receive()? {
        if let Incoming::Line(line) = incoming
            && let Some(number) = line.strip_prefix("ping ")
        {
            vyoma::reply!("pong {number}");
        }
    }
    Ok(())
}
