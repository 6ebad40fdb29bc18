//! Helpers for whole-system tests, so that a test is a few lines: a hosted daemon with a state directory of its own,
//! a device in QEMU, or a microcontroller's board there, `vyomactl` against any of them, and waiting for what is to happen.
//!
//! The binaries and apps come from the environment (`make test` sets it). A test without them fails and says so; it
//! never skips.

pub mod board;
pub mod booted;
pub mod desk;
pub mod frames;
pub mod hosted;
pub mod operator;
pub mod qtest;
pub mod turn;
pub mod wire;

use std::fs;
use std::path::{Path, PathBuf};

/// A path that `make test` hands over.
///
/// # Panics
/// When it is not set: these tests need what `make test` builds first.
pub fn from_make_test(variable: &str) -> PathBuf {
    let value = std::env::var_os(variable);
    PathBuf::from(value.unwrap_or_else(|| {
        panic!(
            "{variable} is not set: run these tests with `make test`, which builds what they need"
        )
    }))
}

/// Folder of a built app or guest: `vyoma.toml` and its component.
pub fn guest(name: &str) -> PathBuf {
    let folder = from_make_test("VYOMA_APPS_DIR").join(name);
    assert!(
        folder.join("vyoma.toml").exists(),
        "{}: no such app; `make test` builds them",
        folder.display()
    );
    folder
}

/// Copies a built app into `to`, with `name` in its changed manifest.
pub fn copy_app(from: &str, to: &Path, name: &str, change: impl Fn(&str) -> String) {
    let folder = guest(from);
    fs::create_dir_all(to).expect("a folder for an app");
    for entry in fs::read_dir(&folder).expect("read an app").flatten() {
        if entry.file_name() != "vyoma.toml" {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copy a component");
        }
    }
    let text = fs::read_to_string(folder.join("vyoma.toml")).expect("read a manifest");
    let text = text.replacen(
        &format!("name = \"{from}\""),
        &format!("name = \"{name}\""),
        1,
    );
    fs::write(to.join("vyoma.toml"), change(&text)).expect("write a manifest");
}
