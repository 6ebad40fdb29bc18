//! Compiles a component to machine code for WAMR: a job for the machine of who builds an image or installs an app, since
//! it takes LLVM and about a hundred times the memory of a device that runs the outcome.
//!
//! Called by xtask and vyomactl. It checks the component as every device does, reduces it to one core module, and writes
//! the artefact that `vyoma_adapter_wamr` loads. Bounds of memory and stack are always checked. It deliberately takes no
//! option that would make code unsafe or dependent on this machine.

#[path = "../../src/key.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the adapter, which exports some of it; each uses a part"
)]
mod key;
mod wamr;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_component::program::Program;
use vyoma_services::artefact::{self, Kind};

use vyoma_runtime::{CpuLevel, sizes};

const USAGE: &str = "usage: vyoma-aotc --target aarch64|x86_64 [--cpu v1|v2|v8] [--level none|size|balanced|speed] --out FILE COMPONENT\n\
    `-` is stdin or stdout. --cpu: v2 for x86_64 and v8 for aarch64 unless given; --level: speed unless given.\n\
    Exit codes: 0 done, 1 the component or the files, 2 the command line.";

/// Loops in each other with which LLVM's optimiser is still quick. What it takes grows with their fourth power: 64 take 0.7 s,
/// 128 take 17 s.
const MANY_LOOPS: u32 = 64;

/// Exit code of a command line that can't be read.
const BAD_USAGE: u8 = 2;

struct Arguments {
    cpu: CpuLevel,
    level: OptimizationLevel,
    out: String,
    component: String,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return print(&format!("{USAGE}\n"));
    }
    if words.iter().any(|word| word == "--version" || word == "-V") {
        return print(&format!(
            "vyoma-aotc {} ({}, LLVM {})\n",
            env!("CARGO_PKG_VERSION"),
            key::engine(),
            env!("VYOMA_AOTC_LLVM")
        ));
    }
    let arguments = match read_arguments(words) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("vyoma-aotc: {why}\n{USAGE}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("vyoma-aotc: {why}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn read_arguments(words: Vec<String>) -> Result<Arguments, String> {
    let (mut target, mut cpu, mut level, mut out, mut component) = (None, None, None, None, None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--target" => &mut target,
            "--cpu" => &mut cpu,
            "--level" => &mut level,
            "--out" | "-o" => &mut out,
            option if option.starts_with('-') && option != "-" => {
                return Err(format!("unknown option `{option}`"));
            }
            _ if component.is_none() => {
                component = Some(word);
                continue;
            }
            _ => return Err(format!("more than one component: `{word}`")),
        };
        let value = words
            .next()
            .ok_or_else(|| format!("`{word}` without a value"))?;
        if place.replace(value).is_some() {
            return Err(format!("`{word}` twice"));
        }
    }
    let target = target.ok_or("no --target")?;
    let usual = match target.as_str() {
        "x86_64" => CpuLevel::V2,
        "aarch64" => CpuLevel::V8,
        other => {
            return Err(format!(
                "unknown target `{other}`; expected aarch64 or x86_64"
            ));
        }
    };
    let cpu = cpu.map_or(Ok(usual), |name| {
        CpuLevel::parse(&name).map_err(|error| error.to_string())
    })?;
    if cpu.arch() != target {
        return Err(format!("CPU level {} is not one of {target}", cpu.name()));
    }
    let level = match level.as_deref() {
        None | Some("speed") => OptimizationLevel::Speed,
        Some("balanced") => OptimizationLevel::Balanced,
        Some("size") => OptimizationLevel::Size,
        Some("none") => OptimizationLevel::None,
        Some(other) => {
            return Err(format!(
                "unknown level `{other}`; expected none, size, balanced or speed"
            ));
        }
    };
    Ok(Arguments {
        cpu,
        level,
        out: out.ok_or("no --out")?,
        component: component.ok_or("no component")?,
    })
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let of = |what: &str, why: &dyn std::fmt::Display| format!("{what}: {why}");
    let component = read(&arguments.component).map_err(|error| of(&arguments.component, &error))?;
    let artefact = compile(&component, arguments).map_err(|why| of(&arguments.component, &why))?;
    write(&arguments.out, &artefact).map_err(|error| of(&arguments.out, &error))
}

fn compile(component: &[u8], arguments: &Arguments) -> Result<Vec<u8>, String> {
    vyoma_runtime::component::check(component).map_err(|error| error.to_string())?;
    let program = Program::of(component).map_err(|refusal| refusal.to_string())?;
    let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let largest = sizes::largest_function(component).map_err(|error| error.to_string())?;
    let level = if largest.loops > MANY_LOOPS {
        OptimizationLevel::None
    } else {
        arguments.level
    };
    let code = wamr::compile(&program.module, arguments.cpu, level, folder.path())
        .map_err(|why| format!("wamr: {why}"))?;
    // The key says what was asked for: that is what a device looks for.
    let sha256 = vyoma_runtime::sha256_hex(component);
    let key = key::machine_code(&sha256, arguments.cpu, arguments.level);
    Ok(artefact::encode(&key, Kind::MachineCode, &program, &code))
}

fn read(name: &str) -> std::io::Result<Vec<u8>> {
    if name != "-" {
        return fs::read(name);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file appears whole or not at all.
fn write(name: &str, bytes: &[u8]) -> std::io::Result<()> {
    if name == "-" {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes)?;
        return stdout.flush();
    }
    let folder = Path::new(name)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(name).map_err(|error| error.error)?;
    Ok(())
}
