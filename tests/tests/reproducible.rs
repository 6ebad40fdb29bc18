//! Proof of the guide's "byte-identical": the apps are built in folders, with CARGO_HOMEs and into target folders that
//! have nothing in common, and every component must come out the same, small enough, and without a trace of where it
//! was built.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The apps people copy. The guests in apps/guests are built with the same flags and would only take longer.
const APPS: [&str; 13] = [
    "clock",
    "counter",
    "echo",
    "hello",
    "http-server",
    "notes",
    "ping",
    "pong",
    "sensor",
    // Of crates of a registry: drivers, and the SDK that carries types of interfaces.
    "thermometer",
    "blink",
    "gps-reader",
    "sensor-hub",
];

/// One page of linear memory: stack, data, and the rest is heap.
const PAGES: u64 = 1;

#[test]
fn apps_are_byte_identical_whoever_builds_them_and_wherever() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let home = cargo_home();

    // As anyone would: the usual CARGO_HOME, the usual target folder, all at once.
    let here = scratch.path().join("here");
    copy(&apps(), &here).expect("copying apps/");
    let all: Vec<&str> = APPS.iter().flat_map(|app| ["-p", *app]).collect();
    build(&here, &all, &home, None);

    // Somewhere else in every respect.
    let elsewhere = scratch.path().join("some where/quite/different/apps");
    copy(&apps(), &elsewhere).expect("copying apps/");
    let other_home = scratch.path().join("another cargo home");
    share_registry(&home, &other_home).expect("a second CARGO_HOME");
    let other_target = scratch.path().join("output");
    build(
        &elsewhere,
        &[&["--offline"], &all[..]].concat(),
        &other_home,
        Some(&other_target),
    );

    // The guide's command, from the app's own folder, into a target folder that has seen nothing else.
    let third_target = scratch.path().join("third");
    for app in ["hello", "http-server"] {
        build(
            &elsewhere.join(app),
            &["--offline"],
            &home,
            Some(&third_target),
        );
    }

    let strangers = [scratch.path(), &home, &apps()];
    for app in APPS {
        let first = component(&here.join("target"), app);
        assert_same(app, &first, &component(&other_target, app));
        if ["hello", "http-server"].contains(&app) {
            assert_same(app, &first, &component(&third_target, app));
        }
        for path in strangers {
            let path = path.to_str().expect("paths of tests are UTF-8");
            assert!(
                !contains(&first, path.as_bytes()),
                "{app}.wasm holds the builder's path {path}: does apps/.cargo/rustc-reproducible remap it?"
            );
        }
        let memory = initial_pages(&first).unwrap_or_else(|| panic!("{app}.wasm: no memory found"));
        assert_eq!(
            memory, PAGES,
            "{app}.wasm declares {memory} pages of linear memory; expected {PAGES}: is its data too big, \
             or are the link arguments of apps/.cargo/config.toml not used?"
        );
        for export in ["__heap_base", "__data_end"] {
            assert!(
                contains(&first, export.as_bytes()),
                "{app}.wasm does not export {export}"
            );
        }
    }
}

/// The apps/ of this checkout.
fn apps() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the repository").join("apps")
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cargo"),
        PathBuf::from,
    )
}

/// A CARGO_HOME with the same downloads, but crates unpacked into a folder of its own.
fn share_registry(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.join("registry"))?;
    for shared in ["registry/index", "registry/cache", "config.toml", "config"] {
        if from.join(shared).exists() {
            std::os::unix::fs::symlink(from.join(shared), to.join(shared))?;
        }
    }
    Ok(())
}

/// Builds in `folder` with nothing of the caller's environment that steers cargo.
fn build(folder: &Path, arguments: &[&str], home: &Path, target: Option<&Path>) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") || (text.starts_with("RUST") && !text.starts_with("RUSTUP")) {
            cargo.env_remove(name);
        }
    }
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_HOME", home);
    if let Some(target) = target {
        cargo.env("CARGO_TARGET_DIR", target);
    }
    let output = cargo.output().expect("cargo can be started");
    assert!(
        output.status.success(),
        "{cargo:?} failed ({}) in {}:\n{}",
        output.status,
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn component(target: &Path, app: &str) -> Vec<u8> {
    let path = target.join(format!("wasm32-wasip2/release/{app}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_same(app: &str, one: &[u8], other: &[u8]) {
    let differ = one.iter().zip(other).position(|(a, b)| a != b);
    assert!(
        one == other,
        "{app}.wasm differs between two builds: {} and {} bytes, first difference at {differ:?}",
        one.len(),
        other.len()
    );
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Copies a folder without its build output.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != OsStr::new("target") {
                copy(&entry.path(), &target)?;
            }
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Initial pages of the first memory of the first core module (component model binary format: section 1 is a core
/// module; core specification: section 5 is the memories, each flags and minimum).
fn initial_pages(component: &[u8]) -> Option<u64> {
    let module = section(component, 1)?;
    let memories = section(module, 5)?;
    let (_count, rest) = leb128(memories)?;
    let (_flags, rest) = leb128(rest)?;
    leb128(rest).map(|(pages, _)| pages)
}

/// The first section of that kind.
fn section(binary: &[u8], wanted: u8) -> Option<&[u8]> {
    // After the magic number and the version, 4 bytes each.
    let mut rest = binary.get(8..)?;
    loop {
        let (kind, after) = rest.split_first()?;
        let (size, after) = leb128(after)?;
        let (body, next) = after.split_at_checked(usize::try_from(size).ok()?)?;
        if *kind == wanted {
            return Some(body);
        }
        rest = next;
    }
}

fn leb128(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}
