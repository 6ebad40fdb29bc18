//! Says how many microseconds the loops of `pace-work` take, and so many calls of the host: reading the clock, and the same loop
//! without it. For `cargo xtask bench`, on a machine that counts instructions as time.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use core::hint::black_box;

use pace_work::WORKS;
use vyoma::{Instant, println};

vyoma::main!(main);

/// Calls of the host.
const CALLS: u32 = 2000;

fn main() {
    for work in &WORKS {
        let begun = Instant::now();
        let sum = (work.run)(black_box(work.rounds));
        println!("{}: {} us, sum {sum}", work.name, since(begun));
    }
    let begun = Instant::now();
    for _ in 0..CALLS {
        black_box(Instant::now());
    }
    println!("clock: {} us, {CALLS} times", since(begun));
    let begun = Instant::now();
    for _ in 0..CALLS {
        black_box(begun);
    }
    println!("nothing: {} us, {CALLS} times", since(begun));
    println!("done");
}

/// Microseconds.
fn since(begun: Instant) -> u32 {
    let took = begun.elapsed();
    took.as_secs() as u32 * 1_000_000 + took.subsec_micros()
}
