//! The conformance suite of all adapters, on machine code that `vyoma-aotc` made for aarch64: the suite's own binary for
//! that processor runs each case under qemu's user mode emulation (but those with a folder, for which that lacks a system
//! call: they run in booted images). Among the cases are a guest that reads past its memory
//! and one that recurses without end.

mod aotc;

use std::process::{Command, ExitCode};

use vyoma_adapter_wamr::CpuLevel;

const TARGET: &str = "aarch64-unknown-linux-musl";

/// Debian's names for the emulator: static in Debian 12, not in 13.
const EMULATORS: [&str; 2] = ["qemu-aarch64-static", "qemu-aarch64"];

fn main() -> ExitCode {
    match children() {
        Ok(command) => vyoma_runtime::conformance::main_through(
            &aotc::Ahead::new(CpuLevel::V8),
            command,
            false,
        ),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn children() -> Result<Vec<std::ffi::OsString>, String> {
    let emulator = EMULATORS
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_ok())
        .ok_or("qemu-aarch64-static is not installed: it is in Debian's qemu-user-static (12) or qemu-user (13)")?;
    let binary = aotc::executable(
        &[
            "test",
            "--no-run",
            "--quiet",
            "--package",
            "vyoma-adapter-wamr",
            "--test",
            "conformance_aot",
            "--target",
            TARGET,
        ],
        "conformance_aot",
    )?;
    Ok(vec![emulator.into(), binary.into()])
}
