//! Runs one component on this adapter alone: see `vyoma_runtime::by_hand`. `compile` makes an artefact for the interpreter,
//! whatever the level; machine code is made by `vyoma-aotc`.

use vyoma_adapter_wamr::Wamr;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    vyoma_runtime::by_hand::main(Wamr::new)
}
