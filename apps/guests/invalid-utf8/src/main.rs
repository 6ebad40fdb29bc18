//! Prints lines that are not UTF-8, in each of the ways that there are.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::print::{Stream, bytes};
use vyoma::{print, println};

vyoma::main!(main);

/// Name of the fault and the bytes that have it.
const FAULTS: [(&str, &[u8]); 6] = [
    ("never a byte of UTF-8", b"\xff\xfe"),
    ("continuation without a start", b"\x80\xbf"),
    ("cut short", b"\xe2\x82"),
    ("overlong", b"\xc0\xaf"),
    ("surrogate", b"\xed\xa0\x80"),
    ("NUL", b"\x00"),
];

fn main() {
    for (name, fault) in FAULTS {
        print!("{name}: <");
        bytes(Stream::Out, fault);
        println!(">");
    }
    // A message, too: its target gets text, whatever was sent.
    bytes(Stream::Out, b"@echo: <\xff>\ndone\n");
}
