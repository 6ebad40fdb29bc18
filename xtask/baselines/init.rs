//! The least that can be booted: prints one line as PID 1 and waits. The baseline of the boot figures in
//! docs/benchmarks.md; `cargo xtask bench` compiles it with rustc, statically, for each architecture.

fn main() {
    println!("bare init: up");
    loop {
        std::thread::park();
    }
}
