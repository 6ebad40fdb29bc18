//! wasm3 behind the `WasmRuntime` trait. `compile` runs in `vyomad admit`, `load` and `run` in `vyomad app`.
//!
//! No thread is started and no file opened after `load`, so that the caller can lock the process in between.

mod mapping;
mod run;
mod stack;

use std::fs::File;

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{ArtefactKey, EngineError, Instance, RunConfig, WasmRuntime, component};
use vyoma_services::artefact::{self, Kind};
use vyoma_wasm3_sys::VERSION;

use crate::engine;

/// An artefact holds a core module, which runs on any machine.
const TARGET: &str = "any";

/// wasm3 as an engine of `vyomad`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wasm3;

impl Wasm3 {
    /// The adapter. Making one costs nothing.
    pub fn new() -> Self {
        Self
    }
}

impl WasmRuntime for Wasm3 {
    fn name(&self) -> &'static str {
        "wasm3"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn key(&self, component_sha256: &str, _level: OptimizationLevel) -> ArtefactKey {
        ArtefactKey {
            component: component_sha256.to_owned(),
            engine: engine(),
            target: TARGET.to_owned(),
            flags: flags(),
        }
    }

    fn validate(&self, bytes: &[u8]) -> Result<(), EngineError> {
        component::check(bytes)
    }

    fn compile(&self, bytes: &[u8], level: OptimizationLevel) -> Result<Vec<u8>, EngineError> {
        let program = component::program(bytes)?;
        let key = self.key(&vyoma_runtime::sha256_hex(bytes), level);
        Ok(artefact::encode(
            &key,
            Kind::CoreModule,
            &program,
            &program.module,
        ))
    }

    fn load(&self, artefact: File, config: RunConfig) -> Result<Box<dyn Instance>, EngineError> {
        run::load(&artefact, config)
    }
}

/// The `engine` part of a key.
fn engine() -> String {
    format!("wasm3 {VERSION}")
}

/// The `flags` part of a key: what changes the core module that is made of a component. The level of optimisation doesn't.
fn flags() -> String {
    format!("features={:#x}", component::ADMITTED.bits())
}

fn engine_error(error: engine::Error) -> EngineError {
    EngineError::Engine {
        engine: "wasm3",
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_source() {
        // wasm3x-sys 0.2.1 carries wasm3 0.9.0; the build stops when the patches do not fit.
        assert_eq!(Wasm3::new().version(), "0.9.0");
    }

    #[test]
    fn keys_differ_by_component_only() {
        let key = |component, level| Wasm3::new().key(component, level).file_name();
        let first = key("aa", OptimizationLevel::Speed);
        assert_ne!(first, key("ab", OptimizationLevel::Speed));
        assert_eq!(first, key("aa", OptimizationLevel::None));
    }
}
