//! Prints numbered lines as fast as it can, for ever or as many as the first argument says. Writes whole blocks of
//! lines: one host call for a few thousand bytes.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Bytes written at once.
const BLOCK: usize = 4000;

fn main() -> io::Result<()> {
    let limit = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(u64::MAX);
    let mut out = io::stdout().lock();
    let mut block = String::new();
    for number in 0..limit {
        // Writing to a String can't fail.
        let _ = writeln!(block, "flood {number}");
        if block.len() >= BLOCK {
            out.write_all(block.as_bytes())?;
            block.clear();
        }
    }
    out.write_all(block.as_bytes())
}
