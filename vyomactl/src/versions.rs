//! `rollback`, and waiting for what a device says of a new version's health.

use std::time::Duration;

use serde_json::json;
use vyoma_capabilities::control::{AppStatus, Request, Response};

use crate::apps;
use crate::client::{Client, Patience};
use crate::exit::{Exit, Failure};
use crate::output::{Cell, Output, Style, clean};

/// Between two looks at an app that is on trial.
const LOOK: Duration = Duration::from_millis(500);

/// `rollback`
pub(crate) fn rollback(client: &mut Client, app: &str, out: &mut Output) -> Result<(), Failure> {
    let app = app.to_owned();
    let answer = client.call(&Request::Rollback { app }, Patience::Ending)?;
    let Response::RolledBack { app, version, from } = answer else {
        return Err(client.unexpected(&answer));
    };
    if out.is_json() {
        return out
            .json(&json!({ "done": "rollback", "app": app, "version": version, "from": from }));
    }
    out.line(&clean(&format!(
        "{app}: back to {version}, from {from}; again, and it is {from}"
    )))
}

/// Waits until the trial of an app is over. The error says that it was not healthy.
pub(crate) fn wait_for_health(client: &mut Client, app: &str) -> Result<(), Failure> {
    loop {
        let all = apps::list(client)?;
        let Some(status) = all.into_iter().find(|status| status.name == app) else {
            return Err(Failure::new(
                Exit::NoSuchApp,
                format!("{app}: it was removed while its trial was waited for"),
            ));
        };
        let versions = status.versions.clone().unwrap_or_default();
        if let Some(back) = versions.rolled_back {
            return Err(Failure::new(
                Exit::RolledBack,
                format!(
                    "{app}: {} was taken back, {} is current again: {}; look at `vyomactl logs {app}`",
                    back.version, status.version, back.reason
                ),
            ));
        }
        if !versions.on_trial {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// What `ps` says of an app's versions.
pub(crate) fn cell(status: &AppStatus) -> Cell {
    let Some(versions) = &status.versions else {
        return Cell::dash();
    };
    match (&versions.rolled_back, versions.on_trial, &versions.previous) {
        (Some(back), ..) => Cell::styled(
            Style::Bad,
            format!("{} taken back: {}", back.version, back.reason),
        ),
        (None, true, back) => Cell::styled(
            Style::Warn,
            format!("on trial, before {}", back.as_deref().unwrap_or("?")),
        ),
        (None, false, Some(previous)) => Cell::new(format!("before {previous}")),
        (None, false, None) => Cell::dash(),
    }
}
