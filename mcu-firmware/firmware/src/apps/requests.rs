//! `@supervisor:` requests of apps, answered on their stdin with `REPLY:...`, as on Linux. What needs a capability is
//! refused without it, by name; what nobody knows is answered too, so that no app waits for ever.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use embassy_time::Instant;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::lines::{self, SupervisorRequest};

use super::output::cut;
use super::{App, Device, Order, TooMany, now_ms};

/// Most bytes of shared text.
const CLIPBOARD: usize = 128;

/// The whole answer, as one line.
pub(super) async fn answer(device: &'static Device, app: &Rc<App>, text: &str) -> String {
    let request = lines::parse_request(text);
    let verb = lines::request_verb(text);
    if let Some(capability) = request.needs()
        && !app.grants.has(capability)
    {
        return lines::refusal(verb, capability);
    }
    lines::reply(&cut(payload(device, app, verb, request).await))
}

async fn payload(
    device: &'static Device,
    app: &Rc<App>,
    verb: &str,
    request: SupervisorRequest<'_>,
) -> String {
    use SupervisorRequest as R;
    match request {
        R::Platform => device.profile.name.clone(),
        R::Ping => "pong".into(),
        R::Version => env!("CARGO_PKG_VERSION").into(),
        R::Uptime => Instant::now().as_secs().to_string(),
        R::List => join(device, |app| Some(app.name().into())),
        R::MemoryInfo => {
            let free = device.pool.borrow().free() / 1024;
            let total = device.profile.ram_kb;
            format!("memory-info total_kb:{total}|available_kb:{free}")
        }
        R::Notify { title, message } => {
            let text = format!("{title}: {message}");
            device.event(Some(app.name()), "notification", &text).await;
            "notified".into()
        }
        R::ClipboardSet(text) => {
            let text = &text[..text.floor_char_boundary(CLIPBOARD)];
            text.clone_into(&mut device.clipboard.borrow_mut());
            "clipboard-set ok".into()
        }
        R::ClipboardGet => format!("clipboard:{}", device.clipboard.borrow()),
        R::ClipboardClear => {
            device.clipboard.borrow_mut().clear();
            "clipboard-clear ok".into()
        }
        R::Ps => join(device, |app| {
            Some(format!("{}:{}", app.name(), word(app.phase())))
        }),
        R::PsRaw => {
            let running = join(device, |app| {
                let machine = app.machine.borrow();
                let seconds = (now_ms() - machine.running_since()?) / 1000;
                Some(format!(
                    "{}:run:{seconds}:{}",
                    app.name(),
                    machine.restarts()
                ))
            });
            format!("ps-raw {running}")
        }
        R::Status => {
            let apps = device.apps.borrow();
            let running = apps
                .iter()
                .filter(|app| app.machine.borrow().running_since().is_some());
            format!("{{\"running\":{}}}", running.count())
        }
        R::Run(name) => order(device, name, Order::Start, "launched"),
        R::Kill(name) => order(device, name, Order::Stop, "killed"),
        R::Restart(name) => order(device, name, Order::Restart, "restarted"),
        R::DnsResolve(_) | R::HttpGet(_) => format!("error: {verb} needs a network"),
        R::NeedsDisplay(_) => format!("error: {verb} needs a display, and none is open"),
        R::Log(_) | R::Reload | R::LogLevel(_) | R::Shutdown | R::Reboot => {
            format!("error: {verb} is not on this platform")
        }
        R::Unknown(_) => format!("error: unknown request {verb}"),
    }
}

fn join(device: &'static Device, item: impl Fn(&App) -> Option<String>) -> String {
    let apps = device.apps.borrow();
    let items: Vec<String> = apps.iter().filter_map(|app| item(app)).collect();
    items.join("|")
}

fn order(device: &'static Device, name: &str, order: Order, done: &str) -> String {
    match device.app(name) {
        Some(app) => match device.order(&app, order) {
            Ok(()) => format!("{done} {name}"),
            Err(TooMany) => format!("error: {}", device.too_many()),
        },
        None => format!("error: no app {name}"),
    }
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
