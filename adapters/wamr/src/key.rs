//! What WAMR's artefacts are made for: the parts of their keys. The adapter and the ahead-of-time compiler include this file
//! both, since a program can link only one of their two WAMRs.

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{ArtefactKey, CpuLevel};

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

/// The `target` part of the key of machine code.
fn target(cpu: CpuLevel) -> String {
    format!("{}+{}", cpu.target(), cpu.name())
}

/// Levels whose code a processor of this level runs.
fn runs(cpu: CpuLevel) -> &'static [CpuLevel] {
    match cpu {
        CpuLevel::V1 => &[CpuLevel::V1],
        CpuLevel::V2 => &[CpuLevel::V1, CpuLevel::V2],
        CpuLevel::V8 => &[CpuLevel::V8],
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
    runs(cpu).iter().copied().map(target).collect()
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
        target: target(cpu),
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
