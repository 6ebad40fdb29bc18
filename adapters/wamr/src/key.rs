//! What WAMR's artefacts are made for: the parts of their keys. The adapter and the ahead-of-time compiler include this file
//! both, since a program can link only one of their two WAMRs.

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{ArtefactKey, EngineError};

/// Name of the engine.
pub(crate) const ENGINE: &str = "wamr";

/// The WAMR in the source that is built. A test compares it with what the runtime says.
pub(crate) const VERSION: &str = "2.4.3";

/// Version of WAMR's file format for machine code, AOT_CURRENT_VERSION in its config.h.
const FORMAT: u32 = 6;

/// Changes whenever the way that WAMR is built does: compiler and runtime must be of one source.
const SOURCE: u64 = fingerprint(
    include_bytes!("../sys/source.rs"),
    include_bytes!("../sys/patches.rs"),
);

/// FNV-1a, since it is wanted at compile time. It tells accidents apart, nothing more.
const fn fingerprint(one: &[u8], two: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < one.len() + two.len() {
        let byte = if at < one.len() {
            one[at]
        } else {
            two[at - one.len()]
        };
        hash = (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// An architecture and the instructions beyond its first version that machine code may use. Named, never inferred, so
/// that code made on a newer machine still runs on an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuLevel {
    /// x86-64 as of 2003: SSE2.
    V1,
    /// x86-64-v2 (psABI): SSE3 to SSE4.2 and POPCNT; every processor since about 2010.
    V2,
    /// Armv8.0-A: what every 64-bit Arm processor has.
    V8,
}

impl CpuLevel {
    /// The highest level that the running processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let v2 = std::is_x86_feature_detected!("sse3")
                && std::is_x86_feature_detected!("ssse3")
                && std::is_x86_feature_detected!("sse4.1")
                && std::is_x86_feature_detected!("sse4.2")
                && std::is_x86_feature_detected!("popcnt");
            if v2 { Self::V2 } else { Self::V1 }
        }
        #[cfg(target_arch = "aarch64")]
        {
            Self::V8
        }
    }

    /// Reads what [`CpuLevel::name`] gives.
    pub fn parse(name: &str) -> Result<Self, EngineError> {
        match name {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            "v8" => Ok(Self::V8),
            _ => Err(EngineError::Refused(format!(
                "unknown CPU level `{name}`; expected v1 or v2 (x86_64) or v8 (aarch64)"
            ))),
        }
    }

    /// `v1`, `v2` or `v8`
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V8 => "v8",
        }
    }

    /// Architecture, as Rust names it.
    pub fn arch(self) -> &'static str {
        match self {
            Self::V1 | Self::V2 => "x86_64",
            Self::V8 => "aarch64",
        }
    }

    /// The `target` part of the key of machine code.
    fn target(self) -> String {
        format!("{}-unknown-linux-musl+{}", self.arch(), self.name())
    }

    /// Levels whose code a processor of this level runs.
    fn runs(self) -> &'static [Self] {
        match self {
            Self::V1 => &[Self::V1],
            Self::V2 => &[Self::V1, Self::V2],
            Self::V8 => &[Self::V8],
        }
    }
}

/// LLVM's optimisation level.
pub(crate) fn opt_level(level: OptimizationLevel) -> u32 {
    match level {
        OptimizationLevel::None => 0,
        OptimizationLevel::Size => 1,
        OptimizationLevel::Balanced => 2,
        OptimizationLevel::Speed => 3,
    }
}

/// All of them.
pub(crate) const LEVELS: [OptimizationLevel; 4] = [
    OptimizationLevel::None,
    OptimizationLevel::Size,
    OptimizationLevel::Balanced,
    OptimizationLevel::Speed,
];

/// The `engine` part of a key.
pub(crate) fn engine() -> String {
    format!("{ENGINE} {VERSION}")
}

/// The `target` part of the keys of machine code that a processor of level `cpu` runs.
pub(crate) fn targets(cpu: CpuLevel) -> Vec<String> {
    cpu.runs().iter().map(|level| level.target()).collect()
}

/// The `flags` part of the key of machine code.
pub(crate) fn flags(level: OptimizationLevel) -> String {
    format!(
        "machine-code aot={FORMAT} opt={} nan=canonical bounds=checked stack=checked source={SOURCE:016x}",
        opt_level(level)
    )
}

/// Key of machine code for `cpu`.
pub(crate) fn machine_code(
    component: &str,
    cpu: CpuLevel,
    level: OptimizationLevel,
) -> ArtefactKey {
    ArtefactKey {
        component: component.to_owned(),
        engine: engine(),
        target: cpu.target(),
        flags: flags(level),
    }
}

/// The `target` and `flags` parts of the key of a core module, which is the same everywhere.
pub(crate) const MODULE_TARGET: &str = "wasm32";
/// See [`MODULE_TARGET`].
pub(crate) const MODULE_FLAGS: &str = "core-module";

/// Key of a core module for the interpreter.
pub(crate) fn core_module(component: &str) -> ArtefactKey {
    ArtefactKey {
        component: component.to_owned(),
        engine: engine(),
        target: MODULE_TARGET.to_owned(),
        flags: MODULE_FLAGS.to_owned(),
    }
}
