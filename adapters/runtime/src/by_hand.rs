//! Running one component on one engine without vyomad: for trying things, for measuring, and for tests on other processors.
//! The example `run` of each adapter is this with its engine.
//!
//! `run now COMPONENT [ARGS]...` runs a component with stdio. In two steps: `run compile COMPONENT ARTEFACT [LEVEL]` makes an
//! artefact; `run start ARTEFACT [ARGS]...` runs it and prints to stderr how it ended, how long loading and running took, and
//! what memory the process held at its end.

use std::error::Error;
use std::fs::File;
use std::time::Instant;

use vyoma_capabilities::profile::OptimizationLevel;

use crate::{CpuLevel, EngineError, RunConfig, WasmRuntime};

const USAGE: &str = "usage: run now COMPONENT [ARGS]... | run compile COMPONENT ARTEFACT [LEVEL] | run start ARTEFACT [ARGS]...";

/// What memory the process holds: lines of /proc/self/smaps_rollup.
const HELD: [&str; 3] = ["Rss:", "Pss:", "Private_Dirty:"];

/// The main function. `engine` makes the engine for a CPU level, if that says anything to it.
pub fn main<E: WasmRuntime>(engine: impl Fn(CpuLevel) -> E) -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["now", component, rest @ ..] => now(&engine(CpuLevel::detect()), component, rest),
        ["compile", component, artefact] => {
            compile(&engine(CpuLevel::detect()), component, artefact)
        }
        ["compile", component, artefact, level] => {
            compile(&engine(CpuLevel::parse(level)?), component, artefact)
        }
        ["start", artefact, rest @ ..] => Ok(start(&engine(CpuLevel::detect()), artefact, rest)?),
        _ => Err(USAGE.into()),
    }
}

fn now(engine: &impl WasmRuntime, component: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(component)?;
    engine.validate(&bytes)?;
    let made = engine.compile(&bytes, OptimizationLevel::Speed)?;
    let path = std::env::temp_dir().join(format!("vyoma-by-hand-{}", std::process::id()));
    let file = std::fs::write(&path, made).and_then(|()| File::open(&path));
    // Open, it is there as long as it is needed.
    let _ = std::fs::remove_file(&path);
    let ending = engine
        .load(file?, RunConfig::stdio_only("app", args))?
        .run();
    eprintln!("{ending}");
    Ok(())
}

fn compile(
    engine: &impl WasmRuntime,
    component: &str,
    artefact: &str,
) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(component)?;
    let begin = Instant::now();
    engine.validate(&bytes)?;
    let validated = begin.elapsed();
    let made = engine.compile(&bytes, OptimizationLevel::Speed)?;
    eprintln!(
        "validated in {validated:?}, all in {:?}: {} -> {} bytes",
        begin.elapsed(),
        bytes.len(),
        made.len()
    );
    Ok(std::fs::write(artefact, made)?)
}

fn start(engine: &impl WasmRuntime, artefact: &str, args: &[&str]) -> Result<(), EngineError> {
    let file = File::open(artefact)
        .map_err(|error| EngineError::Artefact(format!("{artefact}: {error}")))?;
    let begin = Instant::now();
    let instance = engine.load(file, RunConfig::stdio_only("app", args))?;
    let loaded = begin.elapsed();
    let begin = Instant::now();
    let ending = instance.run();
    eprintln!(
        "{ending}; loaded in {loaded:?}, ran in {:?}",
        begin.elapsed()
    );
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    for line in rollup.lines() {
        if HELD.iter().any(|name| line.starts_with(name)) {
            eprintln!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(())
}
