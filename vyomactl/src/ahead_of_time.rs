//! Machine code for a device that can't make any itself: `install` has `vyoma-aotc` make it here, of the very component that
//! is sent, and for what the device says that it is. Without that tool the app is installed all the same, and interpreted.
//! Called by `install` only. The tool is a program of its own because it needs LLVM, which few machines have.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vyoma_capabilities::control::{AheadOfTime, MAX_ARTEFACT};
use vyoma_capabilities::profile;

use crate::client::{Client, plain};
use crate::exit::{Exit, Failure};

/// Names another tool than the one beside this program or in PATH.
const VARIABLE: &str = "VYOMA_AOTC";
/// The tool.
const TOOL: &str = "vyoma-aotc";

/// What comes of it.
pub(crate) enum Outcome {
    /// The device takes no machine code.
    NotTaken,
    /// To be sent with the component.
    Code(Vec<u8>),
    /// One line for the operator; the app is installed without.
    Without(String),
}

/// Machine code of `component` for the device behind `client`: of what came with it that which fits, else made here.
pub(crate) fn make(
    client: &mut Client,
    component: &[u8],
    given: &[Vec<u8>],
) -> Result<Outcome, Failure> {
    // Hello told the platform: most of them need no further question.
    let takes = profile::builtin(&client.platform)
        .and_then(|text| profile::parse(&client.platform, text).ok())
        .is_some_and(|profile| profile.runtime.aot);
    if !takes {
        return Ok(Outcome::NotTaken);
    }
    let Some(wanted) = client.info()?.ahead_of_time else {
        return Ok(Outcome::NotTaken);
    };
    let sha256 = vyoma_runtime::sha256_hex(component);
    let fitting = given.iter().find(|code| {
        vyoma_services::artefact::decode(code).is_ok_and(|artefact| {
            artefact.key.component == sha256
                && artefact
                    .fits(&wanted.engine, &[&wanted.target], &[&wanted.flags])
                    .is_ok()
        })
    });
    if let Some(code) = fitting {
        return Ok(Outcome::Code(code.clone()));
    }
    Ok(match find().map(|tool| run(&tool, &wanted, component)) {
        Some(Ok(code)) => Outcome::Code(code),
        Some(Err(why)) => Outcome::Without(format!(
            "no machine code was made ({why}); the app is interpreted, which is slower; --no-aot leaves it at that"
        )),
        None => Outcome::Without(format!(
            "{TOOL} was not found beside vyomactl, in PATH or in {VARIABLE}, so the app is interpreted, which is slower; \
             build it with `cargo xtask aotc` (needs Debian's llvm-14-dev, on Debian 13 llvm-19-dev), \
             or say --no-aot"
        )),
    })
}

/// The tool: as the environment says, else beside this program, else in PATH.
fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name(TOOL));
    let in_path = std::env::var_os("PATH");
    let in_path = in_path.iter().flat_map(std::env::split_paths);
    beside
        .into_iter()
        .chain(in_path.map(|folder| folder.join(TOOL)))
        .find(|path| path.is_file())
}

/// Machine code for devices of a platform (`iot-edge`, or `iot-edge/x86_64`), for a bundle.
pub(crate) fn for_platform(platform: &str, component: &[u8]) -> Result<Vec<u8>, Failure> {
    let (name, arch) = platform
        .split_once('/')
        .map_or((platform, None), |(name, arch)| (name, Some(arch)));
    let profile = profile::builtin(name)
        .and_then(|text| profile::parse(name, text).ok())
        .filter(|profile| profile.runtime.aot);
    let Some(profile) = profile else {
        let takes = profile::PLATFORMS
            .into_iter()
            .filter(|name| profile::builtin(name).is_some_and(|text| text.contains("aot = true")))
            .collect::<Vec<_>>()
            .join(" or ");
        return Err(Failure::new(
            Exit::Usage,
            format!("--aot: found {name:?}; expected a platform that takes machine code: {takes}"),
        ));
    };
    let arch = arch.unwrap_or(profile.arch.name());
    let Some(tool) = find() else {
        return Err(Failure::new(
            Exit::Local,
            format!(
                "{TOOL} was not found beside vyomactl, in PATH or in {VARIABLE}; build it with `cargo xtask aotc`"
            ),
        ));
    };
    compile(
        &tool,
        &[
            "--target",
            arch,
            "--level",
            profile.runtime.optimization_level.name(),
        ],
        component,
    )
    .map_err(|why| Failure::new(Exit::Local, why))
}

/// Compiles. The error is for people.
fn run(tool: &Path, wanted: &AheadOfTime, component: &[u8]) -> Result<Vec<u8>, String> {
    let named = tool.display();
    // `aarch64-unknown-linux-musl+v8`
    let (arch, cpu) = wanted
        .target
        .split_once('-')
        .zip(wanted.target.rsplit_once('+'))
        .map(|((arch, _), (_, cpu))| (arch, cpu))
        .ok_or_else(|| format!("the device asks for code for {:?}", wanted.target))?;
    let level = wanted.optimization_level.name();
    let words = ["--target", arch, "--cpu", cpu, "--level", level];
    let code = compile(tool, &words, component)?;
    // The device would refuse it and with it the app: better no machine code than none of either.
    let artefact =
        vyoma_services::artefact::decode(&code).map_err(|error| format!("{named}: {error}"))?;
    artefact
        .fits(&wanted.engine, &[&wanted.target], &[&wanted.flags])
        .map_err(|error| format!("{named} is of another version than the device: {error}"))?;
    Ok(code)
}

/// Runs the tool with these words. The error is for people.
fn compile(tool: &Path, words: &[&str], component: &[u8]) -> Result<Vec<u8>, String> {
    let named = tool.display();
    let failed = |error: std::io::Error| format!("{named}: {}", plain(&error));
    let mut child = Command::new(tool)
        .args(words)
        .args(["--out", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // It reads all of it before it writes anything. Should it end before, what it says tells why.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(component);
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        return Err(format!("{named}: {}", last.unwrap_or("it failed")));
    }
    let code = output.stdout;
    if code.len() as u64 > MAX_ARTEFACT {
        return Err(format!(
            "{named} made {} bytes; a device takes at most {MAX_ARTEFACT}",
            code.len()
        ));
    }
    Ok(code)
}
