//! Greets as any Rust program does, with the standard library: what that brings along must be there on every platform, used or not.

fn main() {
    println!("Hello from the standard library!");
    println!(
        "arguments: {:?}",
        std::env::args().skip(1).collect::<Vec<_>>()
    );
}
