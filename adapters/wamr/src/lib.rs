//! WAMR behind the `WasmRuntime` trait: machine code that was made ahead of time, else the interpreter; WASI 0.2 of
//! `vyoma_component` over the services of `vyoma_services`.
//!
//! A device has no compiler: `compile` takes the core module out of the component, to be interpreted. Machine code comes
//! from `vyoma-aotc`, in an artefact of the same format; `load` takes either. Called by `vyomad admit` and `vyomad app`, and
//! nothing else. It deliberately starts no thread and opens no file after `load`, so that the caller can lock the
//! process down between `load` and `run`; no instruction of the guest, start functions included, executes before `run`.

mod guest;
mod key;
mod module;
mod run;
mod stack;
mod words;

use std::fs::File;
use std::io::Read;

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{ArtefactKey, EngineError, Instance, RunConfig, WasmRuntime, component};
use vyoma_services::artefact::{self, Artefact, Kind};

pub use vyoma_runtime::CpuLevel;

/// WAMR for one CPU level.
#[derive(Debug, Clone, Copy)]
pub struct Wamr {
    cpu: CpuLevel,
}

impl Wamr {
    /// An adapter that takes machine code for at most `cpu`. Making one costs nothing.
    pub fn new(cpu: CpuLevel) -> Self {
        Self { cpu }
    }

    /// Whether this adapter can run what was made.
    fn check(self, artefact: &Artefact<'_>) -> Result<(), EngineError> {
        let engine = key::engine();
        match artefact.kind {
            Kind::CoreModule => artefact.fits(&engine, &[key::MODULE_TARGET], &[key::MODULE_FLAGS]),
            Kind::MachineCode => {
                if self.cpu.arch() != std::env::consts::ARCH {
                    return Err(EngineError::Artefact(format!(
                        "made for {}, this machine is {}",
                        self.cpu.arch(),
                        std::env::consts::ARCH
                    )));
                }
                let targets = key::targets(self.cpu);
                let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
                let flags = key::LEVELS.map(key::flags);
                let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                artefact.fits(&engine, &targets, &flags)
            }
        }
    }
}

impl WasmRuntime for Wamr {
    fn name(&self) -> &'static str {
        key::ENGINE
    }

    fn version(&self) -> &'static str {
        key::VERSION
    }

    fn key(&self, component_sha256: &str, _level: OptimizationLevel) -> ArtefactKey {
        key::core_module(component_sha256)
    }

    fn ahead_of_time_key(
        &self,
        component_sha256: &str,
        level: OptimizationLevel,
    ) -> Option<ArtefactKey> {
        Some(key::machine_code(component_sha256, self.cpu, level))
    }

    fn validate(&self, component: &[u8]) -> Result<(), EngineError> {
        component::check(component)
    }

    fn compile(&self, component: &[u8], _level: OptimizationLevel) -> Result<Vec<u8>, EngineError> {
        let program = component::program(component)?;
        let key = key::core_module(&vyoma_runtime::sha256_hex(component));
        Ok(artefact::encode(
            &key,
            Kind::CoreModule,
            &program,
            &program.module,
        ))
    }

    fn load(
        &self,
        mut artefact: File,
        config: RunConfig,
    ) -> Result<Box<dyn Instance>, EngineError> {
        let mut bytes = Vec::new();
        artefact
            .read_to_end(&mut bytes)
            .map_err(|error| EngineError::Artefact(error.to_string()))?;
        drop(artefact);
        let artefact = artefact::decode(&bytes)?;
        self.check(&artefact)?;
        run::prepare(&artefact, config)
    }
}

/// What WAMR itself could not do.
fn engine_error(message: impl Into<String>) -> EngineError {
    EngineError::Engine {
        engine: key::ENGINE,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_runtime() {
        assert_eq!(module::version(), key::VERSION);
    }

    #[test]
    fn machine_code_has_a_key_of_its_own_for_each_level_and_processor() {
        let key = |cpu, level| {
            Wamr::new(cpu)
                .ahead_of_time_key("ab", level)
                .unwrap()
                .file_name()
        };
        let mut names = vec![
            Wamr::new(CpuLevel::V8)
                .key("ab", OptimizationLevel::Speed)
                .file_name(),
        ];
        for cpu in [CpuLevel::V1, CpuLevel::V2, CpuLevel::V8] {
            names.extend(key::LEVELS.map(|level| key(cpu, level)));
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 13);
    }
}
