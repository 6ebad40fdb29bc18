//! Recurses until its stack is used up.

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn dig(depth: u64) -> u64 {
    let level = std::hint::black_box([depth; 8]);
    // Used after the call, so it can't become a loop.
    dig(std::hint::black_box(level[0] + 1)) + level[7]
}

fn main() {
    println!("about to overflow the stack");
    println!("not reached: {}", dig(0));
}
