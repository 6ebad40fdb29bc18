//! Computes for ever and never calls the host again.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use core::hint::black_box;

use vyoma::println;

vyoma::main!(main);

fn main() {
    println!("ready");
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}
