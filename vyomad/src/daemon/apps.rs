//! Which apps there are: those that came with the image and those that were installed; an installed one hides one of
//! the image by the same name. Here manifests become [`App`]s; nothing here starts anything.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use vyoma_capabilities::control::{Execution, MAX_MANIFEST};
use vyoma_capabilities::lifecycle::{Config, Ending, Machine, Phase};
use vyoma_capabilities::manifest::{self, Manifest};
use vyoma_capabilities::profile::Profile;
use vyoma_capabilities::resolve::{self, Resolution};

use super::logs::AppLog;
use super::run::Run;
use super::state::{Daemon, unix_ms};
use super::trial::{self, Watch};
use super::uses::Uses;
use super::versions::{self, Record};
use crate::init::Note;

/// Most apps that are known at once, running or not: a full answer to `ps` still fits one frame.
const MOST_KNOWN: usize = 500;
/// From SIGTERM to SIGKILL. A guest can't catch SIGTERM, so in truth it ends at once; three seconds are for a
/// process that the kernel holds in a write to a slow disk.
const GRACE_MS: u64 = 3000;

/// What is on the disk of an app.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) manifest: Manifest,
    pub(crate) resolution: Resolution,
    pub(crate) manifest_path: PathBuf,
    pub(crate) component: PathBuf,
    pub(crate) installed: bool,
    /// As computed; absent until the component was read once.
    pub(crate) sha256: Option<String>,
}

impl Package {
    /// Reads `dir/vyoma.toml`. The error is one line that names the file.
    pub(crate) fn read(dir: &Path, profile: &Profile, installed: bool) -> Result<Self, String> {
        let manifest_path = dir.join("vyoma.toml");
        let file = manifest_path.display().to_string();
        let text = super::files::read_text(&manifest_path, MAX_MANIFEST)
            .map_err(|error| format!("{file}: {error}"))?;
        let manifest = manifest::parse(&file, &text).map_err(|error| error.to_string())?;
        let component = dir.join(if installed {
            "app.wasm"
        } else {
            &manifest.app.wasm
        });
        let resolution = resolve::resolve(&manifest, profile);
        Ok(Self {
            manifest,
            resolution,
            manifest_path,
            component,
            installed,
            sha256: None,
        })
    }

    fn config(&self) -> Config {
        Config {
            restart: self.manifest.app.restart,
            watchdog_ms: self
                .resolution
                .grants
                .watchdog_secs
                .map(|secs| u64::from(secs) * 1000),
            grace_ms: GRACE_MS,
        }
    }
}

/// One app.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: Rc<str>,
    pub(crate) package: RefCell<Rc<Package>>,
    pub(crate) machine: RefCell<Machine>,
    pub(crate) log: AppLog,
    pub(crate) log_file_failed: Cell<bool>,
    /// The process that there is.
    pub(crate) run: RefCell<Option<Rc<Run>>>,
    /// The task that makes one.
    pub(crate) preparing: RefCell<Option<AbortHandle>>,
    /// The task that sends the machine its next tick.
    pub(crate) timer: RefCell<Option<AbortHandle>>,
    /// Who wrote to it last.
    pub(crate) last_writer: RefCell<Option<Rc<str>>>,
    /// How it ended before this daemon started.
    pub(crate) earlier_ending: RefCell<Option<Ending>>,
    /// Input lines lost in earlier runs.
    pub(crate) dropped_before: Cell<u64>,
    /// What it did with its capabilities since the daemon started.
    pub(crate) uses: Uses,
    /// What ran last.
    pub(crate) execution: Cell<Option<Execution>>,
    /// What is known of its versions beside the current one.
    pub(crate) record: RefCell<Record>,
    /// Watches it while it is on trial.
    pub(crate) watch: RefCell<Option<Watch>>,
    /// Its phase changed.
    pub(crate) changed: Notify,
}

impl App {
    fn new(package: Package, logs: &Path) -> Self {
        let name: Rc<str> = package.manifest.app.name.as_str().into();
        Self {
            machine: RefCell::new(Machine::new(package.config())),
            log: AppLog::open(logs, &name),
            log_file_failed: Cell::new(false),
            package: RefCell::new(Rc::new(package)),
            run: RefCell::default(),
            preparing: RefCell::default(),
            timer: RefCell::default(),
            last_writer: RefCell::default(),
            earlier_ending: RefCell::default(),
            dropped_before: Cell::new(0),
            uses: Uses::default(),
            execution: Cell::new(None),
            record: RefCell::default(),
            watch: RefCell::default(),
            changed: Notify::new(),
            name,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.machine.borrow().phase()
    }

    pub(crate) fn package(&self) -> Rc<Package> {
        Rc::clone(&self.package.borrow())
    }

    pub(crate) fn run(&self) -> Option<Rc<Run>> {
        self.run.borrow().clone()
    }

    /// Another version is in place; the app is not running.
    pub(crate) fn replace_package(&self, package: Package) {
        self.machine.borrow_mut().configure(package.config());
        *self.package.borrow_mut() = Rc::new(package);
    }

    pub(crate) fn set_sha256(&self, sha256: &str) {
        let mut package = self.package.borrow_mut();
        let old = &**package;
        if old.sha256.as_deref() != Some(sha256) {
            *package = Rc::new(Package {
                manifest: old.manifest.clone(),
                resolution: old.resolution.clone(),
                manifest_path: old.manifest_path.clone(),
                component: old.component.clone(),
                installed: old.installed,
                sha256: Some(sha256.to_string()),
            });
        }
    }

    /// How it last ended, in this run of the daemon or before.
    pub(crate) fn last_ending(&self) -> Option<Ending> {
        self.machine
            .borrow()
            .last_ending()
            .cloned()
            .or_else(|| self.earlier_ending.borrow().clone())
    }

    /// Waits until `done` says so of its phase.
    pub(crate) async fn until(&self, done: impl Fn(Phase) -> bool) {
        loop {
            let changed = self.changed.notified();
            if done(self.phase()) {
                return;
            }
            changed.await;
        }
    }
}

/// Reads all apps of the state directory and the image. What can't be used is an event and otherwise left alone.
/// Returns those that are new.
pub(crate) fn scan(daemon: &Daemon) -> Vec<Rc<App>> {
    let mut found = Vec::new();
    let state = daemon.path("apps");
    for dir in folders(&state) {
        let name = file_name(&dir);
        let current = dir.join("current");
        if fs::symlink_metadata(&current).is_ok() {
            found.push((
                Package::read(&current, &daemon.settings.profile, true),
                Some(name),
            ));
        }
    }
    for root in &daemon.settings.image_apps {
        let dirs = folders(root);
        if dirs.is_empty() {
            daemon.event(
                None,
                "warning",
                &format!(
                    "{}: found no app; expected NAME/vyoma.toml in it",
                    root.display()
                ),
            );
        }
        let with_manifest = dirs
            .into_iter()
            .filter(|dir| dir.join("vyoma.toml").exists());
        found.extend(
            with_manifest.map(|dir| (Package::read(&dir, &daemon.settings.profile, false), None)),
        );
    }
    let mut new = Vec::new();
    for (package, installed_as) in found {
        let outcome = package.and_then(|package| match installed_as {
            Some(name) if name != package.manifest.app.name => {
                let file = package.manifest_path.display().to_string();
                Err(format!(
                    "{file}: app.name: found {:?}; expected {name:?}, as it was installed",
                    package.manifest.app.name
                ))
            }
            _ => register(daemon, package),
        });
        match outcome {
            Ok(app) => new.extend(app),
            Err(why) => daemon.event(None, "warning", &why),
        }
    }
    new
}

/// Adds an app. `None`: it is known already, hidden by an installed one, or was removed by an operator.
pub(crate) fn register(daemon: &Daemon, package: Package) -> Result<Option<Rc<App>>, String> {
    let name = package.manifest.app.name.as_str();
    if !package.installed && daemon.path("apps").join(name).join("removed").exists() {
        return Ok(None);
    }
    let mut apps = daemon.apps.borrow_mut();
    if let Some(known) = apps.get(name) {
        let known = known.package();
        if known.installed || known.manifest_path == package.manifest_path {
            return Ok(None);
        }
        let files = [
            (&known.manifest_path, &known.manifest),
            (&package.manifest_path, &package.manifest),
        ];
        let named: Vec<_> = files
            .iter()
            .map(|(path, manifest)| (path.display().to_string(), *manifest))
            .collect();
        manifest::check_unique(
            named
                .iter()
                .map(|(path, manifest)| (path.as_str(), *manifest)),
        )
        .map_err(|error| error.to_string())?;
    }
    if apps.len() >= MOST_KNOWN {
        return Err(format!(
            "{}: {MOST_KNOWN} apps are known already, which is the most",
            package.manifest_path.display()
        ));
    }
    let app = Rc::new(App::new(package, &daemon.path("logs")));
    *app.earlier_ending.borrow_mut() = super::epitaphs::read(daemon, &app.name);
    *app.record.borrow_mut() = Record::read(&daemon.path("apps").join(&*app.name));
    trial::begin(&app);
    apps.insert(Rc::clone(&app.name), Rc::clone(&app));
    Ok(Some(app))
}

/// Folders in `dir`, by name; those that start with a dot are unfinished business of an installation.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut dirs: Vec<_> = entries
        .filter(|path| path.is_dir() && !file_name(path).starts_with('.'))
        .collect();
    dirs.sort();
    dirs
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Finishes what was interrupted of changes of versions, before anything runs; what is to be told of it.
pub(crate) fn recover(state: &Path) -> Vec<Note> {
    let mut notes = Vec::new();
    for home in folders(&state.join("apps")) {
        let name = file_name(&home);
        match versions::recover(&home, unix_ms()) {
            Ok(None) => {}
            Ok(Some(detail)) => {
                notes.push(Note::new("app-rolled-back", format!("{name}: {detail}")));
            }
            Err(error) => notes.push(Note::warning(format!("{}: {error}", home.display()))),
        }
    }
    notes
}

/// The image's app of that name.
pub(crate) fn image_package(daemon: &Daemon, name: &str) -> Option<Package> {
    let mut dirs = daemon
        .settings
        .image_apps
        .iter()
        .flat_map(|root| folders(root));
    dirs.find_map(|dir| {
        Package::read(&dir, &daemon.settings.profile, false)
            .ok()
            .filter(|package| package.manifest.app.name == name)
    })
}
