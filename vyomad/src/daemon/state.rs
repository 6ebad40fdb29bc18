//! What the daemon knows: one [`Daemon`], shared by the local tasks of its one thread. No cell is ever borrowed over
//! an `await`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, Semaphore};
use vyoma_capabilities::control::{SignaturePolicy, Stream};
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::profile::Profile;

use super::apps::App;
use super::cgroup::Cgroups;
use super::console::Console;
use super::devices::Devices;
use super::events::Events;
use super::logs::Logs;
use super::process::Binary;
use super::reaper::Reaper;
use super::trust::Trust;
use super::uids::Uids;
use super::uploads::Uploads;
use crate::init::cmdline::LogLevel;
use crate::init::power::PowerAction;

/// A handle on the daemon.
pub(crate) type Shared = Rc<Daemon>;

/// PID 1, or hosted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A device.
    Pid1,
    /// A developer's machine.
    Hosted,
}

impl Mode {
    /// As in `DeviceInfo::mode`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pid1 => "pid1",
            Self::Hosted => "hosted",
        }
    }
}

/// What does not change while the daemon runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// `disk`, `tmpfs` or `directory`.
    pub(crate) data: &'static str,
    pub(crate) profile: Profile,
    /// Folders of image apps.
    pub(crate) image_apps: Vec<PathBuf>,
    /// Read-only stores.
    pub(crate) image_stores: Vec<PathBuf>,
    /// Folders of the image's keys.
    pub(crate) image_keys: Vec<PathBuf>,
    /// Which signatures are needed, as the device was started; absent: as an operator has it.
    pub(crate) signatures: Option<SignaturePolicy>,
    pub(crate) socket: PathBuf,
    /// Whether we can become other users: then every app gets a uid of its own.
    pub(crate) root: bool,
    /// Where to serve SSH, if at all.
    pub(super) ssh: Option<super::ssh::Listen>,
    /// What the last run left behind.
    pub(crate) last_epitaph: Option<String>,
    /// The kernel is PREEMPT_RT: only there SCHED_FIFO keeps what it promises.
    pub(crate) realtime_kernel: bool,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) settings: Settings,
    pub(crate) started: Instant,
    pub(crate) apps: RefCell<BTreeMap<Rc<str>, Rc<App>>>,
    pub(crate) binary: Binary,
    pub(crate) reaper: Rc<Reaper>,
    pub(crate) logs: Logs,
    pub(crate) events: Events,
    pub(crate) console: Console,
    pub(crate) devices: Devices,
    pub(crate) cgroups: Option<Cgroups>,
    /// Locked only where waiting for a disk does no harm.
    pub(crate) uids: Arc<Mutex<Uids>>,
    /// One component is hashed at a time: the first app starts as early as it can.
    pub(crate) hashing: Semaphore,
    /// Admissions at once.
    pub(crate) admitting: Semaphore,
    /// Whose apps are taken.
    pub(crate) trust: RefCell<Trust>,
    /// Uploads under way.
    pub(crate) uploads: Rc<Uploads>,
    /// Names with an installation under way.
    pub(crate) installing: RefCell<HashSet<String>>,
    /// Parts of the sandbox that this kernel can't give and that were told.
    pub(crate) sandbox_notes: RefCell<BTreeSet<String>>,
    /// Keys of artefacts that were refused: the image's are passed over from then on.
    pub(crate) misfits: RefCell<BTreeSet<String>>,
    /// Keys of machine code that should have come with the image or the app and is not there, of which it was told.
    pub(crate) missed: RefCell<BTreeSet<String>>,
    /// Open look-ups and fetches for apps.
    pub(crate) fetching: Arc<Semaphore>,
    /// Text that apps share.
    pub(crate) clipboard: RefCell<String>,
    /// The hardware watchdog, for people; none: a hung daemon is not restarted.
    pub(crate) watchdog: RefCell<Option<String>>,
    /// Makes names of temporary files differ.
    pub(crate) serial: Cell<u64>,
    /// Something is to be written to the log files.
    pub(crate) unwritten: Notify,
    /// The end that was asked for.
    pub(crate) ending: Cell<Option<PowerAction>>,
    pub(crate) end: Notify,
}

impl Daemon {
    /// Milliseconds since the daemon started: the time of the lifecycle machines.
    pub(crate) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(crate) fn app(&self, name: &str) -> Option<Rc<App>> {
        self.apps.borrow().get(name).cloned()
    }

    /// All apps, in the order of their names.
    pub(crate) fn all_apps(&self) -> Vec<Rc<App>> {
        self.apps.borrow().values().cloned().collect()
    }

    /// Path in the state directory.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.settings.state.join(relative)
    }

    /// A number that was not given out before by this daemon.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// Apps that hold one of the platform's `max_apps` places: those that run, and those that are between two runs.
    pub(crate) fn places_taken(&self) -> usize {
        let taken = |app: &&Rc<App>| {
            matches!(
                app.phase(),
                Phase::Starting | Phase::Running | Phase::Stopping | Phase::Backoff
            )
        };
        self.apps.borrow().values().filter(taken).count()
    }

    /// Whether a further app may start; the error names the number.
    pub(crate) fn place_for_one_more(&self) -> Result<(), String> {
        let profile = &self.settings.profile;
        let taken = self.places_taken();
        if taken < profile.max_apps as usize {
            return Ok(());
        }
        let most = profile.max_apps;
        Err(format!(
            "{taken} apps run and {} allows max_apps = {most}; stop or remove one first",
            profile.name
        ))
    }

    /// Records something that happened; the console shows it if its level allows. An app's ending is a line of its log,
    /// so the console has it already.
    pub(crate) fn event(&self, app: Option<&str>, kind: &str, detail: &str) {
        self.events.push(app, kind, detail);
        self.unwritten.notify_one();
        let level = match kind {
            "error" => LogLevel::Error,
            "warning" | "data-disk" | "app-refused" | "app-quarantined" | "app-rolled-back" => {
                LogLevel::Warn
            }
            "app-started" | "app-ended" | "debug" => LogLevel::Debug,
            _ => LogLevel::Info,
        };
        self.console.event(level, app, kind, detail);
    }

    /// Adds a line to an app's log, to followers and to the console.
    pub(crate) fn log(&self, app: &App, stream: Stream, text: &str) {
        if app.log.push(&self.logs, &app.name, stream, text).is_err()
            && !app.log_file_failed.replace(true)
        {
            self.event(
                Some(&app.name),
                "warning",
                "its log file can't be written; lines are in memory only",
            );
        }
        self.unwritten.notify_one();
        self.console.line(&app.name, text);
    }

    /// Asks for the end of the daemon; the first one who asks decides how.
    pub(crate) fn end(&self, action: PowerAction) {
        if self.ending.get().is_none() {
            self.ending.set(Some(action));
            self.end.notify_one();
        }
    }
}

/// Milliseconds since 1970 by the system's clock.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
