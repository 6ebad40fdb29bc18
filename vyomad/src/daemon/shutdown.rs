//! The end, in order: no new work, apps told to stop, killed after their grace, everything written. What follows (end of
//! the process, or of the device) is the caller's.

use std::time::Duration;

use tokio::time::timeout;
use vyoma_capabilities::lifecycle::{Event, Phase};

use super::state::Shared;
use super::supervisor;
use super::upkeep::flush_logs;
use crate::init::clock;
use crate::init::power::PowerAction;

/// For all apps together: the grace of three seconds that the lifecycle gives each, and time for the kernel to take
/// down what was killed. A process that a dead disk holds must not hold up the power.
const APPS: Duration = Duration::from_secs(6);
/// For the last lines to reach a slow console.
const CONSOLE: Duration = Duration::from_secs(1);

/// Stops everything; returns how the device is to end.
pub(crate) async fn run(daemon: &Shared) -> PowerAction {
    let action = daemon.ending.get().unwrap_or(PowerAction::PowerOff);
    daemon.event(
        None,
        "shutdown",
        &format!("{action:?}: stopping {} apps", daemon.places_taken()),
    );
    let apps = daemon.all_apps();
    for app in &apps {
        supervisor::send(daemon, app, Event::Stop);
    }
    let all = async {
        for app in &apps {
            app.until(|phase| matches!(phase, Phase::Stopped | Phase::Exited | Phase::Quarantined))
                .await;
        }
    };
    if timeout(APPS, all).await.is_err() {
        let left: Vec<&str> = apps
            .iter()
            .filter(|app| app.run().is_some())
            .map(|app| &*app.name)
            .collect();
        daemon.event(
            None,
            "warning",
            &format!("did not end in time: {}", left.join(", ")),
        );
    }
    let orphans = daemon.reaper.orphans();
    daemon.event(
        None,
        "shutdown",
        &format!("apps are stopped; {orphans} orphans were reaped in this run"),
    );
    flush_logs(daemon);
    let _ = clock::save(&daemon.settings.state);
    if let Some(groups) = &daemon.cgroups {
        groups.remove_all();
    }
    // Nobody is to find a socket that nobody serves.
    let _ = std::fs::remove_file(&daemon.settings.socket);
    let _ = timeout(CONSOLE, async {
        while !daemon.console.flush() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    action
}
