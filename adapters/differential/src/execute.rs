//! One component on one engine, in a process of its own; and on all of them.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_runtime::RunConfig;
use vyoma_runtime::conformance::end;

use crate::engines;

/// First argument of a child: then come the engine, the component and the file for the report.
pub const CHILD: &str = "--child";

/// How long one engine may take for one component. Generated ones end after a bounded number of steps, in milliseconds, and
/// are compiled in seconds; the rest is for machines that are busy.
const PATIENCE: Duration = Duration::from_mins(2);

/// Most bytes of linear memory: what generated modules may declare, see [`crate::generate`].
const MEMORY: u64 = 1 << 20;

/// What an engine made of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended, in engine-neutral words; `process: ...` when the process did not survive it.
    pub ending: String,
    /// All that the guest printed.
    pub stdout: Vec<u8>,
}

/// The child's part. The guest's stdin and stdout are this process's own.
pub fn child(engine: &str, component: &Path, report: &Path) -> Result<(), String> {
    let ending = run(engine, component).unwrap_or_else(|why| why);
    std::fs::write(report, ending).map_err(|error| format!("{}: {error}", report.display()))
}

fn run(name: &str, component: &Path) -> Result<String, String> {
    let engine = engines::engine(name).ok_or_else(|| format!("{name} is not compiled in"))?;
    let bytes = std::fs::read(component).map_err(|error| error.to_string())?;
    let artefact = engines::artefact(name, &*engine, &bytes, OptimizationLevel::Speed)?;
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), artefact).map_err(|error| error.to_string())?;
    let config = RunConfig {
        env: vec![("KEY".to_owned(), "value".to_owned())],
        memory_bytes: Some(MEMORY),
        ..RunConfig::stdio_only("app", &["one", "", "drei"])
    };
    let artefact = File::open(file.path()).map_err(|error| error.to_string())?;
    Ok(match engine.load(artefact, config) {
        Ok(instance) => match instance.run() {
            // Engines name the reason of a failed start each in its own words.
            Ending::NotStarted(_) => "not started".to_owned(),
            ending => format!("{ending:?}"),
        },
        Err(error) => format!("not loaded: {error}"),
    })
}

/// Runs the component in `file` on `engine`, in a child of `program` (this crate's binary).
pub fn outcome(program: &Path, engine: &str, file: &Path) -> Result<Outcome, std::io::Error> {
    let folder = tempfile::tempdir()?;
    let (stdin, stdout, report) = (
        folder.path().join("stdin"),
        folder.path().join("stdout"),
        folder.path().join("report"),
    );
    // Regular files: they never make anyone wait, so it is no matter of time what a read gives.
    std::fs::write(&stdin, b"The quick brown fox jumps over the lazy dog.\n")?;
    let mut child = Command::new(program)
        .args([CHILD, engine])
        .arg(file)
        .arg(&report)
        .stdin(File::open(&stdin)?)
        .stdout(File::create(&stdout)?)
        .stderr(Stdio::null())
        .spawn()?;
    let status = end(&mut child, PATIENCE)?;
    let ending = std::fs::read_to_string(&report).unwrap_or_else(|_| {
        status.map_or_else(
            || format!("process: still running after {PATIENCE:?}"),
            |status| format!("process: {status}"),
        )
    });
    Ok(Outcome {
        ending,
        stdout: std::fs::read(&stdout)?,
    })
}

/// Runs the component in `file` on every engine, at the same time: outcomes in the order of [`engines::names`].
pub fn all(program: &Path, file: &Path) -> Result<Vec<(&'static str, Outcome)>, std::io::Error> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = engines::names()
            .into_iter()
            .map(|engine| (engine, scope.spawn(|| outcome(program, engine, file))))
            .collect();
        runs.into_iter()
            .map(|(engine, run)| {
                let outcome = run
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")));
                Ok((engine, outcome?))
            })
            .collect()
    })
}

/// One line for each engine that differs from the first; and for each that did not survive.
pub fn differences(outcomes: &[(&'static str, Outcome)]) -> Vec<String> {
    let mut lines = Vec::new();
    let Some((reference, expected)) = outcomes.first() else {
        return vec!["no engine is compiled in".to_owned()];
    };
    for (engine, found) in outcomes {
        if found.ending.starts_with("process: ") {
            lines.push(format!("{engine}: {}", found.ending));
        } else if found.ending != expected.ending {
            lines.push(format!(
                "{engine}: {}, {reference}: {}",
                found.ending, expected.ending
            ));
        } else if found.stdout != expected.stdout {
            let at = found
                .stdout
                .iter()
                .zip(&expected.stdout)
                .position(|(a, b)| a != b)
                .unwrap_or(found.stdout.len().min(expected.stdout.len()));
            lines.push(format!(
                "{engine}: prints {} bytes, {reference} {}; first difference at byte {at} (value {})",
                found.stdout.len(),
                expected.stdout.len(),
                at / 8
            ));
        }
    }
    lines
}
