//! `cargo xtask new` in a copy of the repository: what it makes must build, lint clean and be laid out like the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vyoma_component::program::Program;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository")
}

/// The parts of the repository that `new` and a build of apps need.
fn copy_of_the_repository() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for part in ["apps", "profiles", "rust-toolchain.toml", ".cargo"] {
        copy_into(&repository().join(part), &copy.path().join(part));
    }
    copy_into(
        &repository().join("xtask/pins.toml"),
        &copy.path().join("xtask/pins.toml"),
    );
    copy
}

fn copy_into(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().expect("a folder")).expect("making a folder");
        fs::copy(from, to).expect("copying a file");
        return;
    }
    for entry in fs::read_dir(from).expect("listing a folder").flatten() {
        if entry.file_name() != "target" {
            copy_into(&entry.path(), &to.join(entry.file_name()));
        }
    }
}

fn xtask(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .current_dir(root)
        .args(arguments)
        .output()
        .expect("running xtask")
}

fn cargo(dir: &Path, arguments: &[&str]) {
    let mut command = Command::new("cargo");
    for name in [
        "CARGO_TARGET_DIR",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    let output = command
        .current_dir(dir)
        .args(arguments)
        .output()
        .expect("running cargo");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_new_app_builds_passes_the_lints_and_is_small() {
    let copy = copy_of_the_repository();
    let made = xtask(copy.path(), &["new", "my-app"]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );

    let dir = copy.path().join("apps/my-app");
    cargo(&dir, &["fmt", "--check"]);
    cargo(
        &dir,
        &[
            "clippy",
            "--quiet",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--",
            "-D",
            "warnings",
        ],
    );
    cargo(
        &dir,
        &[
            "build",
            "--quiet",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--release",
        ],
    );
    let component = copy
        .path()
        .join("apps/target/wasm32-wasip2/release/my-app.wasm");
    let bytes = fs::read(component).expect("the built component");
    let needs = Program::of(&bytes).expect("a program").needs;
    let needed = needs.microcontroller_bytes(4 << 10);
    assert!(
        bytes.len() < 8 << 10 && needed < 30 << 10,
        "a new app is {} bytes and needs {needed} bytes on a microcontroller; expected less than 8 KiB, and less than 30: a third of what all apps have there",
        bytes.len()
    );
    let manifest = fs::read_to_string(dir.join("vyoma.toml")).expect("the manifest");
    assert!(
        manifest.contains("name = \"my-app\"") && !manifest.contains("{{"),
        "{manifest}"
    );
}

#[test]
fn nothing_is_overwritten_and_no_name_leaves_the_folder() {
    let copy = copy_of_the_repository();
    let before = fs::read_to_string(copy.path().join("apps/Cargo.toml")).expect("apps/Cargo.toml");
    for (name, expected) in [
        ("hello", "is there already"),
        ("../evil", "expected 1 to 32"),
        ("sdk", "means something else"),
    ] {
        let refused = xtask(copy.path(), &["new", name]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains(expected),
            "{name}: {said}"
        );
    }
    assert_eq!(
        fs::read_to_string(copy.path().join("apps/Cargo.toml")).expect("apps/Cargo.toml"),
        before
    );
}
