//! Uses up what the app has where its own code can't notice. `poll` asks the host to wait for a thousand things at once: what the
//! host makes of that list takes more memory than a small app has. `loops` enters loops within loops in calls within calls: an
//! interpreter that recurses for each of them uses up its native stack between two of its checks.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use core::hint::black_box;

use vyoma::{args, println};

vyoma::main!(main);

fn main() {
    let mut room = [0; 64];
    let what = match args(&mut room).nth(1) {
        Some("poll") => 0,
        Some("loops") => 1,
        _ => 2,
    };
    match what {
        0 => println!("{} of 1000 are ready", thousand()),
        1 => {
            // A little deeper each time: at some depth the loops are what is too much, and not the next call.
            for depth in 0..200 {
                black_box(deep(depth));
            }
            println!("not reached");
        }
        _ => println!("expected the argument poll or loops"),
    }
}

/// How many of a thousand pollables are ready: the same one, a thousand times.
#[cfg(target_os = "wasi")]
fn thousand() -> usize {
    #[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.0")]
    unsafe extern "C" {
        #[link_name = "subscribe-duration"]
        safe fn subscribe_duration(nanoseconds: u64) -> u32;
    }
    #[link(wasm_import_module = "wasi:io/poll@0.2.0")]
    unsafe extern "C" {
        #[link_name = "poll"]
        fn poll(pollables: *const u32, count: usize, result: *mut [usize; 2]);
    }
    static POLLABLES: [core::sync::atomic::AtomicU32; 1000] =
        [const { core::sync::atomic::AtomicU32::new(0) }; 1000];
    let moment = subscribe_duration(0);
    for pollable in &POLLABLES {
        pollable.store(moment, core::sync::atomic::Ordering::Relaxed);
    }
    let mut result = [0; 2];
    // SAFETY: the list is as long as it says, and nobody writes to it; the result has room.
    unsafe { poll(POLLABLES.as_ptr().cast(), POLLABLES.len(), &raw mut result) };
    result[1]
}

/// Only a component has a host.
#[cfg(not(target_os = "wasi"))]
fn thousand() -> usize {
    0
}

/// Wraps `body` in a loop for each word, which runs once.
macro_rules! within {
    ($body:expr;) => { $body };
    ($body:expr; $loop:ident $($more:ident)*) => {
        loop {
            // Something between the heads of two loops, or the compiler makes one of them.
            black_box(0_u8);
            within!($body; $($more)*);
            if black_box(true) {
                break;
            }
        }
    };
}

/// Loops within loops, `depth` calls down.
fn deep(depth: u32) -> u32 {
    if depth == 0 {
        loops()
    } else {
        // Used after the call, so it can't become a loop.
        deep(black_box(depth - 1)) + black_box(1)
    }
}

#[inline(never)]
fn loops() -> u32 {
    let mut count = 0;
    within!(count += 1;
        a b c d e f g h i j k l m n o p q r s t u v w x y z
        a b c d e f g h i j k l m n o p);
    count
}
