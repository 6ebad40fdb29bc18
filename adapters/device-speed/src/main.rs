//! What calls to devices of the kernel cost from a guest on each engine and from a native program, on devices that the kernel
//! simulates: for `cargo xtask bench`, which boots it as PID 1 of an image of its own, or before vyomad in robotics-rt's.
//!
//! Calls are counted as vyomad's page for its watchdog counts them.
//!
//! `compile ENGINE COMPONENT ARTEFACT`, `run ENGINE ARTEFACT WORK ROUNDS`, `native WORK ROUNDS`, `bare gpio-set ROUNDS`. As PID 1 it
//! does what each line of `/plan` says, a process each. It judges nothing.
#![allow(
    clippy::print_stdout,
    reason = "its results go to the console of a machine, where xtask reads them"
)]

#[cfg(feature = "wasmtime")]
mod bare;
mod counts;
mod devices;
mod init;
mod native;
#[path = "../../../apps/guests/device-speed/src/waits.rs"]
mod waits;

use std::error::Error;
use std::fs::File;
use std::sync::Arc;

use vyoma_adapter_wamr::Wamr;
use vyoma_adapter_wasm3::Wasm3;
#[cfg(feature = "wasmtime")]
use vyoma_adapter_wasmtime::Wasmtime;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{CpuLevel, RunConfig, WasmRuntime};

fn main() -> Result<(), Box<dyn Error>> {
    if std::process::id() == 1 {
        return init::init();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["compile", engine, component, to] => {
            let bytes = std::fs::read(component)?;
            let made = adapter(engine)?.compile(&bytes, OptimizationLevel::Speed)?;
            Ok(std::fs::write(to, made)?)
        }
        ["run", engine, file, work, rounds] => {
            prefer(work)?;
            let mut config = RunConfig::stdio_only("device-speed", &[work, rounds]);
            devices::give(&mut config)?;
            config.activity = Arc::new(counts::Counts::default());
            match adapter(engine)?.load(File::open(file)?, config)?.run() {
                Ending::Exited(0) => Ok(()),
                other => Err(format!("the guest ended so: {other}").into()),
            }
        }
        ["native", work, rounds] => {
            prefer(work)?;
            println!("{work}: {}", native::does(work, rounds.parse()?)?);
            Ok(())
        }
        #[cfg(feature = "wasmtime")]
        ["bare", "gpio-set", rounds] => {
            println!("gpio-set: {}", bare::calls(rounds.parse()?)?);
            Ok(())
        }
        _ => Err(
            "expected compile ENGINE COMPONENT ARTEFACT, run ENGINE ARTEFACT WORK ROUNDS, native WORK ROUNDS or bare gpio-set ROUNDS"
                .into(),
        ),
    }
}

fn adapter(name: &str) -> Result<Box<dyn WasmRuntime>, String> {
    match name {
        #[cfg(feature = "wasmtime")]
        "wasmtime" => Ok(Box::new(Wasmtime::new(CpuLevel::detect()))),
        "wamr" => Ok(Box::new(Wamr::new(CpuLevel::detect()))),
        "wasm3" => Ok(Box::new(Wasm3::new())),
        _ => Err(format!(
            "unknown engine `{name}`; expected wasmtime, wamr or wasm3"
        )),
    }
}

/// Whoever waits for ticks or edges goes before everything else, native and guest alike.
fn prefer(work: &str) -> Result<(), String> {
    if work == "edges" {
        init::realtime()?;
    }
    Ok(())
}
