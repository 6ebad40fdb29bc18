//! Lays out the program of small devices (layout.ld says why); only lld understands the script.

use std::path::Path;

fn main() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("layout.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    if std::env::var_os("CARGO_FEATURE_LAYOUT").is_some() {
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    }
}
