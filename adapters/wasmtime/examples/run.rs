//! Runs one component on this adapter alone: see `vyoma_runtime::by_hand`.

use vyoma_adapter_wasmtime::Wasmtime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    vyoma_runtime::by_hand::main(Wasmtime::new)
}
