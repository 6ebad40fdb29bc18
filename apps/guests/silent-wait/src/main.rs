//! Says `ready` and then reads standard input to its end without a word.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::inbox::{Read, Source, StandardInput};
use vyoma::{Error, println};

vyoma::main!(main);

fn main() -> Result<(), Error> {
    println!("ready");
    let mut buffer = [0; 64];
    loop {
        match StandardInput.read(&mut buffer, None) {
            Read::Bytes(_) | Read::TimedOut => {}
            Read::Closed => break,
            Read::Failed => return Err(Error),
        }
    }
    println!("input ended");
    Ok(())
}
