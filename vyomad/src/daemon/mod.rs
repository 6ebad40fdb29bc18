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
mod state;
mod stdin;
mod store;
mod supervisor;
mod throttle;
mod uids;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};
use vyoma_capabilities::profile::{self, Profile};

use crate::args::Hosted;
use crate::init::cmdline::{CmdLine, LogLevel};
use crate::init::console::Console as Writer;
use crate::init::fault::{self, Faults};
use crate::init::hwdog::HardwareWatchdog;
use crate::init::power::{self, PowerAction};
use crate::init::{self, Note};
use state::{Daemon, Mode, Settings, Shared, unix_ms};

/// A device's own files; see docs/architecture.md.
const PROFILE: &str = "/etc/vyoma/profile.toml";
const IMAGE_APPS: &str = "/apps";
const IMAGE_STORE: &str = "/store";
const SOCKET: &str = "/run/vyoma/control.sock";
/// Longest profile.
const PROFILE_BYTES: usize = 64 * 1024;
/// Descriptors of the daemon: 200 apps take five each, 64 clients one each.
const FILES: u64 = 4096;
/// How likely the kernel ends the daemon when memory runs out (-1000 to 1000): last of all.
const OOM_SCORE: &str = "-999";
/// Name look-ups for apps at once: the resolver waits in a thread.
const LOOK_UPS: usize = 2;
/// Threads beside the loop: for look-ups, and one for a disk. They end after a second without work.
const THREADS: usize = LOOK_UPS + 1;
/// Their stacks. The resolver of musl uses some 30 KiB.
const STACK: usize = 128 * 1024;
/// Lines are in the files at most so late; between two writes a flash disk rests.
const FLUSH: Duration = Duration::from_secs(2);
/// How often the time is saved for the next boot: a device that loses power starts at most so far back.
const CLOCK: Duration = Duration::from_secs(600);

/// What differs between a device and a developer's machine.
struct Start {
    settings: Settings,
    faults: Faults,
    console: console::Console,
    /// Seconds of the hardware watchdog; 0: none.
    watchdog_secs: u32,
    ip: Option<init::cmdline::IpConfig>,
    notes: Vec<Note>,
}

/// The daemon as PID 1. Never returns: what ends is the device.
pub(crate) fn run_as_pid1() -> ExitCode {
    let line = CmdLine::parse(&kernel_command_line());
    let started = init::start(&line);
    let state = started.state_dir;
    init::epitaph::install_panic_hook(line.panic, &state, true);
    let last_epitaph = init::epitaph::take_last(&state);
    let mut notes = started.notes;
    notes.extend(line.warnings.iter().map(|warning| note("warning", warning)));
    if let Some(text) = &last_epitaph {
        notes.push(note("epitaph", text));
    }
    if let Err(error) = fs::write("/proc/self/oom_score_adj", OOM_SCORE) {
        notes.push(note("warning", &format!("oom_score_adj: {error}")));
    }
    let profile = read_profile(Path::new(PROFILE)).unwrap_or_else(|why| {
        // A device without a usable profile still answers, so that someone can find out why.
        notes.push(note("error", &format!("{why}; going on as server-headless")));
        builtin_profile("server-headless").unwrap_or_else(|why| unreachable_profile(&why))
    });
    let settings = Settings {
        mode: Mode::Pid1,
        data: match started.data {
            init::DataKind::Disk => "disk",
            init::DataKind::Tmpfs => "tmpfs",
        },
        profile,
        image_apps: vec![IMAGE_APPS.into()],
        image_stores: vec![IMAGE_STORE.into()],
        socket: SOCKET.into(),
        root: true,
        last_epitaph,
        state: state.clone(),
    };
    let start = Start {
        settings,
        faults: line.faults,
        console: console::Console::new(Some(Writer::open()), false, line.loglevel),
        watchdog_secs: line.watchdog_secs,
        ip: Some(line.ip),
        notes,
    };
    match run(start) {
        Ok(action) => power::finish(action, &state),
        // Nothing works without the loop; the panic policy of the device says what follows.
        Err(why) => panic!("the daemon can't run: {why}"),
    }
}

/// The kernel's command line decides how the rest is mounted, so it is read from a /proc that is there for this moment
/// only: `init::start` mounts its own, with its own flags.
fn kernel_command_line() -> String {
    let _ = fs::create_dir("/proc");
    let mounted = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>);
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if mounted.is_ok() {
        let _ = umount("/proc");
    }
    line
}

/// The daemon on a developer's machine.
pub(crate) fn run_hosted(options: Hosted) -> ExitCode {
    match hosted(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("vyomad: {why}");
            ExitCode::FAILURE
        }
    }
}

fn hosted(options: Hosted) -> Result<(), String> {
    let profile = match builtin_profile(&options.profile) {
        Ok(profile) => profile,
        Err(_) if Path::new(&options.profile).exists() => read_profile(Path::new(&options.profile))?,
        Err(why) => return Err(why),
    };
    crate::roles::engine::runtime(&profile).map_err(|why| format!("--profile {}: {why}", profile.name))?;
    let faults = match &options.fault {
        Some(text) => Faults::parse(text).map_err(|expected| format!("--fault: found {text:?}; expected {expected}"))?,
        None => Faults::default(),
    };
    let state = absolute(&options.state)?;
    make_dir(&state)?;
    let _lock = lock(&state)?;
    let writer = options.console.then(Writer::hosted);
    let colour = options.console && std::io::stdout().is_terminal();
    let last_epitaph = init::epitaph::take_last(&state);
    init::epitaph::install_panic_hook(init::cmdline::PanicPolicy::Halt, &state, false);
    let settings = Settings {
        mode: Mode::Hosted,
        data: "directory",
        profile,
        image_apps: options.apps.iter().map(|dir| absolute(dir)).collect::<Result<_, _>>()?,
        image_stores: options.stores.iter().map(|dir| absolute(dir)).collect::<Result<_, _>>()?,
        socket: state.join("control.sock"),
        root: nix::unistd::geteuid().is_root(),
        last_epitaph,
        state,
    };
    let console = console::Console::new(writer, colour, LogLevel::Info);
    let start = Start { settings, faults, console, watchdog_secs: 0, ip: None, notes: Vec::new() };
    run(start).map(drop)
}

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
    let Start { settings, faults, console, watchdog_secs, ip, notes } = start;
    // Before the first child: none of them may end unseen.
    if settings.mode == Mode::Hosted {
        nix::sys::prctl::set_child_subreaper(true).map_err(|error| format!("subreaper: {error}"))?;
    }
    let reaper = Rc::new(reaper::Reaper::default());
    spawn_local(reap(Rc::clone(&reaper)));
    raise_file_limit();
    let (daemon, listener, mut early) = build(settings, console, reaper)?;
    early.splice(0..0, notes);
    for Note { kind, detail } in early {
        daemon.event(None, &kind, &detail);
    }
    let signals = watch_signals(&daemon).map_err(|error| format!("signals: {error}"))?;
    spawn_local(signals);
    spawn_local(control::serve(Rc::clone(&daemon), listener));
    spawn_local(keep_logs(Rc::clone(&daemon)));
    spawn_local(drain_console(Rc::clone(&daemon)));
    spawn_local(save_clock(Rc::clone(&daemon)));
    if let Some(ip) = ip {
        let shared = Rc::clone(&daemon);
        spawn_local(init::network::run(ip, move |note: Note| shared.event(None, &note.kind, &note.detail)));
    }
    let watchdog = HardwareWatchdog::open(watchdog_secs);
    match &watchdog {
        Some(watchdog) => daemon.event(None, "watchdog", &watchdog.describe()),
        None if watchdog_secs > 0 => daemon.event(None, "warning", "no hardware watchdog: a hung daemon is not restarted"),
        None => {}
    }
    let version = env!("CARGO_PKG_VERSION");
    let (profile, mode) = (&daemon.settings.profile, daemon.settings.mode.name());
    daemon.event(None, "started", &format!("vyomad {version} on {} ({mode})", profile.name));
    spawn_local(fault::arm(faults));
    boot(&daemon);
    let work = async {
        daemon.end.notified().await;
        shutdown::run(&daemon).await
    };
    tokio::pin!(work);
    let action = loop {
        // Fed by this very loop: when it hangs, the device is reset.
        let round = watchdog.as_ref().map_or(Duration::from_secs(3600), HardwareWatchdog::period);
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
fn build(settings: Settings, console: console::Console, reaper: Rc<reaper::Reaper>) -> Result<(Shared, UnixListener, Vec<Note>), String> {
    let mut notes = Vec::new();
    let state = &settings.state;
    for dir in ["", "apps", "data", "store", "logs", "epitaphs"] {
        if let Err(why) = make_dir(&state.join(dir)) {
            notes.push(note("error", &why));
        }
    }
    install::clean(state);
    store::clean(state);
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
    let listener = control::bind(&settings.socket).map_err(|error| format!("control socket {socket}: {error}"))?;
    let binary = process::Binary::open().map_err(|error| format!("/proc/self/exe: {error}"))?;
    let daemon = Rc::new(Daemon {
        started: Instant::now(),
        apps: Default::default(),
        binary,
        reaper,
        logs: logs::Logs::new(settings.profile.max_apps),
        events: events::Events::open(state),
        console,
        cgroups,
        uids: uids.into(),
        hashing: tokio::sync::Semaphore::new(1),
        admitting: tokio::sync::Semaphore::new(admissions_at_once()),
        installing: Default::default(),
        sandbox_notes: Default::default(),
        fetching: tokio::sync::Semaphore::new(LOOK_UPS).into(),
        clipboard: Default::default(),
        // Names of this run differ from those that an earlier one may have left.
        serial: unix_ms().into(),
        unwritten: Default::default(),
        ending: Default::default(),
        end: Default::default(),
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
        daemon.event(None, "warning", "there is no app; vyomactl install brings one");
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

/// Which signal ends what. Made before it is awaited, so that none is missed.
fn watch_signals(daemon: &Shared) -> std::io::Result<impl Future<Output = ()> + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut user = signal(SignalKind::user_defined2())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let daemon = Rc::clone(daemon);
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => daemon.end(PowerAction::PowerOff),
                _ = user.recv() => daemon.end(PowerAction::PowerOff),
                // Ctrl-Alt-Del of the console, as the kernel tells PID 1; hosted it is Ctrl-C.
                _ = interrupt.recv() => daemon.end(PowerAction::Reboot),
                // The terminal of a developer is gone; a device has none to lose.
                _ = hang_up.recv() => if daemon.settings.mode == Mode::Hosted { daemon.end(PowerAction::PowerOff) },
            }
        }
    })
}

/// Writes logs and events out, at most [`FLUSH`] late; asleep while there is nothing to write.
async fn keep_logs(daemon: Shared) {
    loop {
        daemon.unwritten.notified().await;
        tokio::time::sleep(FLUSH).await;
        flush_logs(&daemon);
    }
}

pub(crate) fn flush_logs(daemon: &Daemon) {
    for app in daemon.all_apps() {
        if app.log.dirty()
            && let Err(error) = app.log.flush()
            && !app.log_file_failed.replace(true)
        {
            daemon.event(Some(&app.name), "warning", &format!("its log file can't be written: {error}; lines are in memory only"));
        }
    }
    if daemon.events.dirty() {
        daemon.events.flush();
    }
}

async fn drain_console(daemon: Shared) {
    daemon.console.drain().await;
}

async fn save_clock(daemon: Shared) {
    loop {
        // A disk that takes no 11 bytes is reported by everything else that is written.
        let _ = init::clock::save(&daemon.settings.state);
        tokio::time::sleep(CLOCK).await;
    }
}

fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // As far as we may: root may raise both.
        if soft < FILES && setrlimit(Resource::RLIMIT_NOFILE, FILES, hard.max(FILES)).is_err() {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(FILES), hard);
        }
    }
}

fn builtin_profile(name: &str) -> Result<Profile, String> {
    let text = profile::builtin(name)
        .ok_or_else(|| format!("--profile: found {name:?}; expected {} or a profile file", profile::PLATFORMS.join(", ")))?;
    profile::parse(&format!("{name}.toml"), text).map_err(|error| error.to_string())
}

fn read_profile(path: &Path) -> Result<Profile, String> {
    let text = files::read_text(path, PROFILE_BYTES).map_err(|error| format!("{}: {error}", path.display()))?;
    profile::parse(&path.display().to_string(), &text).map_err(|error| error.to_string())
}

/// A built-in profile is part of this program; a test reads all six.
fn unreachable_profile(why: &str) -> Profile {
    panic!("built-in profile: {why}")
}

fn note(kind: &str, detail: &str) -> Note {
    Note { kind: kind.to_string(), detail: detail.to_string() }
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn make_dir(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("{}: {error}", path.display()))
}

/// Keeps a second daemon out of a state directory, for as long as the result lives.
fn lock(state: &Path) -> Result<Flock<fs::File>, String> {
    use std::io::Write;
    let path = state.join("lock");
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(named)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0).and_then(|()| writeln!(*lock, "{}", std::process::id())).map_err(named)?;
            Ok(lock)
        }
        Err(_) => {
            let holder = files::read_text(&path, 64).unwrap_or_default();
            let state = state.display();
            Err(format!("{state}: a vyomad runs on it already (process {}); stop it or use another --state", holder.trim()))
        }
    }
}
