//! WAMR with machine code: `compile` is the tool `vyoma-aotc`, built with cargo when VYOMA_AOTC does not name one.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use vyoma_adapter_wamr::{CpuLevel, Wamr};
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::{ArtefactKey, EngineError, Instance, RunConfig, WasmRuntime, sha256_hex};
use vyoma_services::artefact::decode;

/// The adapter under test.
pub(crate) struct Ahead {
    wamr: Wamr,
    cpu: CpuLevel,
    aotc: OnceLock<Result<PathBuf, String>>,
}

impl Ahead {
    pub(crate) fn new(cpu: CpuLevel) -> Self {
        Self {
            wamr: Wamr::new(cpu),
            cpu,
            aotc: OnceLock::new(),
        }
    }
}

impl WasmRuntime for Ahead {
    fn name(&self) -> &'static str {
        "wamr with machine code"
    }

    fn version(&self) -> &'static str {
        self.wamr.version()
    }

    fn key(&self, component_sha256: &str, level: OptimizationLevel) -> ArtefactKey {
        self.wamr
            .ahead_of_time_key(component_sha256, level)
            .expect("WAMR has machine code")
    }

    fn validate(&self, component: &[u8]) -> Result<(), EngineError> {
        self.wamr.validate(component)
    }

    fn compile(&self, component: &[u8], level: OptimizationLevel) -> Result<Vec<u8>, EngineError> {
        let aotc = self.aotc.get_or_init(build).clone();
        let made = aotc
            .and_then(|aotc| run(&aotc, self.cpu, level, component))
            .map_err(|message| EngineError::Engine {
                engine: "vyoma-aotc",
                message,
            })?;
        // What the tool says of it is what the adapter looks for.
        decode(&made)?.check(&self.key(&sha256_hex(component), level))?;
        Ok(made)
    }

    fn load(&self, artefact: File, config: RunConfig) -> Result<Box<dyn Instance>, EngineError> {
        self.wamr.load(artefact, config)
    }
}

/// Path of the tool.
fn build() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("VYOMA_AOTC") {
        return Ok(path.into());
    }
    executable(
        &["build", "--quiet", "--package", "vyoma-aotc"],
        "vyoma-aotc",
    )
}

/// Has cargo build something and tells where it is.
pub(crate) fn executable(arguments: &[&str], name: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo, which builds {name}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{name} does not build; it needs what cargo said above"
        ));
    }
    // One JSON object a line; the one that tells of an executable tells of this one.
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter(|line| line.contains(&format!("\"name\":\"{name}\"")))
        .find_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next())
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo built no {name}"))
}

fn run(
    aotc: &std::path::Path,
    cpu: CpuLevel,
    level: OptimizationLevel,
    component: &[u8],
) -> Result<Vec<u8>, String> {
    let level = match level {
        OptimizationLevel::None => "none",
        OptimizationLevel::Size => "size",
        OptimizationLevel::Balanced => "balanced",
        OptimizationLevel::Speed => "speed",
    };
    let mut child = Command::new(aotc)
        .args(["--target", cpu.arch(), "--cpu", cpu.name()])
        .args(["--level", level, "--out", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("vyoma-aotc at {}: {error}", aotc.display()))?;
    // The tool reads all before it writes anything.
    let fed = child.stdin.take().expect("piped").write_all(component);
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    fed.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
