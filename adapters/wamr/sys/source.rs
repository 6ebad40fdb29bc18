//! Where WAMR's source comes from, what is changed in it, and how it is compiled. Shared by two build scripts: of the
//! runtime here and of the ahead-of-time compiler beside it, which must come from one source.
//!
//! The source is that of the crate wamrx-sys, pinned by Cargo.lock and never compiled as a crate; WAMR_SOURCE_DIR names
//! another one. It is copied, changed in the copy (`patches.rs`) and compiled file by file: WAMR's own build files would
//! need cmake for the same list.

#![allow(
    dead_code,
    reason = "two build scripts include this, each uses a part of it"
)]

#[path = "patches.rs"]
mod patches;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The crate that carries the source.
const CRATE: &str = "wamrx-sys";

/// Everything that runtime and compiler both need, by folder. Left out: WAMR's own C API of another shape, its command line
/// entry (it prints to stdout), WASI, threads and debuggers.
const COMMON: &[(&str, &[&str])] = &[
    (
        "core/iwasm/common",
        &[
            "wasm_blocking_op.c",
            "wasm_exec_env.c",
            "wasm_loader_common.c",
            "wasm_memory.c",
            "wasm_native.c",
            "wasm_runtime_common.c",
            "wasm_shared_memory.c",
        ],
    ),
    (
        "core/iwasm/interpreter",
        &["wasm_loader.c", "wasm_runtime.c", "wasm_interp_fast.c"],
    ),
    (
        "core/iwasm/aot",
        &["aot_intrinsic.c", "aot_loader.c", "aot_runtime.c"],
    ),
    (
        "core/shared/mem-alloc",
        &[
            "mem_alloc.c",
            "ems/ems_alloc.c",
            "ems/ems_gc.c",
            "ems/ems_hmu.c",
            "ems/ems_kfc.c",
        ],
    ),
    (
        "core/shared/utils",
        &[
            "bh_assert.c",
            "bh_bitmap.c",
            "bh_common.c",
            "bh_hashmap.c",
            "bh_leb128.c",
            "bh_list.c",
            "bh_log.c",
            "bh_queue.c",
            "bh_vector.c",
            "runtime_timer.c",
        ],
    ),
    ("core/shared/platform/linux", &["platform_init.c"]),
    (
        "core/shared/platform/common/posix",
        &[
            "posix_blocking_op.c",
            "posix_malloc.c",
            "posix_memmap.c",
            "posix_sleep.c",
            "posix_thread.c",
            "posix_time.c",
        ],
    ),
];

const INCLUDE: &[&str] = &[
    "core",
    "core/iwasm/aot",
    "core/iwasm/common",
    "core/iwasm/compilation",
    "core/iwasm/include",
    "core/iwasm/interpreter",
    "core/shared/mem-alloc",
    "core/shared/platform/include",
    "core/shared/platform/linux",
    "core/shared/utils",
];

/// WAMR's configuration; what is not named is off.
const DEFINES: &[(&str, &str)] = &[
    ("BH_PLATFORM_LINUX", "1"),
    ("BH_MALLOC", "wasm_runtime_malloc"),
    ("BH_FREE", "wasm_runtime_free"),
    ("_GNU_SOURCE", "1"),
    ("WASM_HAVE_MREMAP", "1"),
    ("WASM_ENABLE_AOT", "1"),
    ("WASM_ENABLE_INTERP", "1"),
    ("WASM_ENABLE_FAST_INTERP", "1"),
    // What `vyoma_runtime::component::ADMITTED` has beyond the first version of WebAssembly and WAMR calls optional.
    ("WASM_ENABLE_BULK_MEMORY", "1"),
    ("WASM_ENABLE_BULK_MEMORY_OPT", "1"),
    ("WASM_ENABLE_REF_TYPES", "1"),
    ("WASM_ENABLE_CALL_INDIRECT_OVERLONG", "1"),
    // Bounds of memory and stack are checked by instructions, never by catching signals.
    ("WASM_DISABLE_HW_BOUND_CHECK", "1"),
    ("WASM_DISABLE_STACK_HW_BOUND_CHECK", "1"),
    ("WASM_DISABLE_WAKEUP_BLOCKING_OP", "1"),
    // Memory has the size that the module says, with or without a `__heap_base`.
    ("WASM_ENABLE_SHRUNK_MEMORY", "0"),
    // Needs an instruction that not every x86-64 processor and kernel has.
    ("WASM_DISABLE_WRITE_GS_BASE", "1"),
    // stdout and stderr belong to the guest.
    ("WASM_ENABLE_LOG", "0"),
    // Entries for common signatures, called by embedders only; of the two functions that we call one runs once and the other is called by its address.
    ("WASM_ENABLE_QUICK_AOT_ENTRY", "0"),
];

/// WAMR's own word for the architecture, and ours for its files.
pub(crate) fn target_arch() -> &'static str {
    match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => "x86_64",
        Ok("aarch64") => "aarch64",
        other => panic!("WAMR is built for x86_64 and aarch64 here, not for {other:?}"),
    }
}

/// Copies the source to OUT_DIR, changes the copy and returns its root.
pub(crate) fn prepare() -> PathBuf {
    println!("cargo:rerun-if-env-changed=WAMR_SOURCE_DIR");
    let source = source();
    let root = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("wamr");
    if root.exists() {
        fs::remove_dir_all(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    }
    copy(&source.join("core"), &root.join("core"));
    patches::apply(&root);
    root
}

fn manifest_dir() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("set by cargo")
        .into()
}

fn source() -> PathBuf {
    if let Some(folder) = env::var_os("WAMR_SOURCE_DIR") {
        return folder.into();
    }
    let output = Command::new(env::var_os("CARGO").expect("set by cargo"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(manifest_dir())
        .output()
        .expect("cargo metadata");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == CRATE)
        .and_then(|package| package["manifest_path"].as_str())
        .unwrap_or_else(|| panic!("cargo metadata does not know {CRATE}"));
    Path::new(manifest)
        .parent()
        .expect("a file is in a folder")
        .join("wasm-micro-runtime")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    let entries = fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // Not fs::copy: a read-only source would make a read-only copy, which can't be changed.
            let bytes = fs::read(entry.path())
                .unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
            fs::write(&target, bytes)
                .unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        }
    }
}

/// A compiler with the options and definitions that every file of WAMR gets.
pub(crate) fn compiler(root: &Path) -> cc::Build {
    let mut build = cc::Build::new();
    let arch = target_arch().to_uppercase();
    build
        .includes(INCLUDE.iter().map(|folder| root.join(folder)))
        .define(&format!("BUILD_TARGET_{arch}"), None)
        .define("BUILD_TARGET", Some(format!("\"{arch}\"").as_str()))
        .define("NDEBUG", None)
        // An interpreter without optimisation is of no use to anyone, not even in a debug build.
        .opt_level(2)
        .debug(false)
        .pic(true)
        .flag("-ffunction-sections")
        .flag("-fdata-sections")
        // Every float operation is rounded by itself: no multiply-add where the guest has two instructions.
        .flag("-ffp-contract=off")
        // WAMR reads cells of its stack as integers and as floats.
        .flag("-fno-strict-aliasing")
        .flag("-fwrapv")
        // Its warnings are its authors' business.
        .flag("-w");
    for (name, value) in DEFINES {
        build.define(name, Some(*value));
    }
    build
}

/// The files of the runtime, without what relocates code of one architecture.
pub(crate) fn runtime(root: &Path) -> Vec<PathBuf> {
    let native = match target_arch() {
        "x86_64" => "em64",
        other => other,
    };
    COMMON
        .iter()
        .flat_map(|(folder, files)| files.iter().map(move |file| root.join(folder).join(file)))
        .chain([root.join(format!("core/iwasm/common/arch/invokeNative_{native}.s"))])
        .collect()
}
