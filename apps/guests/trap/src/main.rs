//! Says a last line and executes `unreachable`.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::println;

vyoma::main!(main);

fn main() {
    println!("about to trap");
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}
