//! The engines at hand: Cargo features, and for machine code of WAMR the program that makes it.

use std::io::Write;
use std::process::Command;

use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::WasmRuntime;

/// Environment variable with the path of the program `vyoma-aotc`; with it, `wamr-aot` is compared too.
pub const AOTC: &str = "VYOMA_AOTC";

/// Names of the engines that are compared; the first is what the others are compared with.
pub fn names() -> Vec<&'static str> {
    let mut names = Vec::new();
    if cfg!(feature = "wasmtime") {
        names.push("wasmtime");
        names.push("wasmtime-core");
    }
    if cfg!(feature = "wamr") {
        names.push("wamr");
        if std::env::var_os(AOTC).is_some() {
            names.push("wamr-aot");
        }
    }
    if cfg!(feature = "wasm3") {
        names.push("wasm3");
    }
    names
}

/// The engine of this name, when it is compiled in.
pub fn engine(name: &str) -> Option<Box<dyn WasmRuntime>> {
    match name {
        #[cfg(feature = "wasmtime")]
        "wasmtime" => Some(Box::new(vyoma_adapter_wasmtime::Wasmtime::new(
            vyoma_adapter_wasmtime::CpuLevel::detect(),
        ))),
        // As it runs those with devices, which no generated component has.
        #[cfg(feature = "wasmtime")]
        "wasmtime-core" => Some(Box::new(
            vyoma_adapter_wasmtime::Wasmtime::new(vyoma_adapter_wasmtime::CpuLevel::detect())
                .all_as_core_modules(),
        )),
        #[cfg(feature = "wamr")]
        "wamr" | "wamr-aot" => Some(Box::new(vyoma_adapter_wamr::Wamr::new(
            vyoma_adapter_wamr::CpuLevel::detect(),
        ))),
        #[cfg(feature = "wasm3")]
        "wasm3" => Some(Box::new(vyoma_adapter_wasm3::Wasm3::new())),
        _ => None,
    }
}

/// The artefact of a component for the engine of this name.
pub fn artefact(
    name: &str,
    engine: &dyn WasmRuntime,
    component: &[u8],
    level: OptimizationLevel,
) -> Result<Vec<u8>, String> {
    engine
        .validate(component)
        .map_err(|error| format!("refused: {error}"))?;
    if name == "wamr-aot" {
        return machine_code(component);
    }
    engine
        .compile(component, level)
        .map_err(|error| format!("not compiled: {error}"))
}

fn machine_code(component: &[u8]) -> Result<Vec<u8>, String> {
    let program = std::env::var_os(AOTC).ok_or_else(|| format!("{AOTC} is not set"))?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (input, output) = (folder.path().join("in.wasm"), folder.path().join("out"));
    std::fs::File::create(&input)
        .and_then(|mut file| file.write_all(component))
        .map_err(|error| error.to_string())?;
    let done = Command::new(program)
        .args(["--target", std::env::consts::ARCH, "--out"])
        .arg(&output)
        .arg(&input)
        .output()
        .map_err(|error| format!("{AOTC}: {error}"))?;
    if !done.status.success() {
        return Err(format!(
            "not compiled: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        ));
    }
    std::fs::read(&output).map_err(|error| error.to_string())
}
