//! Brings the profile and the board's memory layout to the compiler and the linker.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The platform whose profile is built in.
const PLATFORM: &str = "mcu-minimal";

/// Boards: the features of Cargo.toml, and the linker scripts in memory/.
const BOARDS: [&str; 2] = ["mps2-an385", "b-l475e-iot01a"];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // By path, not from vyoma-capabilities' own copy, so that a changed profile is noticed.
    let file = Path::new("../../profiles").join(format!("{PLATFORM}.toml"));
    println!("cargo:rerun-if-changed={}", file.display());
    println!("cargo:rerun-if-changed=memory");
    let text =
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let profile = vyoma_capabilities::profile::parse(&file.display().to_string(), &text)
        .unwrap_or_else(|error| panic!("{error}"));

    let constants = format!(
        "/// `max_apps` of the profile.\npub(crate) const MAX_APPS: usize = {};\n\
         /// `stack_size_kb` of the profile, in bytes.\npub(crate) const STACK_BYTES: u32 = {};\n",
        profile.max_apps,
        profile
            .runtime
            .stack_size_kb
            .expect("a microcontroller's profile has stack_size_kb")
            * 1024,
    );
    write(&out.join("constants.rs"), constants.as_bytes());
    write(
        &out.join("profile.bin"),
        &postcard::to_allocvec(&profile).expect("a profile can be encoded"),
    );

    let board = BOARDS.into_iter().find(|board| {
        env::var_os(format!(
            "CARGO_FEATURE_{}",
            board.to_uppercase().replace('-', "_")
        ))
        .is_some()
    });
    let Some(board) = board else {
        // src/board/mod.rs says what is missing.
        return;
    };
    println!("cargo:rustc-env=VYOMA_BOARD={board}");
    let script = fs::read(format!("memory/{board}.x"))
        .unwrap_or_else(|error| panic!("memory/{board}.x: {error}"));
    write(&out.join("memory.x"), &script);
    write(
        &out.join("layout.x"),
        &fs::read("memory/layout.x").expect("memory/layout.x"),
    );
    write(
        &out.join("ram_kb.x"),
        format!("__ram_kb = {};\n", profile.ram_kb).as_bytes(),
    );
    if board == "mps2-an385" {
        // The interrupts that no driver takes; chip crates bring this file for their chips.
        write(&out.join("device.x"), b"");
    }
    println!("cargo:rustc-link-search={}", out.display());
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
