//! Computes for ever and never calls the host again.

fn main() {
    println!("ready");
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}
