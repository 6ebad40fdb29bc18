//! Recurses until its stack is used up.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use core::hint::black_box;

use vyoma::println;

vyoma::main!(main);

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn dig(depth: u64) -> u64 {
    let level = black_box([depth; 8]);
    // Used after the call, so it can't become a loop.
    dig(black_box(level[0] + 1)) + level[7]
}

fn main() {
    println!("about to overflow the stack");
    println!("not reached: {}", dig(0));
}
