//! Runs one component on this adapter alone: see `vyoma_runtime::by_hand`. An artefact is the same for every level.

use vyoma_adapter_wasm3::Wasm3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    vyoma_runtime::by_hand::main(|_| Wasm3::new())
}
