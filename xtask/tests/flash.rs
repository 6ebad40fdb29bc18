//! `cargo xtask flash` without a board: what is missing is named on one line, before anything is built.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Runs it with the programs in `tools` and no others.
fn flash(tools: &Path, board: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["flash", "--board", board])
        .env("PATH", tools)
        .output()
        .expect("running xtask")
}

/// The one line that it says.
fn said(output: &Output) -> String {
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// A folder with a `probe-rs` that says `text`.
fn probe_rs(text: &str) -> tempfile::TempDir {
    let tools = tempfile::tempdir().expect("a temporary folder");
    let program = tools.path().join("probe-rs");
    fs::write(&program, format!("#!/bin/sh\necho '{text}'\n")).expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("permissions");
    tools
}

#[test]
fn without_probe_rs_it_says_how_to_install_it() {
    let tools = tempfile::tempdir().expect("a temporary folder");
    let said = said(&flash(tools.path(), "b-l475e-iot01a"));
    assert!(
        said.contains("probe-rs is not installed") && said.contains("cargo install probe-rs-tools"),
        "{said}"
    );
}

#[test]
fn without_a_probe_it_says_what_to_connect() {
    let tools = probe_rs("No debug probes were found.");
    let said = said(&flash(tools.path(), "b-l475e-iot01a"));
    assert!(
        said.contains("no debug probe is connected") && said.contains("ST-LINK"),
        "{said}"
    );
}

#[test]
fn a_board_that_only_qemu_has_is_refused() {
    let tools = probe_rs("[0]: STLink V2-1 -- 0483:374b:0 (ST-LINK)");
    let said = said(&flash(tools.path(), "mps2-an385"));
    assert!(said.contains("QEMU only"), "{said}");
}
