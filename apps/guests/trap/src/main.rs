//! Says a last line and executes `unreachable`.

fn main() {
    println!("about to trap");
    #[cfg(target_arch = "wasm32")]
    std::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}
