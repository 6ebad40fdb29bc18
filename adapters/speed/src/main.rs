//! Runs one guest on one engine, for `cargo xtask bench`, which starts one process per run: `compile ENGINE COMPONENT
//! ARTEFACT`, `run ENGINE ARTEFACT ARGS...`. The engines `wasmtime`, `wamr` and `wasm3` are our adapters; `wamr-bare` and
//! `wasm3-bare` take the very same artefact, and bring nothing but the engine and the few functions that let the guest
//! run. It measures nothing: the guest has a clock.

mod bare;
mod bare_wamr;
mod bare_wasm3;

use std::error::Error;
use std::fs::File;

use vyoma_adapter_wamr::Wamr;
use vyoma_adapter_wasm3::Wasm3;
use vyoma_adapter_wasmtime::Wasmtime;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{CpuLevel, RunConfig, WasmRuntime};
use vyoma_services::artefact;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["compile", engine, component, to] => {
            let bytes = std::fs::read(component)?;
            let made = adapter(engine)?.compile(&bytes, OptimizationLevel::Speed)?;
            Ok(std::fs::write(to, made)?)
        }
        ["run", engine @ ("wamr-bare" | "wasm3-bare"), file, rest @ ..] => {
            let bytes = std::fs::read(file)?;
            let artefact = artefact::decode(&bytes)?;
            let run = if *engine == "wamr-bare" {
                bare_wamr::run
            } else {
                bare_wasm3::run
            };
            Ok(run(&artefact, rest)?)
        }
        ["run", engine, file, rest @ ..] => {
            let config = RunConfig::stdio_only("speed", rest);
            match adapter(engine)?.load(File::open(file)?, config)?.run() {
                Ending::Exited(0) => Ok(()),
                other => Err(format!("the guest ended so: {other}").into()),
            }
        }
        _ => Err(
            "usage: vyoma-engine-speed compile ENGINE COMPONENT ARTEFACT | run ENGINE ARTEFACT [ARGS]..."
                .into(),
        ),
    }
}

fn adapter(name: &str) -> Result<Box<dyn WasmRuntime>, String> {
    match name {
        "wasmtime" => Ok(Box::new(Wasmtime::new(CpuLevel::detect()))),
        "wamr" => Ok(Box::new(Wamr::new(CpuLevel::detect()))),
        "wasm3" => Ok(Box::new(Wasm3::new())),
        _ => Err(format!(
            "unknown engine `{name}`; expected wasmtime, wamr, wasm3, wamr-bare or wasm3-bare"
        )),
    }
}
