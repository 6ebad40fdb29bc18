//! Every setting of Wasmtime that this project chooses, with its reason; the one source of both the engines and the key.

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::component::ADMITTED;
use wasmparser::WasmFeatures;
use wasmtime::{Config, ModuleVersionStrategy, OptLevel, Result};

use crate::{CoreModules, CpuLevel, VERSION};

/// Address space (not memory) set aside for a linear memory: 4 GiB, all that a 32-bit memory can reach, so that code
/// needs no bounds checks and a memory never moves when it grows. An app is a process of its own, and even a 39-bit
/// address space (512 GiB) has room for that. Callers that set RLIMIT_AS must leave room.
const RESERVATION: u64 = 4 << 30;

/// Unmapped address space after a linear memory: lets loads with a constant offset go unchecked too.
const GUARD: u64 = 32 << 20;

/// Native stack of the guest. Rust's own shadow stack in linear memory is one page to 1 MiB, and native frames are about
/// as large: deep recursion that fits there fits here.
pub(crate) const WASM_STACK: usize = 1 << 20;

/// The guest's stack and 1 MiB for the host functions that it calls. Mapped, not touched: costs what is used.
const FIBER_STACK: usize = WASM_STACK + (1 << 20);

/// What is the same when compiling and when running. Wasmtime refuses an artefact for which any of it differs.
fn common() -> Result<Config> {
    let mut config = Config::new();
    // By default Wasmtime compares only the major version.
    config.module_version(ModuleVersionStrategy::Custom(VERSION.to_owned()))?;
    config.wasm_features(WasmFeatures::all().difference(ADMITTED), false);
    config.wasm_features(ADMITTED, true);
    config.memory_reservation(RESERVATION);
    config.memory_guard_size(GUARD);
    config.max_wasm_stack(WASM_STACK);
    config.async_stack_size(FIBER_STACK);
    // The reason of a trap is told; the address map, the backtrace and symbols would only make artefacts larger.
    config.generate_address_map(false);
    config.wasm_backtrace_max_frames(None);
    config.debug_symbols(false);
    // Data segments are mapped from the artefact, copy on write: less to do at start, and shared until written.
    config.memory_init_cow(true);
    Ok(config)
}

/// Settings of the engine that compiles.
pub(crate) fn compiler(cpu: CpuLevel, level: OptimizationLevel) -> Result<Config> {
    let mut config = common()?;
    config.target(cpu.target())?;
    for flag in instruction_sets(cpu) {
        // SAFETY: the flags name instruction sets. Code that uses them runs only where Wasmtime found them when it loaded
        // the artefact: the flags are recorded in it and checked against the processor.
        unsafe { config.cranelift_flag_enable(flag) };
    }
    config.cranelift_opt_level(cranelift(level));
    // Same bytes, same result: NaN bits must not depend on the processor.
    config.cranelift_nan_canonicalization(true);
    // For native debuggers and unwinders only; panics abort here.
    config.native_unwind_info(false);
    Ok(config)
}

/// Settings of the engine that runs. It holds no compiler, which is most of what making an engine costs.
pub(crate) fn runtime() -> Result<Config> {
    let mut config = common()?;
    config.enable_compiler(false);
    Ok(config)
}

/// Cranelift's names of the instruction sets that the level adds.
fn instruction_sets(cpu: CpuLevel) -> &'static [&'static str] {
    match cpu {
        CpuLevel::V1 | CpuLevel::V8 => &[],
        CpuLevel::V2 => &[
            "has_sse3",
            "has_ssse3",
            "has_sse41",
            "has_sse42",
            "has_popcnt",
        ],
    }
}

fn cranelift(level: OptimizationLevel) -> OptLevel {
    match level {
        OptimizationLevel::None => OptLevel::None,
        OptimizationLevel::Speed => OptLevel::Speed,
        OptimizationLevel::Balanced | OptimizationLevel::Size => OptLevel::SpeedAndSize,
    }
}

/// All levels: artefacts of each can be run.
pub(crate) const LEVELS: [OptimizationLevel; 4] = [
    OptimizationLevel::None,
    OptimizationLevel::Size,
    OptimizationLevel::Balanced,
    OptimizationLevel::Speed,
];

/// The `flags` part of an artefact's key. `core` names the components that are run as core modules.
pub(crate) fn flags(level: OptimizationLevel, core_modules: CoreModules) -> String {
    let core_modules = match core_modules {
        CoreModules::Devices => "devices",
        CoreModules::All => "all",
    };
    format!(
        "opt={:?} core={core_modules} nan=canonical features={:#x} reservation={RESERVATION:#x} guard={GUARD:#x} cow address-map=no unwind=no symbols=no",
        cranelift(level),
        ADMITTED.bits(),
    )
}
