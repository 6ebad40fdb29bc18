//! Builds wasm3 from the source that the package wasm3x-sys carries, changed as `patches` says, for Linux and for bare-metal
//! Cortex-M. That package's own build is not used: it needs libclang and can't be configured for a microcontroller.

#![allow(clippy::print_stdout, reason = "cargo reads it")]

mod patches;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// Names another source folder of wasm3 0.9.0 (the one with `wasm3.h` in it).
const OVERRIDE: &str = "WASM3_SOURCE_DIR";

/// The package that carries the source; its version is pinned in Cargo.toml.
const CARRIER: &str = "wasm3x-sys";

/// wasm3's files that an embedder without its own WASI, tracing and profiling needs.
const FILES: [&str; 9] = [
    "bind", "code", "compile", "core", "env", "function", "module", "parse", "validate",
];

/// Settings for a microcontroller. Each trades speed or limits for memory; with the defaults one compilation takes 40 KB.
const SMALL: [(&str, &str); 10] = [
    ("d_m3Use32BitSlots", "1"),
    ("d_m3MaxDuplicateFunctionImpl", "1"),
    // Only switches the check on: the limit itself is set for each call.
    ("d_m3MaxNativeStack", "4096"),
    // Half a page of code and one of constants are not full: smaller pages waste less, and code goes on from one to the next.
    ("d_m3CodePageAlignSize", "512"),
    // MICROCONTROLLER in adapters/runtime/src/sizes.rs; the function itself is a level, too.
    ("d_m3MaxFunctionStackHeight", "192"),
    ("d_m3ValCtrlDepth", "64"),
    // Two for each value, and for each of a function's results; constants.
    ("d_m3MaxFunctionSlots", "520"),
    ("d_m3MaxConstantTableSize", "120"),
    ("d_m3VerboseErrorMessages", "0"),
    ("d_m3LogOutput", "0"),
];

/// Settings for Linux, where 64-bit slots are fastest.
const HOSTED: [(&str, &str); 6] = [
    ("d_m3Use32BitSlots", "0"),
    // ADMITTED in adapters/runtime/src/sizes.rs; the function itself is a level, too. A level costs 24 bytes of native
    // stack while a function is validated, and 300 while it is compiled.
    ("d_m3MaxFunctionStackHeight", "8000"),
    ("d_m3ValCtrlDepth", "2001"),
    ("d_m3MaxNativeStack", "4096"),
    ("d_m3VerboseErrorMessages", "0"),
    ("d_m3LogOutput", "0"),
];

/// Settings that the patches count on.
const ALWAYS: [(&str, &str); 1] = [("d_m3CascadedOpcodes", "0")];

fn main() {
    if let Err(why) = build() {
        eprintln!("vyoma-wasm3-sys: {why}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=c");
    println!("cargo:rerun-if-env-changed={OVERRIDE}");
    let out = PathBuf::from(variable("OUT_DIR")?).join("wasm3");
    copy_patched(&source()?, &out)?;

    let bare = variable("CARGO_CFG_TARGET_OS")? == "none";
    let mut build = cc::Build::new();
    build
        .files(FILES.iter().map(|name| out.join(format!("m3_{name}.c"))))
        .file("c/shim.c")
        .include(&out)
        // The C library's headers differ between glibc, musl and newlib, and a bare-metal compiler may have none. Ours
        // declare the twenty functions that wasm3 calls.
        .flag("-nostdinc")
        .include("c/include")
        .include("c")
        .define("NDEBUG", None)
        .warnings(false)
        .extra_warnings(false)
        // In every profile: wasm3's operations end in tail calls, which are real in optimised code only; without them
        // the native stack grows with every instruction of the guest.
        .opt_level_str(if bare { "s" } else { "3" })
        .debug(false)
        .force_frame_pointer(false)
        .flag("-ffunction-sections")
        .flag("-fdata-sections")
        .flag("-fno-stack-protector")
        .flag("-fno-strict-aliasing")
        // Every operation rounds by itself, as WebAssembly demands.
        .flag("-ffp-contract=off")
        // A square root is one instruction, not a call that may set errno.
        .flag("-fno-math-errno");
    let small = bare || env::var_os("CARGO_FEATURE_SMALL").is_some();
    let settings: &[_] = if small { &SMALL } else { &HOSTED };
    for (name, value) in ALWAYS.iter().chain(settings) {
        build.define(name, *value);
    }
    check_compiler(&build, bare)?;
    build
        .try_compile("vyoma_wasm3")
        .map_err(|error| error.to_string())?;
    // Rounding functions: musl has them in its one library, and on bare metal the firmware brings them.
    if variable("CARGO_CFG_TARGET_ENV")? == "gnu" {
        println!("cargo:rustc-link-lib=m");
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn check_compiler(build: &cc::Build, bare: bool) -> Result<(), String> {
    let compiler = build
        .try_get_compiler()
        .map_err(|error| error.to_string())?;
    let package = if bare { "gcc-arm-none-eabi" } else { "gcc" };
    Command::new(compiler.path())
        .arg("--version")
        .output()
        .map(drop)
        .map_err(|error| {
            format!(
                "C compiler `{}` does not start: {error}; on Debian, `apt install {package}`",
                compiler.path().display()
            )
        })
}

/// Where wasm3's source is.
fn source() -> Result<PathBuf, String> {
    if let Some(folder) = env::var_os(OVERRIDE) {
        return Ok(PathBuf::from(folder));
    }
    let output = Command::new(variable("CARGO")?)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        return Err(format!(
            "cargo metadata: {said}; run `cargo fetch`, or set {OVERRIDE}"
        ));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == CARRIER)
        .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .map(|folder| folder.join("wasm3/source"))
        .ok_or_else(|| format!("cargo metadata names no package {CARRIER}; set {OVERRIDE}"))
}

/// Copies wasm3's files to `out`, patched.
fn copy_patched(source: &Path, out: &Path) -> Result<(), String> {
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let entries = fs::read_dir(source).map_err(|error| {
        format!(
            "wasm3's source, {}: {error}; set {OVERRIDE}",
            source.display()
        )
    })?;
    let mut patched = 0;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if !(Path::new(name)
            .extension()
            .is_some_and(|it| it == "c" || it == "h"))
        {
            continue;
        }
        let mut text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for patch in patches::all().filter(|patch| patch.file == name) {
            text = patch.apply(&text)?;
            patched += 1;
        }
        let target = out.join(name);
        fs::write(&target, text).map_err(|error| format!("{}: {error}", target.display()))?;
    }
    if patched != patches::all().count() {
        return Err(format!(
            "{}: {patched} of {} patches found their file; expected wasm3 0.9.0",
            source.display(),
            patches::all().count()
        ));
    }
    Ok(())
}
