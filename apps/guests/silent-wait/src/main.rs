//! Says `ready` and then reads standard input to its end without a word.

use std::io::{self, Read};

fn main() -> io::Result<()> {
    println!("ready");
    let mut buffer = [0; 64];
    while io::stdin().read(&mut buffer)? > 0 {}
    println!("input ended");
    Ok(())
}
