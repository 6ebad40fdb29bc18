//! Keeps every line that it hears in order, in the heap of an app without `std`: `list` answers with all of them, `forget` forgets
//! them. When there is no room for one more it ends, as any program does whose allocation fails.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use vyoma::{Error, Inbox, Incoming, println, reply};

vyoma::main!(main, heap = 1024, panic = place);

fn main() -> Result<(), Error> {
    println!("ready");
    let mut lines: Vec<String> = Vec::new();
    let mut inbox = Inbox::open();
    while let Some(incoming) = inbox.receive()? {
        match incoming {
            Incoming::Line("list") => reply!("{}", lines.join(" ")),
            Incoming::Line("forget") => lines.clear(),
            Incoming::Line(line) => {
                let place = lines.partition_point(|other| other.as_str() < line);
                lines.insert(place, line.into());
            }
            _ => {}
        }
    }
    println!("{} lines", lines.len());
    Ok(())
}
