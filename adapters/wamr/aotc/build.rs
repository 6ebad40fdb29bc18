//! Compiles WAMR's ahead-of-time compiler, of the very source that the runtime is made of, against the system's LLVM.

#[path = "../sys/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Major versions of LLVM that this WAMR compiles with; the first one found is taken.
const LLVM: std::ops::RangeInclusive<u32> = 14..=19;

/// What WAMR needs of it beyond the runtime's definitions.
const DEFINES: &[(&str, &str)] = &[
    ("WASM_ENABLE_WAMR_COMPILER", "1"),
    // The compiler reads the module's own instructions, which loading for the fast interpreter would replace.
    ("WASM_ENABLE_FAST_INTERP", "0"),
    ("__STDC_CONSTANT_MACROS", "1"),
    ("__STDC_FORMAT_MACROS", "1"),
    ("__STDC_LIMIT_MACROS", "1"),
];

fn main() {
    println!("cargo:rerun-if-env-changed=LLVM_CONFIG");
    let llvm = match llvm() {
        Ok(llvm) => llvm,
        Err(why) => {
            // The reason alone: a panic would bury it.
            eprintln!("{why}");
            std::process::exit(1);
        }
    };
    let root = source::prepare();
    let compiler = root.join("core/iwasm/compilation");
    let (mut c, mut cpp) = (files(&compiler, "c"), files(&compiler, "cpp"));
    c.extend(files(&compiler.join("simd"), "c"));
    cpp.extend(files(&compiler.join("simd"), "cpp"));
    c.extend(source::runtime(&root).into_iter().map(|file| {
        if file.ends_with("wasm_interp_fast.c") {
            file.with_file_name("wasm_interp_classic.c")
        } else {
            file
        }
    }));
    c.push(root.join("core/iwasm/aot/arch/aot_reloc_dummy.c"));

    let build = || {
        let mut build = source::compiler(&root);
        build.include(&llvm.include).include(compiler.join("simd"));
        for (name, value) in DEFINES {
            build.define(name, Some(*value));
        }
        build
    };
    // C++ first: it is what calls back into C.
    build()
        .cpp(true)
        .std("c++17")
        .flag("-fno-rtti")
        .flag("-fno-exceptions")
        .files(cpp)
        .compile("vyoma_wamr_compiler_llvm");
    build().files(c).compile("vyoma_wamr_compiler");
    println!("cargo:rustc-link-search=native={}", llvm.lib);
    for library in &llvm.libraries {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    println!("cargo:rustc-link-lib=m");
    println!("cargo:rustc-env=VYOMA_AOTC_LLVM={}", llvm.version);
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a listed file").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

struct Llvm {
    version: String,
    include: String,
    lib: String,
    libraries: Vec<String>,
}

fn llvm() -> Result<Llvm, String> {
    let candidates: Vec<String> = match env::var("LLVM_CONFIG") {
        Ok(program) => vec![program],
        Err(_) => LLVM
            .map(|major| format!("llvm-config-{major}"))
            .chain(["llvm-config".to_owned()])
            .collect(),
    };
    for program in &candidates {
        let ask = |arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| text.trim().to_owned())
        };
        let Some(version) = ask(&["--version"]) else {
            continue;
        };
        let major = version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        if !major.is_some_and(|major: u32| LLVM.contains(&major)) {
            continue;
        }
        let (Some(include), Some(lib), Some(libraries)) = (
            ask(&["--includedir"]),
            ask(&["--libdir"]),
            ask(&["--link-shared", "--libs"]),
        ) else {
            continue;
        };
        if !Path::new(&include).join("llvm-c/Core.h").is_file() {
            continue;
        }
        return Ok(Llvm {
            version,
            include,
            lib,
            libraries: libraries
                .split_whitespace()
                .filter_map(|word| word.strip_prefix("-l"))
                .map(str::to_owned)
                .collect(),
        });
    }
    Err(format!(
        "vyoma-aotc needs LLVM {} to {} to build; tried {}; install llvm-14-dev (Debian 12) or llvm-19-dev (Debian 13)",
        LLVM.start(),
        LLVM.end(),
        candidates.join(", ")
    ))
}
