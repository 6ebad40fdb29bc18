//! What vyomad needs of an engine, whichever it is.
//!
//! An engine turns component bytes into an *artefact* (machine code, or nothing for an interpreter), and runs an
//! artefact with the host functions that the grants allow. It deliberately knows nothing of processes, manifests
//! or the store: `vyomad app` and `vyomad admit` call it, inside their sandbox.

pub mod by_hand;
pub mod component;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cpu;
pub mod devices;
pub mod network;
pub mod sizes;
pub mod trap;

use std::fs::File;
use std::sync::Arc;

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_capabilities::resolve::Grants;

pub use crate::cpu::CpuLevel;

/// Why an engine would not have it. One line each, for people.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Not a component, or not one that this project admits (feature, import, shape).
    #[error("{0}")]
    Refused(String),
    /// The artefact was made for something else; compile again.
    #[error("compiled artefact does not fit: {0}")]
    Artefact(String),
    /// The engine itself failed.
    #[error("{engine}: {message}")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        message: String,
    },
}

/// What an artefact was made from and for. Two keys differ when any part differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtefactKey {
    /// Lower-case hex SHA-256 of the component.
    pub component: String,
    /// `wasmtime 48.0.8`
    pub engine: String,
    /// Target triple and CPU feature level: `x86_64-unknown-linux-musl+v2`
    pub target: String,
    /// Everything else that changes the code: optimisation, NaN canonicalisation, memory settings.
    pub flags: String,
}

impl ArtefactKey {
    /// File name in the store: SHA-256 over the parts, in hex.
    pub fn file_name(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in [&self.component, &self.engine, &self.target, &self.flags] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())
    }
}

/// Lower-case hex SHA-256 of `bytes`: the identity of a component.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Told of every host call, so that a watchdog can tell a waiting guest from a spinning one.
pub trait Activity: Send + Sync {
    /// A host call begins.
    fn enter(&self);
    /// A host call begins, which is a use of `capability`: [`enter`](Activity::enter) and [`used`](Activity::used).
    fn enter_with(&self, capability: Option<Capability>) {
        self.enter();
        if let Some(capability) = capability {
            self.used(capability);
        }
    }
    /// It returns to the guest.
    fn leave(&self);
    /// The guest calls something that `capability` gives: an import of it ([`Capability::of_import`]), or a read or write
    /// of a standard stream.
    fn used(&self, capability: Capability) {
        let _ = capability;
    }
    /// The call that was last [`used`](Activity::used) is refused: the capability is not granted, or not so far.
    fn refused(&self, capability: Capability) {
        let _ = capability;
    }
}

/// What one run gets.
pub struct RunConfig {
    /// Name of the app: `argv[0]` of the guest.
    pub name: String,
    /// Arguments after `argv[0]`.
    pub args: Vec<String>,
    /// The guest's whole environment.
    pub env: Vec<(String, String)>,
    /// What it may do.
    pub grants: Grants,
    /// Most bytes of linear memory, all memories of the app together; absent: what wasm allows.
    pub memory_bytes: Option<u64>,
    /// The app's data folder, already opened; `/` of the guest.
    pub data: Option<File>,
    /// Pins, buses, serial ports and converters, already opened.
    pub devices: devices::Devices,
    /// Told of every host call.
    pub activity: Arc<dyn Activity>,
}

impl RunConfig {
    /// An app with its standard streams and nothing else, watched by nobody: for running one engine by hand.
    pub fn stdio_only(name: &str, args: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            grants: Grants {
                stdio: true,
                ..Grants::default()
            },
            memory_bytes: None,
            data: None,
            devices: devices::Devices::default(),
            activity: Arc::new(Unwatched),
        }
    }
}

/// For runs without a watchdog.
pub struct Unwatched;

impl Activity for Unwatched {
    fn enter(&self) {}
    fn leave(&self) {}
}

/// A guest that is loaded and linked and has not executed its first instruction.
pub trait Instance {
    /// Runs `wasi:cli/run` to its end. Stdin, stdout and stderr are the process's own descriptors 0, 1 and 2.
    fn run(self: Box<Self>) -> Ending;
}

/// An engine.
pub trait WasmRuntime {
    /// `wasmtime`, `wamr`, `wasm3`
    fn name(&self) -> &'static str;
    /// Version of the engine itself.
    fn version(&self) -> &'static str;
    /// The key that the artefact of this component has, here and now.
    fn key(&self, component_sha256: &str, level: OptimizationLevel) -> ArtefactKey;
    /// The key of machine code that was made ahead of time, off the device, for this component here; `None` for an engine
    /// that knows no such code. [`WasmRuntime::load`] takes it like what [`WasmRuntime::compile`] makes.
    fn ahead_of_time_key(
        &self,
        component_sha256: &str,
        level: OptimizationLevel,
    ) -> Option<ArtefactKey> {
        let _ = (component_sha256, level);
        None
    }
    /// Checks that the component is well-formed, uses only admitted features and imports only what a host here can provide.
    fn validate(&self, component: &[u8]) -> Result<(), EngineError>;
    /// Makes the artefact. The bytes have been verified and validated.
    fn compile(&self, component: &[u8], level: OptimizationLevel) -> Result<Vec<u8>, EngineError>;
    /// Maps `artefact` and prepares a run, up to but not including the first guest instruction. After it returns, the
    /// process needs no file, no code generation and no new privilege; the caller locks the process and calls [`Instance::run`].
    fn load(&self, artefact: File, config: RunConfig) -> Result<Box<dyn Instance>, EngineError>;
}
