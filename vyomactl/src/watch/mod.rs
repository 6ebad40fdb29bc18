//! `watch`: builds an app when one of its files is saved, installs it, and shows its logs. What can't be built or is refused
//! is said, and the version that runs goes on.
//!
//! One loop takes what happens (a save, the end of a build, a line of the log) and does one thing after the other; building,
//! watching files and following logs are threads that only tell it. Ctrl-C ends it at any moment: cargo gets the signal as
//! well, and an installation that is cut leaves the old version.

mod build;
mod files;
mod follow;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use vyoma_capabilities::control::{AppStatus, LogLine, Request};
use vyoma_capabilities::lifecycle::Phase;

use crate::apps;
use crate::cli::InstallArgs;
use crate::client::{Client, Patience};
use crate::exit::{Exit, Failure};
use crate::install;
use crate::output::{Output, Style, clean};
use crate::package::Package;
use crate::streams;
use crate::target::Target;
use crate::units;

/// How long the new version may take until it runs; after that it is no longer waited for, and its log tells more.
const TO_RUN: Duration = Duration::from_secs(10);
/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(10);

/// What the threads tell.
enum Happening {
    /// A file was saved, then.
    Saved(Instant),
    /// A build is over.
    Built(Result<bool, Failure>),
    /// The app printed a line.
    Line(LogLine),
    /// The logs can't be followed for the moment.
    Unfollowed(Failure),
    /// Nobody reads what we print.
    OutputGone,
}

/// The command's state.
struct Watch<'a> {
    args: &'a InstallArgs,
    target: &'a Target,
    timeout: Option<Duration>,
    folder: PathBuf,
    sender: Sender<Happening>,
    client: Option<Client>,
    /// Build that is under way: when it began, and the save that it is for.
    building: Option<(Instant, Instant)>,
    /// A save that came after the build had begun.
    again: Option<Instant>,
    /// SHA-256 of the component, and text of the manifest, that were installed last.
    installed: Option<(String, String)>,
    following: bool,
}

/// `watch`
pub(crate) fn watch(
    target: &Target,
    timeout: Option<Duration>,
    args: &InstallArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let folder = args.path.canonicalize().map_err(|error| {
        Failure::new(
            Exit::Local,
            format!(
                "{}: {}; expected the folder of an app",
                args.path.display(),
                crate::client::plain(&error)
            ),
        )
    })?;
    // A device that is not there is told before anything is built.
    let client = Client::open(target, timeout)?;
    let (sender, happenings) = channel();
    let saves = sender.clone();
    let files = files::Files::watch(&folder, move |save| {
        saves.send(Happening::Saved(save)).is_ok()
    })?;
    for folder in &files.folders {
        say(out, "watching", &folder.display().to_string())?;
    }
    let mut watch = Watch {
        args,
        target,
        timeout,
        folder,
        sender,
        client: Some(client),
        building: None,
        again: None,
        installed: None,
        following: false,
    };
    watch.build(Instant::now(), out);
    watch.run(&happenings, out)
}

impl Watch<'_> {
    fn run(&mut self, happenings: &Receiver<Happening>, out: &mut Output) -> Result<(), Failure> {
        out.flush()?;
        // The sender is ours, too: it never ends by itself.
        while let Ok(happening) = happenings.recv() {
            match happening {
                Happening::Saved(save) if self.building.is_some() => {
                    self.again.get_or_insert(save);
                }
                Happening::Saved(save) => self.build(save, out),
                Happening::Built(outcome) => self.built(outcome, out)?,
                Happening::Line(line) => streams::line(&line, out)?,
                Happening::Unfollowed(failure) => {
                    warn(out, &format!("logs: {}; trying again", failure.message()))?;
                }
                Happening::OutputGone => return Err(Failure::quiet()),
            }
            out.flush()?;
        }
        Ok(())
    }

    fn build(&mut self, save: Instant, out: &Output) {
        self.building = Some((Instant::now(), save));
        let (folder, sender, quiet) = (self.folder.clone(), self.sender.clone(), out.is_json());
        thread::spawn(move || {
            let outcome = build::build(&folder, quiet);
            // Nobody waits for it any more: the command has ended.
            let _ = sender.send(Happening::Built(outcome));
        });
    }

    fn built(&mut self, outcome: Result<bool, Failure>, out: &mut Output) -> Result<(), Failure> {
        let Some((begun, save)) = self.building.take() else {
            return Ok(());
        };
        let build = begun.elapsed();
        // What was saved meanwhile is built first: what this build made is out of date.
        if let Some(save) = self.again.take() {
            self.build(save, out);
            return Ok(());
        }
        if !outcome? {
            return failed(
                out,
                "build-failed",
                "the build failed, see above; what was installed goes on",
            );
        }
        match self.install(out) {
            Ok(None) => say(out, "unchanged", "the build made the same app"),
            Ok(Some(app)) => {
                let total = save.elapsed();
                if out.is_json() {
                    return out.json(&json!({
                        "watch": "running",
                        "app": app.name,
                        "sha256": app.sha256,
                        "phase": app.phase,
                        "build_ms": units::millis(build),
                        "save_to_running_ms": units::millis(total),
                    }));
                }
                let text = format!(
                    "{}: {} {:.2} s after it was saved, {:.2} s of which were the build",
                    clean(&app.name),
                    if app.phase == Phase::Running {
                        "running"
                    } else {
                        "ran"
                    },
                    total.as_secs_f64(),
                    build.as_secs_f64()
                );
                let text = out.paint(Style::Good, &text);
                out.line(&text)
            }
            // Not a file of ours that can't be written: then nothing goes on.
            Err(failure) if failure.exit() == Exit::Ok => Err(failure),
            Err(failure) => failed(out, "install-failed", failure.message()),
        }
    }

    /// Installs what was built and waits until it runs. None when that is what runs already.
    fn install(&mut self, out: &mut Output) -> Result<Option<AppStatus>, Failure> {
        let package = Package::load(&self.folder)?;
        let made = (package.sha256.clone(), package.manifest_text.clone());
        if self.installed.as_ref() == Some(&made) && self.is_there(&package) {
            return Ok(None);
        }
        let name = package.manifest.app.name.clone();
        let status = self.send(&package, out);
        // Over this connection nothing is understood any more; the next installation makes another one.
        if status
            .as_ref()
            .is_err_and(|failure| failure.exit().is_conversation())
        {
            self.client = None;
        }
        let status = status?;
        self.installed = Some(made);
        if !self.following && !matches!(self.target, Target::Serial { .. }) {
            self.following = true;
            let sender = self.sender.clone();
            follow::start(self.target.clone(), self.timeout, name, sender);
        }
        Ok(Some(status))
    }

    /// Whether the device has this version: it may have taken it back, or somebody installed another one.
    fn is_there(&mut self, package: &Package) -> bool {
        let Ok(mut client) = self.connect() else {
            return false;
        };
        let all = apps::list(&mut client).unwrap_or_default();
        self.client = Some(client);
        all.iter()
            .any(|app| app.name == package.manifest.app.name && app.sha256 == package.sha256)
    }

    /// The connection of the last time, or a new one: it may be lost since then, which shows when it is asked.
    fn connect(&mut self) -> Result<Client, Failure> {
        let kept = self.client.take().and_then(|mut client| {
            let answer = client.call(&Request::Ps, Patience::Prompt);
            answer.is_ok().then_some(client)
        });
        match kept {
            Some(client) => Ok(client),
            None => Client::open(self.target, self.timeout),
        }
    }

    fn send(&mut self, package: &Package, out: &mut Output) -> Result<AppStatus, Failure> {
        let mut client = self.connect()?;
        let connect = || Client::open(self.target, self.timeout);
        let outcome = install::install(&mut client, &connect, package, self.args, out)
            .and_then(|()| started(&mut client, package));
        self.client = Some(client);
        outcome
    }
}

/// Waits until the version that was installed runs, or has run.
fn started(client: &mut Client, package: &Package) -> Result<AppStatus, Failure> {
    let end = Instant::now() + TO_RUN;
    let name = &package.manifest.app.name;
    loop {
        let app = apps::list(client)?
            .into_iter()
            .find(|app| app.name == *name);
        let taken_back = app
            .as_ref()
            .and_then(|app| app.versions.as_ref()?.rolled_back.as_ref());
        if let Some(back) = taken_back {
            return Err(Failure::new(
                Exit::RolledBack,
                format!("{name}: it was taken back: {}", back.reason),
            ));
        }
        if let Some(app) = app.filter(|app| app.sha256 == package.sha256) {
            match app.phase {
                Phase::Running | Phase::Exited => return Ok(app),
                Phase::Backoff | Phase::Quarantined | Phase::Stopped => {
                    let ending = app.last_ending.map(|ending| ending.to_string());
                    return Err(Failure::new(
                        Exit::State,
                        format!(
                            "{name}: it was installed and does not run ({}): {}",
                            phase_name(app.phase),
                            ending.unwrap_or_else(|| String::from("it has not ended before"))
                        ),
                    ));
                }
                Phase::Starting | Phase::Stopping => {}
            }
        }
        if Instant::now() > end {
            return Err(Failure::new(
                Exit::Timeout,
                format!(
                    "{name}: it was installed and does not run after {} s; look at `vyomactl ps`",
                    TO_RUN.as_secs()
                ),
            ));
        }
        thread::sleep(LOOK);
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Backoff => "backoff",
        Phase::Quarantined => "quarantined",
        Phase::Stopped => "stopped",
        _ => "starting",
    }
}

/// Something about ourselves.
fn say(out: &mut Output, what: &str, text: &str) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json!({ "watch": what, "detail": text }));
    }
    let line = out.paint(Style::Dim, &clean(&format!("{what}: {text}")));
    out.line(&line)
}

/// Something that did not work, and after which it goes on.
fn failed(out: &mut Output, what: &str, text: &str) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json!({ "watch": what, "detail": text }));
    }
    let line = out.paint(Style::Bad, &clean(text));
    out.line(&line)
}

fn warn(out: &mut Output, text: &str) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json!({ "watch": "warning", "detail": text }));
    }
    let line = out.paint(Style::Warn, &clean(text));
    out.line(&line)
}
