//! The daemon: one thread, one loop. It supervises apps, routes their lines, keeps their logs and serves the control
//! socket; as PID 1 it also reaps orphans, feeds the hardware watchdog and ends the device. It runs no guest code and
//! reads no untrusted binary format: both happen in processes that it starts (`roles`).
//!
//! Nothing in the loop waits for a disk or a device: what may take long (fsync, look-ups) goes to one of three short-lived threads.

mod admission;
mod apps;
mod cgroup;
mod console;
mod control;
mod devices;
mod epitaphs;
mod events;
mod feed;
mod fetch;
mod files;
mod install;
mod launch;
mod logs;
mod operate;
mod output;
mod process;
mod reaper;
mod requests;
mod router;
mod run;
mod shutdown;
mod ssh;
mod start;
mod state;
mod stdin;
mod store;
mod supervisor;
mod throttle;
mod trial;
mod trust;
mod uids;
mod upkeep;
mod uploads;
mod uses;
mod versions;

pub(crate) use start::{SOCKET, run_as_pid1, run_hosted};

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{LocalSet, spawn_local};

use crate::init::hwdog::HardwareWatchdog;
use crate::init::power::PowerAction;
use crate::init::{self, Note, fault};
use start::{Start, make_dir, note};
use state::{Daemon, Mode, Settings, Shared, unix_ms};

/// Name look-ups for apps at once: the resolver waits in a thread.
const LOOK_UPS: usize = 2;
/// Threads beside the loop: for look-ups, and one for a disk. They end after a second without work.
const THREADS: usize = LOOK_UPS + 1;
/// Their stacks. The resolver of musl uses some 30 KiB.
const STACK: usize = 128 * 1024;

/// Builds the daemon and runs its loop to the end.
fn run(start: Start) -> Result<PowerAction, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_stack_size(STACK)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| format!("runtime: {error}"))?;
    LocalSet::new().block_on(&runtime, main_loop(start))
}

async fn main_loop(start: Start) -> Result<PowerAction, String> {
    let Start {
        settings,
        faults,
        console,
        watchdog_secs,
        ip,
        devices,
        notes,
    } = start;
    // Before the first child: none of them may end unseen.
    if settings.mode == Mode::Hosted {
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|error| format!("subreaper: {error}"))?;
    }
    let reaper = Rc::new(reaper::Reaper::default());
    spawn_local(reap(Rc::clone(&reaper)));
    upkeep::raise_file_limit();
    let (daemon, listener, mut early) = build(settings, console, devices, reaper)?;
    early.splice(0..0, notes);
    for Note { kind, detail } in early {
        daemon.event(None, &kind, &detail);
    }
    let signals = upkeep::watch_signals(&daemon).map_err(|error| format!("signals: {error}"))?;
    spawn_local(signals);
    spawn_local(control::serve(Rc::clone(&daemon), listener));
    spawn_local(ssh::run(Rc::clone(&daemon)));
    spawn_local(upkeep::keep_logs(Rc::clone(&daemon)));
    spawn_local(upkeep::drain_console(Rc::clone(&daemon)));
    spawn_local(upkeep::save_clock(Rc::clone(&daemon)));
    if let Some(ip) = ip {
        let shared = Rc::clone(&daemon);
        spawn_local(init::network::run(ip, move |note: Note| {
            shared.event(None, &note.kind, &note.detail);
        }));
    }
    let watchdog = HardwareWatchdog::open(watchdog_secs);
    *daemon.watchdog.borrow_mut() = watchdog.as_ref().map(HardwareWatchdog::describe);
    match &watchdog {
        Some(watchdog) => daemon.event(None, "watchdog", &watchdog.describe()),
        None if watchdog_secs > 0 => daemon.event(
            None,
            "warning",
            "no hardware watchdog: a hung daemon is not restarted",
        ),
        None => {}
    }
    let version = env!("CARGO_PKG_VERSION");
    let (profile, mode) = (&daemon.settings.profile, daemon.settings.mode.name());
    daemon.event(
        None,
        "started",
        &format!("vyomad {version} on {} ({mode})", profile.name),
    );
    spawn_local(fault::arm(faults));
    boot(&daemon);
    let work = async {
        daemon.end.notified().await;
        shutdown::run(&daemon).await
    };
    tokio::pin!(work);
    let action = loop {
        // Fed by this very loop: when it hangs, the device is reset.
        let round = watchdog
            .as_ref()
            .map_or(Duration::from_hours(1), HardwareWatchdog::period);
        if let Some(watchdog) = &watchdog {
            watchdog.feed();
        }
        if let Ok(action) = tokio::time::timeout(round, &mut work).await {
            break action;
        }
    };
    // Off and reboot stay guarded to the last; a halted device must not be reset.
    if action == PowerAction::Halt
        && let Some(watchdog) = watchdog
    {
        watchdog.disarm();
    }
    Ok(action)
}

/// Everything that has to be there before the first app starts. Notes are for the event log.
fn build(
    settings: Settings,
    console: console::Console,
    devices: devices::Devices,
    reaper: Rc<reaper::Reaper>,
) -> Result<(Shared, UnixListener, Vec<Note>), String> {
    let mut notes = Vec::new();
    let state = &settings.state;
    for dir in [
        "", "apps", "data", "store", "uploads", "keys", "logs", "epitaphs",
    ] {
        if let Err(why) = make_dir(&state.join(dir)) {
            notes.push(note("error", &why));
        }
    }
    install::clean(state);
    store::clean(state);
    uploads::clean(state);
    notes.extend(apps::recover(state));
    let (trust, unusable) = trust::Trust::open(state, &settings.image_keys, settings.signatures);
    notes.extend(unusable.iter().map(|why| note("warning", why)));
    let (uids, damaged) = uids::Uids::open(state);
    notes.extend(damaged.map(|why| note("warning", &why)));
    let cgroups = match cgroup::Cgroups::set_up(settings.mode, &settings.profile) {
        Ok(groups) => Some(groups),
        Err(why) => {
            notes.push(note("warning", &why));
            None
        }
    };
    if let Some(dir) = settings.socket.parent() {
        make_dir(dir)?;
    }
    let socket = settings.socket.display();
    let listener = control::bind(&settings.socket)
        .map_err(|error| format!("control socket {socket}: {error}"))?;
    let binary = process::Binary::open().map_err(|error| format!("/proc/self/exe: {error}"))?;
    let daemon = Rc::new(Daemon {
        started: Instant::now(),
        apps: RefCell::default(),
        binary,
        reaper,
        logs: logs::Logs::new(settings.profile.max_apps),
        events: events::Events::open(state),
        console,
        devices,
        cgroups,
        uids: Arc::new(Mutex::new(uids)),
        hashing: Semaphore::new(1),
        admitting: Semaphore::new(admissions_at_once()),
        installing: RefCell::default(),
        trust: trust.into(),
        uploads: Rc::default(),
        sandbox_notes: RefCell::default(),
        misfits: RefCell::default(),
        missed: RefCell::default(),
        fetching: Semaphore::new(LOOK_UPS).into(),
        clipboard: RefCell::default(),
        watchdog: RefCell::default(),
        // Names of this run differ from those that an earlier one may have left.
        serial: unix_ms().into(),
        unwritten: Notify::default(),
        ending: Cell::default(),
        end: Notify::default(),
        settings,
    });
    Ok((daemon, listener, notes))
}

/// Compilers are hungry: one at a time, two where there are processors to spare.
fn admissions_at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).clamp(1, 2)
}

/// Finds all apps and starts them; each one waits for its artefact alone.
fn boot(daemon: &Shared) {
    let found = apps::scan(daemon);
    if found.is_empty() {
        daemon.event(
            None,
            "warning",
            "there is no app; vyomactl install brings one",
        );
    }
    for app in &found {
        operate::introduce(daemon, app);
    }
}

async fn reap(reaper: Rc<reaper::Reaper>) {
    if let Err(error) = reaper.run().await {
        // Without SIGCHLD nothing ends for us: better to end than to pretend.
        panic!("SIGCHLD: {error}");
    }
}
