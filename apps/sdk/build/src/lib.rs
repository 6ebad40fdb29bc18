//! For build scripts of apps that fit a microcontroller: how such a component is linked. It depends on the app alone, not on
//! whoever builds it or where, so the bytes stay the same everywhere.
//!
//! The main function of an app's `build.rs` is one call: `vyoma_build::small_app(1024);`

/// Links the app with a shadow stack of `stack_bytes` (a multiple of 16), and without the padding that linkers leave in code.
///
/// The shadow stack holds what a function keeps in memory: arrays, structs, what is passed by reference. It lies below the app's
/// data, so one that is too small traps ("out of bounds memory access"). All of it counts as RAM on a microcontroller. An app
/// without `std` that prints with the macros of `vyoma` needs about 300 bytes besides its own; with `core::fmt`, 1 KiB; an
/// [`Inbox`](../vyoma/struct.Inbox.html) has its room there too, if it is a local variable.
pub fn small_app(stack_bytes: u32) {
    assert!(
        stack_bytes > 0 && stack_bytes.is_multiple_of(16),
        "stack of an app: found {stack_bytes} bytes; expected a multiple of 16"
    );
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").as_deref() != Ok("wasm") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-zstack-size={stack_bytes}");
    // The linker can't do this and keep debug information.
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo::rustc-link-arg-bins=--strip-debug");
        println!("cargo::rustc-link-arg-bins=--compress-relocations");
    }
}
