//! Builds the app with cargo, which says on standard error what is wrong with it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::plain;
use crate::exit::{Exit, Failure};

/// The target of apps.
const TARGET: &str = "wasm32-wasip2";

/// The cargo that runs us, or the one in the path.
pub(super) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// There is no cargo.
pub(super) fn no_cargo(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot run {}: {}; install Rust (rustup.rs), then `rustup target add {TARGET}`",
            cargo().to_string_lossy(),
            plain(error)
        ),
    )
}

/// Builds the crate in `folder` as it is installed. True when it could be built; cargo has said why when not.
pub(super) fn build(folder: &Path, quiet: bool) -> Result<bool, Failure> {
    let mut command = Command::new(cargo());
    command
        .args(["build", "--release", "--target", TARGET])
        .current_dir(folder)
        .stdin(Stdio::null())
        // What cargo says goes to standard error; our standard output is for documents.
        .stdout(Stdio::null());
    if quiet {
        command.arg("--quiet");
    }
    let status = command.status().map_err(|error| no_cargo(&error))?;
    Ok(status.success())
}
