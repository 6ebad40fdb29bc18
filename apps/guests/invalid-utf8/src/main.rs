//! Prints lines that are not UTF-8, in each of the ways that there are.

use std::io::{self, Write};

/// Name of the fault and the bytes that have it.
const FAULTS: [(&str, &[u8]); 6] = [
    ("never a byte of UTF-8", b"\xff\xfe"),
    ("continuation without a start", b"\x80\xbf"),
    ("cut short", b"\xe2\x82"),
    ("overlong", b"\xc0\xaf"),
    ("surrogate", b"\xed\xa0\x80"),
    ("NUL", b"\x00"),
];

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (name, bytes) in FAULTS {
        write!(out, "{name}: <")?;
        out.write_all(bytes)?;
        out.write_all(b">\n")?;
    }
    // A message, too: its target gets text, whatever was sent.
    out.write_all(b"@echo: <\xff>\ndone\n")
}
