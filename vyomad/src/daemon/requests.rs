//! `@supervisor:` requests of apps, answered on their stdin with `REPLY:...`. What needs a capability is refused
//! without it, by name; what nobody knows is answered too, so that no app waits for ever.

use std::rc::Rc;

use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::lines::{self, MAX_LINE, SupervisorRequest};

use super::apps::App;
use super::state::Shared;
use super::{cgroup, fetch, operate};
use crate::init::cmdline::LogLevel;
use crate::init::power::PowerAction;

/// Most bytes of shared text: a page or two.
const CLIPBOARD: usize = 4096;
/// Lines of another app's log in one answer.
const LOG_LINES: usize = 20;

/// The whole answer, as one line.
pub(crate) async fn answer(daemon: &Shared, app: &Rc<App>, text: &str) -> String {
    let request = lines::parse_request(text);
    let verb = lines::request_verb(text);
    if let Some(capability) = request.needs() {
        let granted = app.package().resolution.grants.has(capability);
        app.uses.note(capability, granted);
        if !granted {
            return lines::refusal(verb, capability);
        }
    }
    let mut payload = payload(daemon, app, verb, request).await;
    // No line is longer than an app may print itself.
    payload.truncate(payload.floor_char_boundary(MAX_LINE));
    lines::reply(&payload)
}

async fn payload(
    daemon: &Shared,
    app: &Rc<App>,
    verb: &str,
    request: SupervisorRequest<'_>,
) -> String {
    use SupervisorRequest as R;
    match request {
        R::Platform => daemon.settings.profile.name.clone(),
        R::Ping => "pong".into(),
        R::Version => env!("CARGO_PKG_VERSION").into(),
        R::Uptime => daemon.started.elapsed().as_secs().to_string(),
        R::List => join(daemon, |app| Some(app.name.to_string())),
        R::MemoryInfo => {
            let kb = |key| cgroup::meminfo(key).unwrap_or(0);
            format!(
                "memory-info total_kb:{}|available_kb:{}",
                kb("MemTotal:"),
                kb("MemAvailable:")
            )
        }
        R::Notify { title, message } => {
            daemon.event(
                Some(&app.name),
                "notification",
                &format!("{title}: {message}"),
            );
            "notified".into()
        }
        R::ClipboardSet(text) => {
            let text = &text[..text.floor_char_boundary(CLIPBOARD)];
            text.clone_into(&mut daemon.clipboard.borrow_mut());
            "clipboard-set ok".into()
        }
        R::ClipboardGet => format!("clipboard:{}", daemon.clipboard.borrow()),
        R::ClipboardClear => {
            daemon.clipboard.borrow_mut().clear();
            "clipboard-clear ok".into()
        }
        R::DnsResolve(host) => fetch::resolve(daemon, host).await,
        R::HttpGet(url) => fetch::get(daemon, url).await,
        R::Ps => join(daemon, |app| {
            Some(format!("{}:{}", app.name, word(app.phase())))
        }),
        R::PsRaw => {
            let running = join(daemon, |app| {
                let run = app.run()?;
                let restarts = app.machine.borrow().restarts();
                Some(format!(
                    "{}:run:{}:{restarts}",
                    app.name,
                    run.started.elapsed().as_secs()
                ))
            });
            format!("ps-raw {running}")
        }
        R::Status => {
            let running = daemon
                .all_apps()
                .iter()
                .filter(|app| app.run().is_some())
                .count();
            format!("{{\"running\":{running}}}")
        }
        R::Run(manifest) => run(daemon, manifest),
        // In the background: an app that stops itself must not wait for its own end.
        R::Kill(name) => done(
            operate::find(daemon, name).map(|_| stop_later(daemon, name)),
            &format!("killed {name}"),
        ),
        R::Restart(name) => done(operate::restart(daemon, name), &format!("restarted {name}")),
        R::Log(name) => match operate::find(daemon, name) {
            Ok(app) => app
                .log
                .last(LOG_LINES)
                .iter()
                .map(|entry| &*entry.text)
                .collect::<Vec<_>>()
                .join("|"),
            Err(error) => format!("error: {error}"),
        },
        R::Reload => format!("reloaded {}", operate::reload(daemon)),
        R::LogLevel(level) => set_level(daemon, level),
        R::Shutdown => {
            daemon.end(PowerAction::PowerOff);
            "shutting down".into()
        }
        R::Reboot => {
            daemon.end(PowerAction::Reboot);
            "rebooting".into()
        }
        R::NeedsDisplay(_) => format!("error: {verb} needs a display, and none is open"),
        R::Unknown(_) => format!("error: unknown request {verb}"),
    }
}

fn join(daemon: &Shared, item: impl Fn(&App) -> Option<String>) -> String {
    daemon
        .all_apps()
        .iter()
        .filter_map(|app| item(app))
        .collect::<Vec<_>>()
        .join("|")
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
        Phase::Backoff => "backoff",
        Phase::Exited => "exited",
        Phase::Stopped => "stopped",
        Phase::Quarantined => "quarantined",
    }
}

fn done<T, E: std::fmt::Display>(outcome: Result<T, E>, words: &str) -> String {
    match outcome {
        Ok(_) => words.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

fn stop_later(daemon: &Shared, name: &str) {
    let (daemon, name) = (Rc::clone(daemon), name.to_string());
    tokio::task::spawn_local(async move {
        if let Err(error) = operate::stop(&daemon, &name).await {
            daemon.event(Some(&name), "warning", &error.message);
        }
    });
}

/// `run <manifest>`: an app that is known, by its name or by the path of its manifest. Nothing is read from a path that
/// an app names.
fn run(daemon: &Shared, wanted: &str) -> String {
    let known =
        |app: &Rc<App>| *app.name == *wanted || app.package().manifest_path.as_os_str() == wanted;
    match daemon.all_apps().into_iter().find(known) {
        Some(app) => done(
            operate::start(daemon, &app.name),
            &format!("launched {}", app.name),
        ),
        None => format!("error: no app {wanted}"),
    }
}

fn set_level(daemon: &Shared, level: &str) -> String {
    let level = match level {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        _ => {
            return format!("error: found loglevel {level:?}; expected error, warn, info or debug");
        }
    };
    daemon.console.set_level(level);
    "loglevel ok".into()
}
