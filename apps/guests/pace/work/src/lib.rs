//! Small loops of three kinds: calls, bits and memory. The app `pace` runs them in wasm3, and the firmware that `cargo xtask bench`
//! builds runs the same source in native code, on the same machine in the same run. They use no more than some hundred bytes of
//! stack, and no floating point, which the processor does not have.
#![no_std]

use core::hint::black_box;

/// A loop.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// What it is called.
    pub name: &'static str,
    /// How often it does what it does: some million instructions in wasm3.
    pub rounds: u32,
    /// Does it so often; a number that depends on all of it.
    pub run: fn(u32) -> u32,
}

/// All of them.
pub const WORKS: [Work; 3] = [
    Work {
        name: "calls",
        rounds: 40,
        run: calls,
    },
    Work {
        name: "bits",
        rounds: 40,
        run: bits,
    },
    Work {
        name: "memory",
        rounds: 40,
        run: memory,
    },
];

/// Small functions that call each other.
fn calls(rounds: u32) -> u32 {
    (0..rounds).fold(0, |sum, round| {
        sum.rotate_left(5) ^ fib(black_box(13 + (round & 1)))
    })
}

fn fib(n: u32) -> u32 {
    if n < 2 {
        n
    } else {
        fib(n - 1).wrapping_add(fib(n - 2))
    }
}

/// CRC-32 of 256 bytes, bit by bit: arithmetic on two variables.
fn bits(rounds: u32) -> u32 {
    let mut sum = !0_u32;
    for round in 0..rounds {
        for byte in 0..256 {
            sum ^= byte ^ round;
            for _ in 0..8 {
                let carry = sum & 1;
                sum = (sum >> 1) ^ (0xedb8_8320 * carry);
            }
        }
        sum = black_box(sum);
    }
    !sum
}

/// 64 numbers are made and sorted where they lie: loads, stores and comparisons.
fn memory(rounds: u32) -> u32 {
    let mut seed = 1_u32;
    let mut sum = 0_u32;
    for _ in 0..rounds {
        let mut numbers = [0_u32; 64];
        for number in &mut numbers {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *number = seed >> 8;
        }
        let numbers = black_box(&mut numbers);
        for end in 1..numbers.len() {
            let mut at = end;
            while at > 0 && numbers[at - 1] > numbers[at] {
                numbers.swap(at - 1, at);
                at -= 1;
            }
        }
        sum = sum.rotate_left(7) ^ numbers[0] ^ numbers[63];
    }
    sum
}
