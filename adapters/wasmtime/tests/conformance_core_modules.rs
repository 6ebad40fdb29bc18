//! The conformance suite of all adapters, on Wasmtime with every component run as those with devices are: as a core module.

use vyoma_adapter_wasmtime::{CpuLevel, Wasmtime};

fn main() -> std::process::ExitCode {
    vyoma_runtime::conformance::main(&Wasmtime::new(CpuLevel::detect()).all_as_core_modules())
}
