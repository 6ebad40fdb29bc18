//! From a version that is in its place to one that runs: the one rename that counts, what is known of the versions before
//! and after it, and the start.

use std::path::Path;

use vyoma_capabilities::control::{ControlError, ErrorKind, Response};
use vyoma_capabilities::lifecycle::Event;

use super::blocking;
use crate::daemon::apps::{self, Package};
use crate::daemon::operate::{self, refuse};
use crate::daemon::state::Shared;
use crate::daemon::versions::{self, OnTrial, Record};
use crate::daemon::{store, supervisor, trial};

/// A version that is whole and in its place.
pub(super) struct Installed<'a> {
    pub(super) name: &'a str,
    pub(super) id: String,
    pub(super) sha256: String,
    pub(super) size: u64,
    pub(super) version: String,
    pub(super) signed_by: Option<&'a str>,
    pub(super) window_ms: u64,
}

impl Installed<'_> {
    /// Makes it the current one, and starts it.
    pub(super) async fn switch(
        self,
        daemon: &Shared,
        home: &Path,
    ) -> Result<Response, ControlError> {
        let name = self.name;
        let known = daemon.app(name);
        let before = known
            .as_ref()
            .map(|app| app.record.borrow().clone())
            .unwrap_or_default();
        let record = self.record(
            &before,
            |app| trial::version_of(daemon, app),
            known.as_deref(),
        );
        if let Some(app) = &known {
            operate::stop_and_wait(daemon, app).await;
        }
        let (at, id, next, last) = (
            home.to_path_buf(),
            self.id.clone(),
            record.clone(),
            before.clone(),
        );
        let switched = blocking(move || {
            if next != Record::read(&at) {
                next.write(&at)?;
            }
            if let Err(error) = versions::switch(&at, Some(&id)) {
                // The old version is still the current one, and what was known of it holds. If that can't be written
                // either, the next boot sees that the new one never became current.
                let _ = last.write(&at);
                return Err(error);
            }
            versions::release_others(&at, &next);
            Ok(())
        });
        if let Err(error) = switched.await {
            // The old version goes on.
            if let Some(app) = &known {
                supervisor::send(daemon, app, Event::Start);
            }
            return Err(refuse(
                ErrorKind::Device,
                format!("{}: {error}", home.display()),
            ));
        }
        let mut package = Package::read(&home.join("current"), &daemon.settings.profile, true)
            .map_err(|why| refuse(ErrorKind::Device, why))?;
        package.sha256 = Some(self.sha256.clone());
        let mut warnings = operate::unavailable(daemon, &package);
        let replaced = known.is_some();
        let app = match known {
            Some(app) => {
                app.replace_package(package);
                app
            }
            None => apps::register(daemon, package)
                .map_err(|why| refuse(ErrorKind::Limit, why))?
                .ok_or_else(|| {
                    refuse(
                        ErrorKind::State,
                        format!("{name} came up from elsewhere meanwhile"),
                    )
                })?,
        };
        let on_trial = record.trial.is_some();
        *app.record.borrow_mut() = record;
        trial::begin(&app);
        store::collect(daemon);
        let verb = if replaced { "replaced" } else { "installed" };
        let (version, size, sha256) = (&self.version, self.size, &self.sha256);
        let signed = self
            .signed_by
            .map_or_else(String::new, |name| format!(", signed by {name}"));
        let trial = if on_trial {
            format!("; on trial for {} s", self.window_ms / 1000)
        } else {
            String::new()
        };
        daemon.event(
            Some(name),
            "app-installed",
            &format!("{verb}: {version}, {size} bytes, SHA-256 {sha256}{signed}{trial}"),
        );
        operate::warn_unavailable(daemon, &app);
        // Asked before; but another installation may have been quicker.
        match daemon.place_for_one_more() {
            Ok(()) => supervisor::send(daemon, &app, Event::Start),
            Err(why) => warnings.push(format!("{name} is installed but not started: {why}")),
        }
        Ok(Response::Installed {
            app: name.to_string(),
            sha256: self.sha256,
            replaced,
            warnings,
        })
    }

    /// What is to be known of the app's versions from the switch on.
    fn record(
        &self,
        before: &Record,
        version_of: impl Fn(&apps::App) -> versions::Version,
        known: Option<&apps::App>,
    ) -> Record {
        let newest = Some(self.version.clone());
        let Some(app) = known else {
            return Record {
                newest,
                ..Record::default()
            };
        };
        let now = version_of(app);
        if now.id.as_ref() == Some(&self.id) {
            // The same once more: whatever it has to prove, it begins anew.
            let mut same = before.clone();
            if let Some(trial) = &mut same.trial {
                trial.boots = 0;
            }
            return same;
        }
        // One that has not proved itself is nothing to go back to; what came before it is.
        let from = before
            .trial
            .as_ref()
            .map_or(now, |trial| trial.from.clone());
        if from.id.as_ref() == Some(&self.id) {
            return Record {
                newest,
                ..Record::default()
            };
        }
        if self.window_ms == 0 {
            return Record {
                previous: Some(from),
                newest,
                ..Record::default()
            };
        }
        Record {
            newest: before.newest_of(Some(from.version.clone())),
            trial: Some(OnTrial {
                id: self.id.clone(),
                version: self.version.clone(),
                from,
                boots: 0,
                failed: None,
            }),
            ..Record::default()
        }
    }
}
