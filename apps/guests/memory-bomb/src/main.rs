//! Touches memory until there is no more and tells how much it got. With the argument `abort` it then panics, as a program
//! does whose allocation fails.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{args, println};

vyoma::main!(main);

/// One step, in bytes.
const MIB: usize = 1 << 20;

fn main() {
    let mut taken = 0_u32;
    while grow() {
        taken += 1;
        if taken.is_multiple_of(16) {
            println!("got {taken} MiB");
        }
    }
    println!("no more after {taken} MiB");
    let mut room = [0; 128];
    assert!(
        args(&mut room).all(|argument| argument != "abort"),
        "memory allocation failed"
    );
}

/// One step more of linear memory, all of it touched; false when there is none.
#[cfg(target_arch = "wasm32")]
fn grow() -> bool {
    use core::arch::wasm32::memory_grow;

    const PAGE: usize = 65536;
    let pages = memory_grow::<0>(MIB / PAGE);
    if pages == usize::MAX {
        return false;
    }
    // SAFETY: these pages are new, and nothing else knows of them.
    unsafe {
        core::ptr::with_exposed_provenance_mut::<u8>(pages * PAGE).write_bytes(0xA5, MIB);
    }
    true
}

/// Only in a component is there an end to find.
#[cfg(not(target_arch = "wasm32"))]
fn grow() -> bool {
    let _ = MIB;
    false
}
