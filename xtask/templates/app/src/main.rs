//! Greets, and answers whoever writes to it.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{Error, Inbox, Incoming, log, reply};

vyoma::main!(main);

fn main() -> Result<(), Error> {
    log!("hello from {{name}}");
    let mut inbox = Inbox::open();
    while let Some(incoming) = inbox.receive()? {
        if let Incoming::Line(text) = incoming {
            reply!("you said: {text}");
        }
    }
    Ok(())
}
