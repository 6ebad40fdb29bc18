//! The conformance suite of all adapters, on machine code that `vyoma-aotc` made for this processor.

mod aotc;

fn main() -> std::process::ExitCode {
    vyoma_runtime::conformance::main(&aotc::Ahead::new(vyoma_adapter_wamr::CpuLevel::detect()))
}
