//! The conformance suite of all adapters, on wasm3.

fn main() -> std::process::ExitCode {
    vyoma_runtime::conformance::main(&vyoma_adapter_wasm3::Wasm3::new())
}
