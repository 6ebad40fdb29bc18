//! Prints numbered lines as fast as it can, for ever or as many as the first argument says.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{args, println};

vyoma::main!(main);

fn main() {
    let mut room = [0; 128];
    let limit = args(&mut room)
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(u64::MAX);
    for number in 0..limit {
        println!("flood {number}");
    }
}
