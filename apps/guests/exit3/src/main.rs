//! Exits with code 3. WASI 0.2 tells success from failure and nothing more (`wasi:cli/exit` `exit(result)`), so the
//! supervisor sees code 1, and must see it on every engine.

fn main() {
    println!("about to exit with 3");
    std::process::exit(3);
}
