//! How the daemon comes up: as PID 1 of a device, or hosted on a developer's machine. Called by `main`; the loop that
//! follows is the same for both.

use std::fs;
use std::io::{IsTerminal, Write};
use std::net::Ipv6Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount, umount};
use vyoma_capabilities::board::Board;
use vyoma_capabilities::control::SignaturePolicy;
use vyoma_capabilities::profile::{self, Profile};

use super::console::Console;
use super::devices::{self, Devices};
use super::ssh::Listen;
use super::state::{Mode, Settings};
use super::{files, run};
use crate::args::Hosted;
use crate::init::cmdline::{CmdLine, IpConfig, LogLevel, PanicPolicy};
use crate::init::console::Console as Writer;
use crate::init::fault::Faults;
use crate::init::{self, Note, power};

/// A device's own files; see docs/architecture.md.
const PROFILE: &str = "/etc/vyoma/profile.toml";
const IMAGE_APPS: &str = "/apps";
const IMAGE_STORE: &str = "/store";
pub(crate) const SOCKET: &str = "/run/vyoma/control.sock";
/// Keys that may log in by SSH, as the image has them; on the data disk there may be more.
const IMAGE_KEYS: &str = "/etc/vyoma/authorized_keys";
/// Keys whose signatures are trusted, as the image has them.
const IMAGE_SIGNERS: &str = "/etc/vyoma/keys";
/// Longest profile.
const PROFILE_BYTES: usize = 64 * 1024;
/// How likely the kernel ends the daemon when memory runs out (-1000 to 1000): last of all.
const OOM_SCORE: &str = "-999";

/// What differs between a device and a developer's machine.
pub(super) struct Start {
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) console: Console,
    /// Seconds of the hardware watchdog; 0: none.
    pub(super) watchdog_secs: u32,
    pub(super) ip: Option<IpConfig>,
    pub(super) devices: Devices,
    pub(super) notes: Vec<Note>,
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
        notes.push(note(
            "error",
            &format!("{why}; going on as server-headless"),
        ));
        builtin_profile("server-headless").unwrap_or_else(|why| unreachable_profile(&why))
    });
    let board = line
        .board
        .as_deref()
        .unwrap_or_else(|| devices::of_this_machine());
    let board = devices::named(board).unwrap_or_else(|why| {
        notes.push(note("warning", &format!("vyoma.board: {why}; no devices")));
        Board::default()
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
        image_keys: vec![IMAGE_SIGNERS.into()],
        signatures: line.signatures,
        socket: SOCKET.into(),
        root: true,
        ssh: line.ssh_port.map(|port| Listen {
            address: (Ipv6Addr::UNSPECIFIED, port).into(),
            keys: vec![IMAGE_KEYS.into()],
        }),
        last_epitaph,
        realtime_kernel: realtime_kernel(),
        state: state.clone(),
    };
    let start = Start {
        settings,
        faults: line.faults,
        console: Console::new(Some(Writer::open()), false, line.loglevel),
        watchdog_secs: line.watchdog_secs,
        ip: Some(line.ip),
        devices: Devices::new(board),
        notes,
    };
    match run(start) {
        Ok(action) => power::finish(action, &state),
        // Nothing works without the loop; the panic policy of the device says what follows.
        Err(why) => panic!("the daemon can't run: {why}"),
    }
}

/// A PREEMPT_RT kernel says so in its version (`uname -v`), as the kernel's own documentation has programs find out.
fn realtime_kernel() -> bool {
    nix::sys::utsname::uname().is_ok_and(|names| {
        let version = names.version().to_string_lossy();
        version.split_whitespace().any(|word| word == "PREEMPT_RT")
    })
}

/// The kernel's command line decides how the rest is mounted, so it is read from a /proc that is there for this moment
/// only: `init::start` mounts its own, with its own flags.
fn kernel_command_line() -> String {
    let _ = fs::create_dir("/proc");
    let mounted = mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::empty(),
        None::<&str>,
    );
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if mounted.is_ok() {
        let _ = umount("/proc");
    }
    line
}

/// The daemon on a developer's machine.
pub(crate) fn run_hosted(options: &Hosted) -> ExitCode {
    match hosted(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("vyomad: {why}");
            ExitCode::FAILURE
        }
    }
}

fn hosted(options: &Hosted) -> Result<(), String> {
    let mut profile = match builtin_profile(&options.profile) {
        Ok(profile) => profile,
        Err(_) if Path::new(&options.profile).exists() => {
            read_profile(Path::new(&options.profile))?
        }
        Err(why) => return Err(why),
    };
    crate::roles::engine::runtime(&profile)
        .map_err(|why| format!("--profile {}: {why}", profile.name))?;
    let faults = match &options.fault {
        Some(text) => Faults::parse(text)
            .map_err(|expected| format!("--fault: found {text:?}; expected {expected}"))?,
        None => Faults::default(),
    };
    let signatures = match &options.signatures {
        Some(text) => Some(SignaturePolicy::parse(text).ok_or_else(|| {
            format!("--signatures: found {text:?}; expected off, required or image")
        })?),
        None => None,
    };
    let devices = hosted_devices(options, &mut profile)?;
    let state = absolute(&options.state)?;
    make_dir(&state)?;
    let _lock = lock(&state)?;
    let writer = options.console.then(Writer::hosted);
    let colour = options.console && std::io::stdout().is_terminal();
    let last_epitaph = init::epitaph::take_last(&state);
    init::epitaph::install_panic_hook(PanicPolicy::Halt, &state, false);
    let settings = Settings {
        mode: Mode::Hosted,
        data: "directory",
        profile,
        image_apps: options
            .apps
            .iter()
            .map(|dir| absolute(dir))
            .collect::<Result<_, _>>()?,
        image_stores: options
            .stores
            .iter()
            .map(|dir| absolute(dir))
            .collect::<Result<_, _>>()?,
        image_keys: options
            .keys
            .iter()
            .map(|dir| absolute(dir))
            .collect::<Result<_, _>>()?,
        signatures,
        socket: state.join("control.sock"),
        root: nix::unistd::geteuid().is_root(),
        ssh: options.ssh.map(|address| Listen {
            address,
            keys: options.ssh_keys.clone(),
        }),
        last_epitaph,
        realtime_kernel: realtime_kernel(),
        state,
    };
    let console = Console::new(writer, colour, LogLevel::Info);
    let start = Start {
        settings,
        faults,
        console,
        watchdog_secs: 0,
        ip: None,
        devices,
        notes: Vec::new(),
    };
    run(start).map(drop)
}

/// The devices of a developer's machine: the machine's own, or a simulated board's. With a simulated one the platform has what
/// the board has, whatever the profile says: that is what it is for.
fn hosted_devices(options: &Hosted, profile: &mut Profile) -> Result<Devices, String> {
    let Some(wanted) = &options.simulate else {
        let wanted = options.board.as_deref();
        let board = devices::named(wanted.unwrap_or_else(|| devices::of_this_machine()));
        return board
            .map(Devices::new)
            .map_err(|why| format!("--board: {why}"));
    };
    let board = devices::named(wanted).map_err(|why| format!("--simulate: {why}"))?;
    profile.peripherals = board.has();
    simulated(board)
}

#[cfg(feature = "simulate")]
fn simulated(board: Board) -> Result<Devices, String> {
    Devices::simulated(board).map_err(|error| format!("--simulate: {error}"))
}

#[cfg(not(feature = "simulate"))]
fn simulated(_: Board) -> Result<Devices, String> {
    Err("--simulate: this vyomad is built without the feature simulate".into())
}

fn builtin_profile(name: &str) -> Result<Profile, String> {
    let text = profile::builtin(name).ok_or_else(|| {
        format!(
            "--profile: found {name:?}; expected {} or a profile file",
            profile::PLATFORMS.join(", ")
        )
    })?;
    profile::parse(&format!("{name}.toml"), text).map_err(|error| error.to_string())
}

fn read_profile(path: &Path) -> Result<Profile, String> {
    let text = files::read_text(path, PROFILE_BYTES)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    profile::parse(&path.display().to_string(), &text).map_err(|error| error.to_string())
}

/// A built-in profile is part of this program; a test reads all six.
fn unreachable_profile(why: &str) -> Profile {
    panic!("built-in profile: {why}")
}

pub(super) fn note(kind: &str, detail: &str) -> Note {
    Note {
        kind: kind.to_string(),
        detail: detail.to_string(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub(super) fn make_dir(path: &Path) -> Result<(), String> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| format!("{}: {error}", path.display()))
}

/// Keeps a second daemon out of a state directory, for as long as the result lives.
fn lock(state: &Path) -> Result<Flock<fs::File>, String> {
    let path = state.join("lock");
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(named)?;
    let Ok(mut lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        let holder = files::read_text(&path, 64).unwrap_or_default();
        let (state, holder) = (state.display(), holder.trim());
        return Err(format!(
            "{state}: a vyomad runs on it already (process {holder}); stop it or use another --state"
        ));
    };
    lock.set_len(0)
        .and_then(|()| writeln!(*lock, "{}", std::process::id()))
        .map_err(named)?;
    Ok(lock)
}
