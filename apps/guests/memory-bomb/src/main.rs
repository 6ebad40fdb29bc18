//! Touches memory until there is no more and tells how much it got. With the argument `abort` it then allocates as
//! if nothing had happened, which ends it.

/// One step.
const MIB: usize = 1 << 20;

fn main() {
    let mut taken = 0_u32;
    loop {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            break;
        }
        block.resize(MIB, 0xA5);
        // Kept without a list, which would need memory of its own.
        std::mem::forget(std::hint::black_box(block));
        taken += 1;
        if taken.is_multiple_of(16) {
            println!("got {taken} MiB");
        }
    }
    println!("no more after {taken} MiB");
    if std::env::args().any(|argument| argument == "abort") {
        std::hint::black_box(vec![0xA5_u8; MIB]);
    }
}
