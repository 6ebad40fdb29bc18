//! Prints 10 MiB without a newline, then a normal line.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for _ in 0..10 * 1024 {
        out.write_all(&[b'x'; 1024])?;
    }
    out.write_all(b"\nafter the huge line\n")
}
