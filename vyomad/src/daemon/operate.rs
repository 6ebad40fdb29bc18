//! What an operator (or an app with `shell`) does to apps: start, stop, restart, remove, look again. The control socket
//! and the `@supervisor:` requests both end here.

use std::fs;
use std::io;
use std::rc::Rc;

use vyoma_capabilities::control::{ControlError, ErrorKind, SignaturePolicy, Stream};
use vyoma_capabilities::lifecycle::{Event, Phase};

use super::apps::{self, App, Package};
use super::install::blocking;
use super::state::{Daemon, Shared};
use super::versions::{self, Record};
use super::{epitaphs, files, store, supervisor};

/// A refusal.
pub(crate) fn refuse(kind: ErrorKind, message: impl Into<String>) -> ControlError {
    ControlError {
        kind,
        message: message.into(),
    }
}

/// The app of that name, or a refusal that lists what there is.
pub(crate) fn find(daemon: &Daemon, name: &str) -> Result<Rc<App>, ControlError> {
    daemon.app(name).ok_or_else(|| {
        let apps = daemon.apps.borrow();
        // Enough to see a slip of the pen; all 200 would hide it.
        let known: Vec<&str> = apps.keys().map(|name| &**name).take(20).collect();
        let known = if known.is_empty() {
            "there is none".to_string()
        } else {
            known.join(", ")
        };
        refuse(
            ErrorKind::NoSuchApp,
            format!("no app {name:?}; expected one of: {known}"),
        )
    })
}

/// Writes to an app's standard input, all or nothing.
pub(crate) fn send_text(
    daemon: &Daemon,
    name: &str,
    text: &str,
    end: bool,
) -> Result<(), ControlError> {
    let app = find(daemon, name)?;
    let Some(stdin) = app.run().and_then(|run| run.stdin.clone()) else {
        return Err(refuse(
            ErrorKind::State,
            format!("{name} does not run, or has no stdio; vyomactl ps shows its phase"),
        ));
    };
    stdin
        .write(text, end)
        .map_err(|why| refuse(ErrorKind::Limit, format!("input of {name}: {why}")))
}

/// Starts a stopped, ended or quarantined app, if there is a place for it.
pub(crate) fn start(daemon: &Shared, name: &str) -> Result<(), ControlError> {
    let app = find(daemon, name)?;
    match app.phase() {
        Phase::Starting | Phase::Running | Phase::Stopping => {
            return Err(refuse(
                ErrorKind::State,
                format!("{name} runs already; vyomactl restart {name} starts it anew"),
            ));
        }
        Phase::Backoff => {}
        Phase::Exited | Phase::Stopped | Phase::Quarantined => {
            daemon
                .place_for_one_more()
                .map_err(|why| refuse(ErrorKind::Limit, format!("can't start {name}: {why}")))?;
        }
    }
    mark_stopped(daemon, name, false)?;
    supervisor::send(daemon, &app, Event::Start);
    Ok(())
}

/// Stops an app for good: it stays stopped over a reboot.
pub(crate) async fn stop(daemon: &Shared, name: &str) -> Result<(), ControlError> {
    let app = find(daemon, name)?;
    mark_stopped(daemon, name, true)?;
    stop_and_wait(daemon, &app).await;
    // What was answered survives a power failure.
    durable(daemon, name).await
}

/// Waits until the marks of an app are on the disk.
async fn durable(daemon: &Shared, name: &str) -> Result<(), ControlError> {
    let apps = daemon.path("apps");
    let dir = apps.join(name);
    let written = blocking(move || {
        ignore_missing(files::sync(&dir))?;
        files::sync(&apps)
    });
    written
        .await
        .map_err(|error| refuse(ErrorKind::Device, format!("apps/{name}: {error}")))
}

/// Stops and starts an app.
pub(crate) fn restart(daemon: &Shared, name: &str) -> Result<(), ControlError> {
    let app = find(daemon, name)?;
    if matches!(
        app.phase(),
        Phase::Exited | Phase::Stopped | Phase::Quarantined
    ) {
        daemon
            .place_for_one_more()
            .map_err(|why| refuse(ErrorKind::Limit, format!("can't start {name}: {why}")))?;
    }
    mark_stopped(daemon, name, false)?;
    supervisor::send(daemon, &app, Event::Restart);
    Ok(())
}

/// Stops an app and waits until its process is gone.
pub(crate) async fn stop_and_wait(daemon: &Shared, app: &Rc<App>) {
    supervisor::send(daemon, app, Event::Stop);
    app.until(|phase| matches!(phase, Phase::Stopped | Phase::Exited | Phase::Quarantined))
        .await;
}

/// Stops an app and forgets it. An app of the image leaves a mark, so that it does not come back at the next boot.
pub(crate) async fn remove(
    daemon: &Shared,
    name: &str,
    keep_data: bool,
) -> Result<(), ControlError> {
    let app = find(daemon, name)?;
    let _busy = Installing::begin(daemon, name)?;
    stop_and_wait(daemon, &app).await;
    let dir = daemon.path("apps").join(name);
    let device =
        |error: io::Error| refuse(ErrorKind::Device, format!("{}: {error}", dir.display()));
    // The mark comes first: after a power failure from here on the app is removed, whatever else is left of it.
    if apps::image_package(daemon, name).is_some() {
        fs::create_dir_all(&dir).map_err(device)?;
        fs::write(dir.join("removed"), "").map_err(device)?;
        durable(daemon, name).await?;
        for part in ["current", "stopped", versions::RECORD] {
            ignore_missing(fs::remove_file(dir.join(part))).map_err(device)?;
        }
        ignore_missing(fs::remove_dir_all(dir.join("versions"))).map_err(device)?;
    } else {
        ignore_missing(fs::remove_file(dir.join("current"))).map_err(device)?;
        ignore_missing(fs::remove_dir_all(&dir)).map_err(device)?;
    }
    // Otherwise removing an app would be the way to an older version of it.
    let newest = app.record.borrow().newest.clone();
    if newest.is_some() && daemon.trust.borrow().policy() != SignaturePolicy::Off {
        let record = Record {
            newest,
            ..Record::default()
        };
        let home = dir.clone();
        blocking(move || {
            fs::create_dir_all(&home)?;
            record.write(&home)
        })
        .await
        .map_err(device)?;
    }
    durable(daemon, name).await?;
    if !keep_data {
        let data = daemon.path("data").join(name);
        ignore_missing(fs::remove_dir_all(&data))
            .map_err(|error| refuse(ErrorKind::Device, format!("{}: {error}", data.display())))?;
    }
    daemon.apps.borrow_mut().remove(name);
    app.log.delete();
    epitaphs::delete(daemon, name);
    store::collect(daemon);
    daemon.event(
        Some(name),
        "app-removed",
        if keep_data {
            "its data folder is kept"
        } else {
            "its data went with it"
        },
    );
    Ok(())
}

/// Reads the folders of apps again and starts what is new; says how many.
pub(crate) fn reload(daemon: &Shared) -> usize {
    let new = apps::scan(daemon);
    for app in &new {
        introduce(daemon, app);
    }
    new.len()
}

/// Says what an app asks for in vain and starts it, unless an operator stopped it or the platform is full.
pub(crate) fn introduce(daemon: &Shared, app: &Rc<App>) {
    warn_unavailable(daemon, app);
    if daemon
        .path("apps")
        .join(&*app.name)
        .join("stopped")
        .exists()
    {
        return daemon.event(
            Some(&app.name),
            "app-stopped",
            "an operator stopped it; vyomactl start brings it back",
        );
    }
    match daemon.place_for_one_more() {
        Ok(()) => supervisor::send(daemon, app, Event::Start),
        Err(why) => {
            daemon.log(app, Stream::System, &format!("not started: {why}"));
            daemon.event(Some(&app.name), "app-refused", &why);
        }
    }
}

/// One line for each thing that is declared but not here.
pub(crate) fn warn_unavailable(daemon: &Daemon, app: &App) {
    for text in unavailable(daemon, &app.package()) {
        daemon.log(app, Stream::System, &format!("warning: {text}"));
        daemon.event(Some(&app.name), "warning", &text);
    }
}

/// What an app declares in vain, one line each.
pub(crate) fn unavailable(daemon: &Daemon, package: &Package) -> Vec<String> {
    let resolution = &package.resolution;
    let mut lines: Vec<String> = resolution
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    let settings = &daemon.settings;
    if package.manifest.realtime.is_some()
        && (resolution.grants.realtime.is_none() || !settings.realtime_kernel)
    {
        let here = if resolution.grants.realtime.is_none() {
            format!("{} does not have", settings.profile.name)
        } else {
            "this machine's kernel (not PREEMPT_RT) does not give".to_string()
        };
        lines.push(format!(
            "{} declares realtime, which {here}; the app runs without it",
            package.manifest.app.name
        ));
    }
    lines
}

fn mark_stopped(daemon: &Daemon, name: &str, stopped: bool) -> Result<(), ControlError> {
    let dir = daemon.path("apps").join(name);
    let mark = dir.join("stopped");
    let done = if stopped {
        fs::create_dir_all(&dir).and_then(|()| fs::write(&mark, ""))
    } else {
        ignore_missing(fs::remove_file(&mark))
    };
    done.map_err(|error| refuse(ErrorKind::Device, format!("{}: {error}", mark.display())))
}

pub(crate) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Holds the name of an app while its files change; only one at a time may.
pub(crate) struct Installing {
    daemon: Shared,
    name: String,
}

impl Installing {
    pub(crate) fn begin(daemon: &Shared, name: &str) -> Result<Self, ControlError> {
        if !daemon.installing.borrow_mut().insert(name.to_string()) {
            let message = format!(
                "{name} is being installed or removed by someone else; try again when that is done"
            );
            return Err(refuse(ErrorKind::State, message));
        }
        Ok(Self {
            daemon: Rc::clone(daemon),
            name: name.to_string(),
        })
    }
}

impl Drop for Installing {
    fn drop(&mut self) {
        self.daemon.installing.borrow_mut().remove(&self.name);
    }
}
