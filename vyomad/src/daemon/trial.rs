//! New versions on trial: watches whether they are healthy ([`Trial`] decides) and then lets the version before go, or brings
//! it back. Also `rollback`, which an operator asks for. What is on the disk is `versions`' business.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use vyoma_capabilities::control::{self, ControlError, ErrorKind, Response, Stream};
use vyoma_capabilities::lifecycle::trial::{DEFAULT_WINDOW_MS, Trial, Verdict};
use vyoma_capabilities::lifecycle::{Ending, Event};
use vyoma_capabilities::manifest::Manifest;

use super::apps::{self, App, Package};
use super::install::blocking;
use super::operate::{self, Installing, refuse};
use super::state::{Daemon, Shared, unix_ms};
use super::versions::{self, OnTrial, Record, Version};
use super::{store, supervisor};

/// Pause before a name that someone else changes is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// What watches a version on trial, until the verdict is known.
#[derive(Debug)]
pub(crate) struct Watch {
    trial: Trial,
    /// Host calls of the run at the last look.
    calls: u64,
    /// The task that looks at the run. It ends with the watch: a later one is looked at by its own alone.
    looks: JoinSet<()>,
}

impl Watch {
    fn new(window_ms: u64) -> Self {
        Self {
            trial: Trial::new(window_ms),
            calls: 0,
            looks: JoinSet::new(),
        }
    }

    /// A run has begun, at which `looks` looks; what looked at the run before does no more.
    fn started(&mut self, now_ms: u64, looks: impl Future<Output = ()> + 'static) {
        self.trial.started(now_ms);
        self.calls = 0;
        self.looks = JoinSet::new();
        self.looks.spawn_local(looks);
    }
}

/// How long a new version of that manifest is on trial.
pub(crate) fn window_ms(manifest: &Manifest) -> u64 {
    manifest
        .app
        .health_secs
        .map_or(DEFAULT_WINDOW_MS, |secs| u64::from(secs) * 1000)
}

/// Begins to watch an app whose record says that it is on trial; ends an earlier watch.
pub(crate) fn begin(app: &App) {
    let on_trial = app.record.borrow().trial.is_some();
    *app.watch.borrow_mut() = on_trial.then(|| Watch::new(window_ms(&app.package().manifest)));
}

/// Its process runs.
pub(crate) fn started(daemon: &Shared, app: &Rc<App>) {
    if let Some(watch) = app.watch.borrow_mut().as_mut() {
        watch.started(daemon.now_ms(), look(Rc::clone(daemon), Rc::clone(app)));
    }
}

/// Looks at a run until there is a verdict or it is over.
async fn look(daemon: Shared, app: Rc<App>) {
    loop {
        let due = app
            .watch
            .borrow()
            .as_ref()
            .and_then(|watch| watch.trial.look_at());
        let Some(due) = due else { return };
        tokio::time::sleep(Duration::from_millis(due.saturating_sub(daemon.now_ms()))).await;
        let beat = app
            .run()
            .map(|run| run.heartbeats.read())
            .unwrap_or_default();
        let verdict = {
            let mut watch = app.watch.borrow_mut();
            let Some(watch) = watch.as_mut() else { return };
            let alive = beat.in_host || beat.calls != watch.calls;
            watch.calls = beat.calls;
            watch.trial.look(daemon.now_ms(), alive)
        };
        if let Some(verdict) = verdict {
            return decide(&daemon, &app, verdict);
        }
    }
}

/// Its run is over.
pub(crate) fn ended(daemon: &Shared, app: &Rc<App>, ending: &Ending) {
    let policy = app.package().manifest.app.restart;
    let mut watch = app.watch.borrow_mut();
    let verdict = watch
        .as_mut()
        .and_then(|watch| watch.trial.ended(daemon.now_ms(), ending, policy));
    drop(watch);
    if let Some(verdict) = verdict {
        decide(daemon, app, verdict);
    }
}

/// Does what follows from the verdict; nothing more is looked at.
fn decide(daemon: &Shared, app: &Rc<App>, verdict: Verdict) {
    *app.watch.borrow_mut() = None;
    let on_trial = |app: &App| {
        app.record
            .borrow()
            .trial
            .as_ref()
            .map(|trial| trial.id.clone())
    };
    let Some(id) = on_trial(app) else { return };
    let (daemon, app) = (Rc::clone(daemon), Rc::clone(app));
    tokio::task::spawn_local(async move {
        let _busy = name_of(&daemon, &app.name).await;
        // Meanwhile another version may have come, or the app may be gone.
        let known = daemon
            .app(&app.name)
            .is_some_and(|known| Rc::ptr_eq(&known, &app));
        if !known || on_trial(&app).is_none_or(|now| now != id) {
            return;
        }
        let done = match verdict {
            Verdict::Healthy => settle(&daemon, &app).await,
            Verdict::Failed(why) => take_back(&daemon, &app, &why).await,
        };
        if let Err(why) = done {
            daemon.event(Some(&app.name), "error", &why);
        }
    });
}

/// The name of an app for us alone, as soon as whoever has it is done.
async fn name_of(daemon: &Shared, name: &str) -> Installing {
    loop {
        match Installing::begin(daemon, name) {
            Ok(busy) => return busy,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// The version is healthy: the one before it is kept for `rollback`, others go.
async fn settle(daemon: &Shared, app: &App) -> Result<(), String> {
    let mut record = app.record.borrow().clone();
    let Some(trial) = record.trial.take() else {
        return Ok(());
    };
    record.previous = Some(trial.from);
    record.newest = Some(trial.version.clone());
    let home = daemon.path("apps").join(&*app.name);
    let (written, at) = (record.clone(), home.clone());
    blocking(move || {
        written.write(&at)?;
        versions::release_others(&at, &written);
        Ok(())
    })
    .await
    .map_err(|error| format!("{}: {error}", home.display()))?;
    *app.record.borrow_mut() = record;
    let detail = format!("{} is healthy and stays", trial.version);
    daemon.event(Some(&app.name), "app-healthy", &detail);
    Ok(())
}

/// The version is not healthy: the one before it comes back.
async fn take_back(daemon: &Shared, app: &Rc<App>, why: &str) -> Result<(), String> {
    operate::stop_and_wait(daemon, app).await;
    let mut record = app.record.borrow().clone();
    let Some(trial) = record.trial.clone() else {
        return Ok(());
    };
    let home = daemon.path("apps").join(&*app.name);
    let (at, reason) = (home.clone(), why.to_string());
    let gone_back = tokio::task::spawn_blocking(move || {
        let done = versions::go_back(&at, &mut record, &reason, unix_ms());
        (record, done)
    });
    let (record, done) = gone_back.await.map_err(|error| error.to_string())?;
    *app.record.borrow_mut() = record;
    if let Err(error) = done {
        // The version on trial is still there, and better than none; its next failure tries again.
        begin(app);
        supervisor::send(daemon, app, Event::Start);
        return Err(format!(
            "{}: {} can't be taken back: {error}; {why}",
            home.display(),
            trial.version
        ));
    }
    let detail = versions::taken_back(&trial.version, &trial.from.version, why);
    daemon.log(app, Stream::System, &detail);
    daemon.event(Some(&app.name), "app-rolled-back", &detail);
    come_back(daemon, app)
}

/// Another version has become the current one: it is read and started.
fn come_back(daemon: &Shared, app: &Rc<App>) -> Result<(), String> {
    *app.watch.borrow_mut() = None;
    let package = current_package(daemon, &app.name)?;
    app.replace_package(package);
    store::collect(daemon);
    // One that had ended for good gave its place away.
    match daemon.place_for_one_more() {
        Ok(()) => {
            operate::warn_unavailable(daemon, app);
            supervisor::send(daemon, app, Event::Start);
        }
        Err(why) => daemon.event(Some(&app.name), "app-refused", &why),
    }
    Ok(())
}

/// The package that is current: installed, else the image's.
fn current_package(daemon: &Daemon, name: &str) -> Result<Package, String> {
    let current = daemon.path("apps").join(name).join("current");
    if std::fs::symlink_metadata(&current).is_ok() {
        return Package::read(&current, &daemon.settings.profile, true);
    }
    apps::image_package(daemon, name)
        .ok_or_else(|| format!("{name}: the image has no app of that name any more"))
}

/// The version that an app is at, as one to go back to.
pub(crate) fn version_of(daemon: &Daemon, app: &App) -> Version {
    let package = app.package();
    Version {
        id: package
            .installed
            .then(|| versions::current(&daemon.path("apps").join(&*app.name)))
            .flatten(),
        version: package.manifest.app.version.clone(),
        sha256: package.sha256.clone(),
    }
}

/// Serves one `Rollback`.
pub(crate) async fn rollback(daemon: &Shared, name: &str) -> Result<Response, ControlError> {
    let app = operate::find(daemon, name)?;
    let _busy = Installing::begin(daemon, name)?;
    let home = daemon.path("apps").join(name);
    let before = app.record.borrow().clone();
    let from = version_of(daemon, &app);
    let Some(target) = before.back().filter(|back| back.id != from.id).cloned() else {
        return Err(refuse(
            ErrorKind::State,
            format!(
                "{name}: {} is the only version here; install the one that is wanted",
                from.version
            ),
        ));
    };
    operate::stop_and_wait(daemon, &app).await;
    let after = Record {
        previous: Some(from.clone()),
        trial: None,
        rolled_back: None,
        newest: before.newest.clone(),
    };
    // While it is being done the record has both, so that a power failure loses neither.
    let during = Record {
        trial: Some(OnTrial {
            id: target.id.clone().unwrap_or_default(),
            version: target.version.clone(),
            from: from.clone(),
            boots: 0,
            failed: None,
        }),
        ..before.clone()
    };
    let (at, id, last) = (home.clone(), target.id.clone(), after.clone());
    let done = blocking(move || {
        if id.is_some() {
            during.write(&at)?;
        }
        versions::switch(&at, id.as_deref())?;
        last.write(&at)?;
        versions::release_others(&at, &last);
        Ok(())
    });
    if let Err(error) = done.await {
        supervisor::send(daemon, &app, Event::Start);
        return Err(refuse(
            ErrorKind::Device,
            format!("{}: {error}", home.display()),
        ));
    }
    *app.record.borrow_mut() = after;
    let detail = format!(
        "an operator went back from {} to {}",
        from.version, target.version
    );
    daemon.log(&app, Stream::System, &detail);
    daemon.event(Some(name), "app-rolled-back", &detail);
    come_back(daemon, &app).map_err(|why| refuse(ErrorKind::Device, why))?;
    Ok(Response::RolledBack {
        app: name.to_string(),
        version: target.version,
        from: from.version,
    })
}

/// What `ps` tells of an app's versions.
pub(crate) fn status(app: &App) -> Option<control::Versions> {
    let record = app.record.borrow();
    let versions = control::Versions {
        previous: record.back().map(|version| version.version.clone()),
        on_trial: record.trial.is_some(),
        rolled_back: record.rolled_back.clone(),
    };
    (versions != control::Versions::default()).then_some(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what it is given for as long as it lives.
    async fn looks(looking: Rc<()>) {
        std::future::pending::<()>().await;
        drop(looking);
    }

    #[tokio::test]
    async fn whoever_looks_at_a_run_looks_at_no_later_run_and_under_no_later_watch() {
        let lives = |looking: &Rc<()>| Rc::strong_count(looking) > 1;
        let (first, second) = (Rc::new(()), Rc::new(()));
        let turns = async {
            let mut watch = Watch::new(10_000);
            watch.started(0, looks(Rc::clone(&first)));
            tokio::task::yield_now().await;
            assert!(lives(&first));
            watch.started(1_000, looks(Rc::clone(&second)));
            tokio::task::yield_now().await;
            assert!(!lives(&first) && lives(&second), "another run");
            watch = Watch::new(10_000);
            watch.started(2_000, looks(Rc::clone(&first)));
            tokio::task::yield_now().await;
            assert!(lives(&first) && !lives(&second), "another watch");
        };
        tokio::task::LocalSet::new().run_until(turns).await;
    }
}
