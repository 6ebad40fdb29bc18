//! Helpers for whole-system tests, so that a test is a few lines: a hosted daemon with a state directory of its own,
//! `vyomactl` against it, and waiting for what is to happen.
//!
//! The binaries and apps come from the environment (`make test` sets it). A test without them fails and says so; it
//! never skips.

pub mod hosted;

use std::path::PathBuf;

/// A path that `make test` hands over.
///
/// # Panics
/// When it is not set: these tests need what `make test` builds first.
pub fn from_make_test(variable: &str) -> PathBuf {
    let value = std::env::var_os(variable);
    PathBuf::from(value.unwrap_or_else(|| panic!("{variable} is not set: run these tests with `make test`, which builds what they need")))
}

/// Folder of a built app or guest: `vyoma.toml` and its component.
pub fn guest(name: &str) -> PathBuf {
    let folder = from_make_test("VYOMA_APPS_DIR").join(name);
    assert!(folder.join("vyoma.toml").exists(), "{}: no such app; `make test` builds them", folder.display());
    folder
}
