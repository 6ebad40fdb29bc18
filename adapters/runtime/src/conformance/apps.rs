//! Guests that are Rust programs: packages of the workspace `apps/`, built with cargo on first use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Those that the suite runs.
const PACKAGES: [&str; 7] = [
    "conformance-fs",
    "conformance-net",
    "env-args",
    "exit3",
    "nan",
    "read-all-stdin",
    "trap",
];

/// The component of a package.
pub(super) fn component(package: &str) -> Result<Vec<u8>, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(build).as_ref()?;
    let path = folder.join(format!("{package}.wasm"));
    std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn build() -> Result<PathBuf, String> {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps");
    let target = apps.join("target");
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
        .arg("--target-dir")
        .arg(&target)
        .args(PACKAGES.iter().flat_map(|name| ["--package", name]))
        .current_dir(&apps)
        // They would replace the flags that make the bytes the same for everyone.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status();
    match status {
        Ok(status) if status.success() => Ok(target.join("wasm32-wasip2/release")),
        Ok(status) => Err(format!(
            "cargo can't build {} for wasm32-wasip2 in {}: {status}; is that target of rustup installed?",
            PACKAGES.join(", "),
            apps.display()
        )),
        Err(error) => Err(format!("cargo: {error}")),
    }
}
