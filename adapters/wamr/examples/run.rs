//! Runs one component on this adapter alone, without vyomad: for trying things, measuring, and tests on other processors.
//!
//! `run compile COMPONENT ARTEFACT` makes an artefact for the interpreter (machine code is made by `vyoma-aotc`);
//! `run start ARTEFACT [ARGS]...` runs either with stdio and prints to stderr how it ended, how long loading and running
//! took, and what memory the process held at its end.

#![allow(clippy::print_stdout, reason = "a command")]

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use vyoma_adapter_wamr::{CpuLevel, Wamr};
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_capabilities::resolve::Grants;
use vyoma_runtime::{Activity, EngineError, RunConfig, WasmRuntime};

struct Nobody;

impl Activity for Nobody {
    fn enter(&self) {}
    fn leave(&self) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["compile", component, artefact] => compile(component, artefact),
        ["start", artefact, rest @ ..] => Ok(start(artefact, rest)?),
        _ => Err("usage: run compile COMPONENT ARTEFACT | run start ARTEFACT [ARGS]...".into()),
    }
}

fn compile(component: &str, artefact: &str) -> Result<(), Box<dyn std::error::Error>> {
    let engine = Wamr::new(CpuLevel::detect());
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

fn start(artefact: &str, args: &[&str]) -> Result<(), EngineError> {
    let config = RunConfig {
        name: "app".to_owned(),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        env: Vec::new(),
        grants: Grants {
            stdio: true,
            ..Grants::default()
        },
        memory_bytes: None,
        data: None,
        activity: Arc::new(Nobody),
    };
    let file = File::open(artefact)
        .map_err(|error| EngineError::Artefact(format!("{artefact}: {error}")))?;
    let begin = Instant::now();
    let instance = Wamr::new(CpuLevel::detect()).load(file, config)?;
    let loaded = begin.elapsed();
    let begin = Instant::now();
    let ending = instance.run();
    eprintln!(
        "{ending}; loaded in {loaded:?}, ran in {:?}",
        begin.elapsed()
    );
    for line in std::fs::read_to_string("/proc/self/smaps_rollup")
        .unwrap_or_default()
        .lines()
    {
        if line.starts_with("Rss:")
            || line.starts_with("Pss:")
            || line.starts_with("Private_Dirty:")
        {
            eprintln!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(())
}
