//! Drives each app's lifecycle machine: tells it what happened, does what it says. It decides nothing itself (that
//! is `vyoma_capabilities::lifecycle`), and the work of making a process ready is `launch`'s.

use std::collections::VecDeque;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::JoinHandle;
use vyoma_capabilities::control::{Execution, Stream};
use vyoma_capabilities::lifecycle::{Action, Ending, Event, Phase};

use super::apps::App;
use super::launch::{self, Launched};
use super::process;
use super::reaper::Status;
use super::run::Run;
use super::state::{Daemon, Shared};
use super::{epitaphs, store, trial};
use crate::spec::AppReport;

/// How often the heartbeats of an app are looked at while its watchdog's time runs: an app is killed at most this
/// part of its time late.
const LOOKS_PER_WATCHDOG: u64 = 4;
/// How long the last words of an app that has ended are waited for: its pipes are at their end by then, only a
/// console-sized rest is to be read.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Longest report that is read.
const REPORT_BYTES: u64 = 64 * 1024;
/// Longest text of an ending: it is in every answer to `ps`.
const ENDING_TEXT: usize = 300;

/// Tells the app's machine that something happened, and does what follows.
pub(crate) fn send(daemon: &Shared, app: &Rc<App>, event: Event) {
    let mut events = VecDeque::from([event]);
    while let Some(event) = events.pop_front() {
        let before = app.phase();
        let actions = app.machine.borrow_mut().handle(daemon.now_ms(), event);
        for action in actions {
            perform(daemon, app, action);
        }
        let phase = app.phase();
        // Stopped while a process is being made ready: nobody needs it any more.
        if phase == Phase::Stopping
            && app.run().is_none()
            && let Some(task) = app.preparing.borrow_mut().take()
        {
            task.abort();
            events.push_back(Event::Ended(Ending::Stopped));
        }
        if phase == Phase::Backoff && before != phase {
            let wait = app
                .machine
                .borrow()
                .wake_at()
                .unwrap_or(0)
                .saturating_sub(daemon.now_ms());
            daemon.log(app, Stream::System, &format!("restarts in {wait} ms"));
        }
        if before != phase {
            app.changed.notify_waiters();
        }
    }
    arm(daemon, app);
}

fn perform(daemon: &Shared, app: &Rc<App>, action: Action) {
    match action {
        Action::Spawn => {
            let (daemon, app) = (Rc::clone(daemon), Rc::clone(app));
            let starting = Rc::clone(&app);
            let task = tokio::task::spawn_local(async move {
                let launched = launch::launch(&daemon, &app).await;
                // From here on there is nothing to abort.
                app.preparing.borrow_mut().take();
                begin(&daemon, &app, launched);
            });
            *starting.preparing.borrow_mut() = Some(task.abort_handle());
        }
        Action::Terminate => signal(daemon, app, Signal::SIGTERM),
        Action::Kill => signal(daemon, app, Signal::SIGKILL),
        Action::Epitaph(ending) => {
            let text = ending.to_string();
            daemon.log(app, Stream::System, &text);
            daemon.event(Some(&app.name), "app-ended", &text);
            epitaphs::write(daemon, app, &ending);
            trial::ended(daemon, app, &ending);
        }
        Action::Quarantine => {
            let detail =
                "it failed too often too quickly and stays down; vyomactl start brings it back";
            daemon.log(app, Stream::System, "quarantined");
            daemon.event(Some(&app.name), "app-quarantined", detail);
        }
    }
}

fn signal(daemon: &Daemon, app: &App, signal: Signal) {
    // Only while the number is certainly still this process's.
    if let Some(run) = app.run()
        && daemon.reaper.has(run.pid)
    {
        process::signal_group(run.pid, signal);
    }
}

/// A process was made, or could not be.
fn begin(daemon: &Shared, app: &Rc<App>, launched: Result<Launched, String>) {
    match launched {
        Ok(launched) => {
            *app.run.borrow_mut() = Some(Rc::clone(&launched.run));
            app.execution.set(Some(launched.execution));
            // The bytes that run, by the hash that this device has just computed: the app's identity on every platform.
            let package = app.package();
            let sha256 = package.sha256.as_deref().unwrap_or("unknown");
            daemon.event(
                Some(&app.name),
                "app-started",
                &format!(
                    "process {}, sha256 {sha256}, {}",
                    launched.run.pid, launched.execution
                ),
            );
            send(daemon, app, Event::Spawned);
            trial::started(daemon, app);
            tokio::task::spawn_local(watch(Rc::clone(daemon), Rc::clone(app), launched));
        }
        Err(why) => send(daemon, app, Event::Ended(Ending::NotStarted(cut(&why)))),
    }
}

/// Waits for the end of a run, then tells the machine.
async fn watch(daemon: Shared, app: Rc<App>, launched: Launched) {
    let Launched {
        run,
        mut process,
        readers,
        writer,
        artefact_key,
        execution,
    } = launched;
    let status = process.wait().await;
    // First of all: what the app drove must not stay as it left it.
    daemon.devices.release(&app.name);
    read_to_end(readers).await;
    if let Some(task) = writer {
        task.abort();
    }
    let (ending, notes) = ending_of(&daemon, &app, &run, status);
    for note in notes {
        // The kernel's lack, not the app's: said once.
        let note = cut(&note);
        if daemon.sandbox_notes.borrow_mut().insert(note.clone()) {
            daemon.event(None, "warning", &format!("sandbox of apps: {note}"));
        }
    }
    let misfit = match &ending {
        Ending::NotStarted(why) if why.contains("compiled artefact does not fit") => {
            store::discard(&daemon, &artefact_key);
            Some(why.clone())
        }
        _ => None,
    };
    if let Some(stdin) = &run.stdin {
        app.dropped_before
            .set(app.dropped_before.get() + stdin.dropped());
    }
    app.uses.add(&run.heartbeats.uses());
    *app.run.borrow_mut() = None;
    if let Some(groups) = &daemon.cgroups {
        groups.remove(&app.name);
    }
    if let Some(why) = misfit
        && app.phase() == Phase::Running
        && daemon.misfits.borrow_mut().insert(artefact_key)
    {
        // The store's failure, not the app's: it counts as no restart and follows no policy. Once for each artefact,
        // so that an engine that refuses what it made itself does not go on for ever.
        daemon.event(
            Some(&app.name),
            "warning",
            &if execution == Execution::AheadOfTime {
                format!("{why}; the app is interpreted, which is slower; install it again")
            } else {
                format!("{why}; it is made anew")
            },
        );
        return perform(&daemon, &app, Action::Spawn);
    }
    send(&daemon, &app, Event::Ended(ending));
}

/// Lets what the app wrote last be read; whoever holds its pipes open beyond that is not waited for.
async fn read_to_end(readers: Vec<JoinHandle<()>>) {
    let all = tokio::time::sleep(LAST_WORDS);
    tokio::pin!(all);
    for mut reader in readers {
        tokio::select! {
            _ = &mut reader => {}
            () = &mut all => reader.abort(),
        }
    }
}

/// How a run ended, from its report, its wait status and what the kernel counted.
fn ending_of(daemon: &Daemon, app: &App, run: &Run, status: Status) -> (Ending, Vec<String>) {
    let mut json = Vec::new();
    // Not blocking: what is not there yet never comes, since the process is gone. An error leaves what was read.
    let _ = (&run.control).take(REPORT_BYTES).read_to_end(&mut json);
    let report: Option<AppReport> = serde_json::from_slice(&json).ok();
    let killed_for_memory = daemon
        .cgroups
        .as_ref()
        .is_some_and(|groups| groups.oom_kills(&app.name) > run.oom_kills_before);
    match (report, status) {
        (_, Status::Signal(_)) if killed_for_memory => (Ending::OutOfMemory, Vec::new()),
        // Said before it died: killed on its way out, after the guest had ended.
        (Some(report), _) => {
            let ending = match report.ending {
                Ending::Trapped(why) => Ending::Trapped(cut(&why)),
                Ending::NotStarted(why) => Ending::NotStarted(cut(&why)),
                // These are the daemon's to say.
                Ending::Watchdog | Ending::Stopped | Ending::Signal(_) => {
                    Ending::NotStarted("its report makes no sense".into())
                }
                ending => ending,
            };
            (ending, report.sandbox_notes)
        }
        (None, Status::Signal(signal)) => (Ending::Signal(signal), Vec::new()),
        (None, Status::Code(code)) => (
            Ending::NotStarted(format!(
                "its process ended with code {code} and without a report"
            )),
            Vec::new(),
        ),
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(ENDING_TEXT)].replace(['\n', '\r'], " ")
}

/// Arranges for the machine's next tick, and for looks at the heartbeats before it.
fn arm(daemon: &Shared, app: &Rc<App>) {
    let wake = {
        let machine = app.machine.borrow();
        let watchdog = app
            .package()
            .resolution
            .grants
            .watchdog_secs
            .filter(|_| machine.phase() == Phase::Running);
        let look = watchdog
            .map(|secs| daemon.now_ms() + (u64::from(secs) * 1000 / LOOKS_PER_WATCHDOG).max(100));
        machine
            .wake_at()
            .map(|wake| look.map_or(wake, |look| look.min(wake)))
    };
    let task = wake.map(|wake| {
        let wait = Duration::from_millis(wake.saturating_sub(daemon.now_ms()));
        let (daemon, app) = (Rc::clone(daemon), Rc::clone(app));
        tokio::task::spawn_local(async move {
            tokio::time::sleep(wait).await;
            // Taken first: `send` arms anew, and must not abort the task that it runs in.
            app.timer.borrow_mut().take();
            // Whoever is being made ready can't show any.
            let preparing = app.preparing.borrow().is_some();
            if preparing || app.run().is_some_and(|run| run.showed_life()) {
                send(&daemon, &app, Event::Alive);
            }
            send(&daemon, &app, Event::Tick);
        })
    });
    let before = std::mem::replace(
        &mut *app.timer.borrow_mut(),
        task.map(|task| task.abort_handle()),
    );
    if let Some(before) = before {
        before.abort();
    }
}
