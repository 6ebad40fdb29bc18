//! The conformance suite of all adapters, on WAMR's interpreter.

fn main() -> std::process::ExitCode {
    vyoma_runtime::conformance::main(&vyoma_adapter_wamr::Wamr::new(
        vyoma_adapter_wamr::CpuLevel::detect(),
    ))
}
