//! Exits with code 3. WASI 0.2 tells success from failure and nothing more (`wasi:cli/exit` `exit(result)`), so the
//! supervisor sees code 1, and must see it on every engine.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{exit, println};

vyoma::main!(main);

fn main() {
    println!("about to exit with 3");
    exit(3);
}
