//! What every adapter has to do alike: the suite that each runs as its test.
//!
//! An app owns the descriptors 0, 1 and 2 of its process, so each case runs in a child: the test binary starts itself.
//! An adapter's test is one line, `vyoma_runtime::conformance::main(&adapter)`, with `harness = false`. A word as argument
//! runs the cases that contain it.

mod apps;
mod cases;
mod devices;
mod guest;
mod linked;
pub mod plain;
mod process;

pub use process::end;

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::OptimizationLevel;
use vyoma_capabilities::resolve::Grants;

use self::devices::Bench;
use self::guest::Shape;
use crate::{Activity, RunConfig, WasmRuntime};

/// First argument of a child.
const CHILD: &str = "--conformance-child";

/// What a case runs.
#[derive(Debug, Clone, Copy)]
enum Program {
    /// See [`guest::command`].
    Text(&'static str, Shape),
    /// The same in the plain shape, of text that is too long to be written down.
    Made(fn() -> String),
    /// A package of the workspace `apps/`, see [`apps::component`].
    App(&'static str),
}

/// One run and what must come of it.
#[derive(Clone)]
struct Run {
    name: &'static str,
    program: Program,
    grants: Grants,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    stdin: &'static [u8],
    /// Keeps stdin open after `stdin` was fed.
    stdin_stays_open: bool,
    /// Nobody reads stdout.
    stdout_is_closed: bool,
    memory_bytes: Option<u64>,
    bench: Bench,
    /// Checks what came out.
    expect: fn(&Outcome) -> bool,
}

impl Run {
    fn title(&self) -> String {
        match self.program {
            Program::Text(_, Shape::Linked) => format!("{} (linked)", self.name),
            Program::Text(_, Shape::Plain) | Program::Made(_) | Program::App(_) => {
                self.name.to_owned()
            }
        }
    }

    fn component(&self) -> Result<Vec<u8>, String> {
        match self.program {
            Program::Text(body, shape) => guest::command(body, shape),
            Program::Made(body) => guest::command(&body(), Shape::Plain),
            Program::App(package) => apps::component(package),
        }
    }
}

/// What came of a run.
struct Outcome {
    /// How the guest ended, as the child saw it.
    ending: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Host calls that began, and begun ones that had not ended when the guest had.
    calls: u64,
    open_calls: i64,
    /// Calls of each capability, and refusals, as `name:calls:refused`, in the order of the capabilities.
    uses: String,
}

impl Outcome {
    fn ended(&self, ending: &Ending) -> bool {
        self.ending == format!("{ending:?}")
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// Bytes of output that a failure shows.
        const SHOWN: usize = 6000;
        let show = |bytes: &[u8]| {
            bytes[..bytes.len().min(SHOWN)]
                .escape_ascii()
                .to_string()
                .replace("\\n", "\n")
        };
        write!(
            f,
            "{}, {} host calls of which {} did not end, uses {:?}, {} bytes on stdout: {}, {} bytes on stderr: {}",
            self.ending,
            self.calls,
            self.open_calls,
            self.uses,
            self.stdout.len(),
            show(&self.stdout),
            self.stderr.len(),
            show(&self.stderr),
        )
    }
}

/// A component that must not be admitted, and the words that the error must hold.
struct Refusal {
    name: &'static str,
    bytes: fn() -> Result<Vec<u8>, String>,
    words: &'static [&'static str],
}

/// Runs the suite, or the one case that a parent asks for.
pub fn main(runtime: &dyn WasmRuntime) -> ExitCode {
    main_through(runtime, Vec::new(), true)
}

/// Like [`main`], but each case runs in the command `child` with the child's arguments behind it: an emulator and this
/// suite's binary for another processor, whose artefacts `runtime` makes. Empty: this binary. Without `folders` the
/// cases whose guest has a folder are left out: qemu's user mode emulation lacks openat2, without which there is none.
pub fn main_through(runtime: &dyn WasmRuntime, child: Vec<OsString>, folders: bool) -> ExitCode {
    process::CHILD_COMMAND.get_or_init(|| child);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first().map(String::as_str) {
        Some(CHILD) => self::child(runtime, &args[1..]),
        _ => parent(
            runtime,
            args.iter()
                .find(|arg| !arg.starts_with('-'))
                .map_or("", String::as_str),
            folders,
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn parent(runtime: &dyn WasmRuntime, filter: &str, folders: bool) -> Result<(), String> {
    let mut failed = Vec::new();
    let mut count = 0;
    let mut note = |name: String, result: Result<(), String>| {
        count += 1;
        match result {
            Ok(()) => eprintln!("test {name} ... ok"),
            Err(why) => {
                eprintln!("test {name} ... FAILED\n    {why}");
                failed.push(name);
            }
        }
    };
    for refusal in cases::refusals()
        .iter()
        .filter(|case| case.name.contains(filter))
    {
        note(refusal.name.to_owned(), refuse(runtime, refusal));
    }
    for (index, run) in cases::runs()
        .iter()
        .enumerate()
        .filter(|(_, case)| case.title().contains(filter))
        .filter(|(_, case)| folders || !case.grants.filesystem)
    {
        note(run.title(), one(runtime, index, run));
    }
    if failed.is_empty() {
        eprintln!(
            "{count} cases of the conformance suite passed on {} {}",
            runtime.name(),
            runtime.version()
        );
        return Ok(());
    }
    Err(format!(
        "{} of {count} cases failed: {}",
        failed.len(),
        failed.join(", ")
    ))
}

fn refuse(runtime: &dyn WasmRuntime, case: &Refusal) -> Result<(), String> {
    match runtime.validate(&(case.bytes)()?) {
        Ok(()) => Err("it was admitted".to_owned()),
        Err(error) => {
            let text = error.to_string();
            match case.words.iter().find(|word| !text.contains(**word)) {
                _ if text.contains('\n') => Err(format!("more than one line: {text:?}")),
                Some(word) => Err(format!("expected `{word}` in: {text}")),
                None => Ok(()),
            }
        }
    }
}

fn one(runtime: &dyn WasmRuntime, index: usize, case: &Run) -> Result<(), String> {
    let component = case.component()?;
    runtime
        .validate(&component)
        .map_err(|error| error.to_string())?;
    let artefact = runtime
        .compile(&component, OptimizationLevel::Speed)
        .map_err(|error| error.to_string())?;
    let folder =
        std::env::temp_dir().join(format!("vyoma-conformance-{}-{index}", std::process::id()));
    let outcome = process::run(&folder, index, case, &artefact);
    let _ = std::fs::remove_dir_all(&folder);
    let outcome = outcome.map_err(|error| format!("{}: {error}", folder.display()))?;
    if (case.expect)(&outcome) {
        Ok(())
    } else {
        // What an app printed is compared with a file: here is the other side of the comparison.
        let kept = match case.program {
            Program::App(package) => {
                let path = std::env::temp_dir().join(format!("{}-{package}.txt", runtime.name()));
                let _ = std::fs::write(&path, &outcome.stdout);
                format!("stdout is in {}; ", path.display())
            }
            Program::Text(..) | Program::Made(_) => String::new(),
        };
        Err(format!("{kept}{outcome:?}"))
    }
}

/// Counts host calls.
#[derive(Default)]
struct Counter {
    begun: AtomicU64,
    open: AtomicI64,
    used: [AtomicU64; Capability::ALL.len()],
    refused: [AtomicU64; Capability::ALL.len()],
}

impl Counter {
    /// As in [`Outcome::uses`], those that were called for.
    fn uses(&self) -> String {
        let counts = Capability::ALL
            .into_iter()
            .zip(self.used.iter().zip(&self.refused));
        counts
            .map(|(capability, (used, refused))| {
                (
                    capability,
                    used.load(Ordering::Relaxed),
                    refused.load(Ordering::Relaxed),
                )
            })
            .filter(|(_, used, refused)| used + refused > 0)
            .map(|(capability, used, refused)| format!("{capability}:{used}:{refused}"))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Activity for Counter {
    fn enter(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn used(&self, capability: Capability) {
        self.used[capability.index()].fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self, capability: Capability) {
        self.refused[capability.index()].fetch_add(1, Ordering::Relaxed);
    }
}

fn child(runtime: &dyn WasmRuntime, args: &[String]) -> Result<(), String> {
    let [index, folder] = args else {
        return Err(format!("{CHILD} takes a number and a folder"));
    };
    let index: usize = index.parse().map_err(|error| format!("{index}: {error}"))?;
    let folder = Path::new(folder);
    let case = &cases::runs()[index];
    let open =
        |name: &str| File::open(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let counter = Arc::new(Counter::default());
    let config = RunConfig {
        name: "app".to_owned(),
        args: case.args.iter().map(|&arg| arg.to_owned()).collect(),
        env: case
            .env
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        grants: case.grants.clone(),
        memory_bytes: case.memory_bytes,
        data: if case.grants.filesystem {
            Some(open(process::DATA)?)
        } else {
            None
        },
        devices: devices::of(case.bench, &case.grants)
            .map_err(|error| format!("devices: {error}"))?,
        activity: Arc::<Counter>::clone(&counter),
    };
    let ending = match runtime.load(open(process::ARTEFACT)?, config) {
        Ok(instance) => instance.run(),
        Err(error) => Ending::NotStarted(error.to_string()),
    };
    let report = format!(
        "{ending:?}\n{}\n{}\n{}\n",
        counter.begun.load(Ordering::Relaxed),
        counter.open.load(Ordering::Relaxed),
        counter.uses()
    );
    std::fs::write(folder.join(process::REPORT), report).map_err(|error| error.to_string())
}
