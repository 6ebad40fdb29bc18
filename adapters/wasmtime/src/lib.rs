//! Wasmtime behind the `WasmRuntime` trait: components compiled ahead of their start, WASI 0.2 gated by the grants.
//!
//! `compile` runs in `vyomad admit`, `load` and `run` in `vyomad app`; nothing else calls this crate. It deliberately
//! starts no thread (except for name look-up, which only the `network` grant allows) and opens no file after `load`, so
//! that the caller can lock the process down between `load` and `run`.

mod host;
mod limits;
mod program;
mod run;
mod settings;
mod stdio;
mod uses;

use std::fs::File;
use std::os::fd::AsRawFd;

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{ArtefactKey, EngineError, Instance, RunConfig, WasmRuntime, component};
use vyoma_services::artefact::{self, Artefact};
use wasmtime::Engine;
use wasmtime::component::Component;

use self::program::trailer;

pub use vyoma_runtime::CpuLevel;

/// The Wasmtime that this crate is built with. A test compares it with Cargo.lock.
const VERSION: &str = "48.0.8";

/// Wasmtime for one CPU level.
#[derive(Debug, Clone, Copy)]
pub struct Wasmtime {
    cpu: CpuLevel,
    core_modules: CoreModules,
}

/// Which components are run as the core module in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CoreModules {
    /// Those that import devices.
    Devices,
    /// All of them.
    All,
}

impl Wasmtime {
    /// An adapter whose artefacts need at most `cpu`. Making one costs nothing: engines are made when they are used.
    pub fn new(cpu: CpuLevel) -> Self {
        Self {
            cpu,
            core_modules: CoreModules::Devices,
        }
    }

    /// Runs every component the way that those with devices are run, so that the conformance suite and the comparison of
    /// engines can hold that way to all that they know. Its artefacts are others, with keys of their own.
    #[must_use]
    pub fn all_as_core_modules(self) -> Self {
        Self {
            core_modules: CoreModules::All,
            ..self
        }
    }

    /// Whether this adapter can run the core module that was made.
    fn check(self, artefact: &Artefact<'_>) -> Result<(), EngineError> {
        let flags = settings::LEVELS.map(|level| settings::flags(level, self.core_modules));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        artefact.fits(&engine(), &[&self.target()], &flags)
    }

    /// The `target` part of a key.
    fn target(self) -> String {
        format!("{}+{}", self.cpu.target(), self.cpu.name())
    }
}

/// The `engine` part of a key.
fn engine() -> String {
    format!("wasmtime {VERSION}")
}

impl WasmRuntime for Wasmtime {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn key(&self, component_sha256: &str, level: OptimizationLevel) -> ArtefactKey {
        ArtefactKey {
            component: component_sha256.to_owned(),
            engine: engine(),
            target: self.target(),
            flags: settings::flags(level, self.core_modules),
        }
    }

    fn validate(&self, component: &[u8]) -> Result<(), EngineError> {
        component::check(component)
    }

    fn compile(&self, component: &[u8], level: OptimizationLevel) -> Result<Vec<u8>, EngineError> {
        let program = component::program(component)?;
        let engine = settings::compiler(self.cpu, level)
            .and_then(|config| Engine::new(&config))
            .map_err(|error| engine_error(&error))?;
        if self.core_modules == CoreModules::Devices && !program::has_devices(&program) {
            return engine
                .precompile_component(component)
                .map_err(|error| engine_error(&error));
        }
        let mut artefact = engine
            .precompile_module(&program.module)
            .map_err(|error| engine_error(&error))?;
        let key = self.key(&vyoma_runtime::sha256_hex(component), level);
        trailer::append(&mut artefact, &key, &program);
        Ok(artefact)
    }

    fn load(&self, artefact: File, config: RunConfig) -> Result<Box<dyn Instance>, EngineError> {
        if self.cpu.arch() != std::env::consts::ARCH {
            return Err(EngineError::Artefact(format!(
                "made for {}, this machine is {}",
                self.cpu.arch(),
                std::env::consts::ARCH
            )));
        }
        let engine = settings::runtime()
            .and_then(|config| Engine::new(&config))
            .map_err(|error| engine_error(&error))?;
        if let Some(description) = trailer::read(&artefact)? {
            let described = artefact::decode(&description)?;
            self.check(&described)?;
            return program::prepare(&engine, artefact, &described, config);
        }
        // Wasmtime maps a file by its name only. The descriptor's name in /proc is that file, whatever its path says by now.
        let path = format!("/proc/self/fd/{}", artefact.as_raw_fd());
        // SAFETY: an artefact is machine code, so its origin has to be trusted. The file comes out of the store, where only
        // `vyomad admit` and the image build write, and is the outcome of `compile`; the store replaces files by rename and
        // never changes one in place, so the mapping stays what it was.
        let component = unsafe { Component::deserialize_file(&engine, &path) }
            .map_err(|error| EngineError::Artefact(one_line(&error)))?;
        drop(artefact);
        run::prepare(&engine, &component, &config)
    }
}

fn engine_error(error: &wasmtime::Error) -> EngineError {
    EngineError::Engine {
        engine: "wasmtime",
        message: one_line(error),
    }
}

/// The error and its causes on one line.
fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(
            lock.contains(&format!("name = \"wasmtime\"\nversion = \"{VERSION}\"\n")),
            "VERSION is stale"
        );
        assert!(
            lock.contains(&format!(
                "name = \"wasmtime-wasi\"\nversion = \"{VERSION}\"\n"
            )),
            "versions differ"
        );
    }

    #[test]
    fn keys_differ_by_component_level_and_cpu_and_by_nothing_else() {
        let v2 = Wasmtime::new(CpuLevel::V2);
        let key = v2.key("aa", OptimizationLevel::Speed);
        assert_eq!(key.engine, format!("wasmtime {VERSION}"));
        assert_eq!(key.target, "x86_64-unknown-linux-musl+v2");
        assert_eq!(
            key.file_name(),
            v2.key("aa", OptimizationLevel::Speed).file_name()
        );
        for other in [
            v2.key("ab", OptimizationLevel::Speed),
            v2.key("aa", OptimizationLevel::None),
            v2.key("aa", OptimizationLevel::Size),
            Wasmtime::new(CpuLevel::V1).key("aa", OptimizationLevel::Speed),
            Wasmtime::new(CpuLevel::V8).key("aa", OptimizationLevel::Speed),
        ] {
            assert_ne!(key.file_name(), other.file_name(), "{other:?}");
        }
        // To Cranelift these two are the same.
        assert_eq!(
            v2.key("aa", OptimizationLevel::Balanced),
            v2.key("aa", OptimizationLevel::Size)
        );
    }
}
