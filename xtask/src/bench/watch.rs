//! Figures of watching: how soon what is saved runs (`vyomactl watch`), and what 50 clients that follow logs cost the daemon.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use vyoma_capabilities::control::{Request, Response};
use vyoma_capabilities::lifecycle::Phase;

use super::{Hosted, IDLE, info, wait_for};
use crate::apps::{self, App};
use crate::artefacts;
use crate::context::{Context, say};
use crate::control::Control;
use crate::figures::{Figure, Goal, commit, insert_between, table};
use crate::platforms::Arch;

const BEGIN: &str = "<!-- watch: begin -->";
const END: &str = "<!-- watch: end -->";
/// Clients that follow: three quarters of what a daemon takes at once, and a few more than anyone has terminals.
const CLIENTS: usize = 50;
/// How long they follow before the daemon is measured: every queue that fills has filled by then.
const FOLLOWED: Duration = Duration::from_secs(8);
/// The target of apps.
const TARGET: &str = "wasm32-wasip2";

/// Measures both; the figures, and the section of the page.
pub(crate) fn measure(context: &Context, rounds: usize) -> anyhow::Result<(Vec<Figure>, String)> {
    let mut figures = vec![save_to_running(context, rounds)?];
    figures.extend(followers(context)?);
    let section = format!(
        "## Watching\n\nFrom the moment a changed source file is in its place until `vyomactl watch` says that the new version \
         runs on a hosted daemon; the baseline is `cargo build` of the same change to a copy of the same crate (std's println in a \
         loop, release), one beside the other. Memory is the daemon's PSS while an app prints as fast as it may and {CLIENTS} \
         clients follow all logs; those that do not read are hung up on after 10 s, and until then each has at most 256 KiB in its \
         queue.\n\n{}\n- {}\n",
        table(&figures),
        commit(context)
    );
    Ok((figures, section))
}

/// The page with `section` in the place of the old one, or at its end if it had none.
pub(crate) fn insert(page: &str, section: &str) -> String {
    insert_between(page, BEGIN, END, section)
}

/// A small crate, with a source that is another one each time.
struct Project {
    folder: PathBuf,
    says: u64,
}

impl Project {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join("src"))?;
        std::fs::write(
            folder.join("Cargo.toml"),
            "[package]\nname = \"watched\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
        )?;
        std::fs::write(
            folder.join("vyoma.toml"),
            "[app]\nname = \"watched\"\nversion = \"0.1.0\"\nwasm = \"watched.wasm\"\n\n[capabilities]\nstdio = true\n",
        )?;
        let mut project = Self {
            folder: folder.to_owned(),
            says: 0,
        };
        project.save()?;
        Ok(project)
    }

    /// Puts a changed file in the place of the old one; when that was done.
    fn save(&mut self) -> anyhow::Result<Instant> {
        self.says += 1;
        let source = format!(
            "fn main() {{\n    loop {{\n        println!(\"version {}\");\n        std::thread::sleep(std::time::Duration::from_secs(1));\n    }}\n}}\n",
            self.says
        );
        let new = self.folder.join("src/main.rs.tmp");
        std::fs::write(&new, source)?;
        std::fs::rename(new, self.folder.join("src/main.rs"))?;
        Ok(Instant::now())
    }

    /// A command with a target folder of the project's own.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env_remove("RUSTC_WRAPPER")
            .stdin(Stdio::null());
        command
    }

    /// Seconds that cargo alone takes.
    fn build(&self, cargo: &std::ffi::OsStr) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let status = self
            .command(cargo)
            .args(["build", "--quiet", "--release", "--target", TARGET])
            .status()
            .context("cannot run cargo")?;
        ensure!(status.success(), "cargo build failed: {status}");
        Ok(begun.elapsed().as_secs_f64())
    }
}

/// Ends with this value.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn save_to_running(context: &Context, rounds: usize) -> anyhow::Result<Figure> {
    let vyomad = artefacts::program(context, "vyomad", Arch::X86_64)?;
    let vyomactl = artefacts::program(context, "vyomactl", Arch::X86_64)?;
    let folder = tempfile::tempdir()?;
    let mut watched = Project::new(&folder.path().join("watched"))?;
    let mut alone = Project::new(&folder.path().join("alone"))?;
    let cargo = context.cargo().get_program().to_owned();
    alone.build(&cargo)?;
    let daemon = Hosted::start(&vyomad, &[])?;
    drop(daemon.connect()?);
    let mut child = watched
        .command(&vyomactl)
        .arg("--target")
        .arg(daemon.dir.path().join("state/control.sock"))
        .args(["--output", "json", "watch", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run vyomactl")?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
    let _watching = Watching(child);
    until_running(&mut lines)?;
    say(format_args!(
        "measuring {rounds} saves, each beside a build by cargo alone"
    ));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let saved = watched.save()?;
        until_running(&mut lines)?;
        ours.push(saved.elapsed().as_secs_f64());
        alone.save()?;
        theirs.push(alone.build(&cargo)?);
    }
    Ok(Figure {
        what: "`vyomactl watch`, hosted: from a save to the new version running".into(),
        unit: "s",
        samples: ours,
        baseline: Some(("cargo build of the same change alone".into(), theirs)),
        goal: Goal::AtMost(2.0),
    })
}

fn until_running(lines: &mut BufReader<ChildStdout>) -> anyhow::Result<()> {
    loop {
        let mut line = String::new();
        ensure!(lines.read_line(&mut line)? > 0, "vyomactl watch ended");
        let document: serde_json::Value = serde_json::from_str(&line)?;
        match document["watch"].as_str() {
            Some("running") => return Ok(()),
            Some(what @ ("build-failed" | "install-failed")) => {
                bail!("{what}: {}", document["detail"])
            }
            _ => {}
        }
    }
}

/// The daemon's memory with clients that read, and with clients that do not.
fn followers(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let vyomad = artefacts::program(context, "vyomad", Arch::X86_64)?;
    let flood = apps::ready(context, &context.root.join("apps/guests/stdout-flood"))?;
    let idle = with_clients(&vyomad, &flood, 0, true)?;
    say(format_args!(
        "measuring the daemon with {CLIENTS} followers"
    ));
    let reading = with_clients(&vyomad, &flood, CLIENTS, true)?;
    let stalled = with_clients(&vyomad, &flood, CLIENTS, false)?;
    let figure = |what: String, value: f64, most: f64| Figure {
        what,
        unit: "MB",
        samples: vec![value],
        baseline: Some(("the same without clients".into(), vec![idle])),
        goal: Goal::AtMost(most),
    };
    Ok(vec![
        figure(
            format!(
                "the daemon's memory (PSS) while {CLIENTS} clients follow the logs of an app that prints as fast as it may"
            ),
            reading,
            16.0,
        ),
        figure(
            format!("the same with {CLIENTS} clients that do not read"),
            stalled,
            // Idle, and 256 KiB for each.
            20.0,
        ),
    ])
}

/// The daemon's PSS in MB.
fn with_clients(vyomad: &Path, flood: &App, clients: usize, read: bool) -> anyhow::Result<f64> {
    let daemon = Hosted::start(vyomad, &[flood])?;
    let mut control = daemon.connect()?;
    wait_for(&mut control, &flood.name, Phase::Running)?;
    let end = Arc::new(AtomicBool::new(false));
    let lines = Arc::new(AtomicU64::new(0));
    let mut stalled = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..clients {
        let mut follower = daemon.connect()?;
        follower.send(&Request::Logs {
            app: None,
            follow: true,
            since_ms: None,
            previous: false,
            tail: Some(0),
        })?;
        if read {
            let (end, lines) = (Arc::clone(&end), Arc::clone(&lines));
            readers.push(thread::spawn(move || take(&mut follower, &end, &lines)));
        } else {
            stalled.push(follower);
        }
    }
    thread::sleep(if clients == 0 { IDLE } else { FOLLOWED });
    let memory = info(&mut control)?
        .daemon_pss_kb
        .context("the daemon says nothing of its memory")?;
    end.store(true, Ordering::Relaxed);
    drop(stalled);
    for reader in readers {
        reader
            .join()
            .map_err(|_| anyhow::anyhow!("a follower panicked"))??;
    }
    if read && clients > 0 {
        ensure!(
            lines.load(Ordering::Relaxed) > 0,
            "the followers saw no line"
        );
    }
    let _ = std::io::stdout().flush();
    Ok(memory as f64 / 1024.0)
}

fn take(follower: &mut Control, end: &AtomicBool, lines: &AtomicU64) -> anyhow::Result<()> {
    while !end.load(Ordering::Relaxed) {
        match follower.next()? {
            Response::LogLine(_) => lines.fetch_add(1, Ordering::Relaxed),
            other => bail!("the daemon answered {other:?} among log lines"),
        };
    }
    Ok(())
}
