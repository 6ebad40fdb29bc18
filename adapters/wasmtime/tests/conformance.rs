//! The conformance suite of all adapters, on Wasmtime.

fn main() -> std::process::ExitCode {
    vyoma_runtime::conformance::main(&vyoma_adapter_wasmtime::Wasmtime::new(
        vyoma_adapter_wasmtime::CpuLevel::detect(),
    ))
}
