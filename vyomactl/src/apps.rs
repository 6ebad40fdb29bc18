//! `ps`, and the commands that change one app: `start`, `stop`, `restart`, `remove`, `send`.

use std::io::Read as _;

use serde_json::json;
use vyoma_capabilities::control::{AppStatus, MAX_SEND, Request, Response};
use vyoma_capabilities::lifecycle::{Ending, Phase};

use crate::cli::{RemoveArgs, SendArgs};
use crate::client::{Client, Patience};
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table, clean};
use crate::units;
use crate::versions;

/// Hex digits of a hash in a table: enough to tell versions apart by eye; JSON has all 64.
const HASH_SHOWN: usize = 12;

/// `ps`
pub(crate) fn ps(client: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let mut apps = list(client)?;
    if out.is_json() {
        return out.json(&apps);
    }
    apps.sort_by(|a, b| a.name.cmp(&b.name));
    if apps.is_empty() {
        return out.line("no apps: add one with `vyomactl install DIR`");
    }
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("VERSION", Align::Left),
        ("PHASE", Align::Left),
        ("UPTIME", Align::Right),
        ("RESTARTS", Align::Right),
        ("MEMORY", Align::Right),
        ("CPU", Align::Right),
        ("CALLS", Align::Right),
        ("DROPPED", Align::Right),
        ("SHA-256", Align::Left),
        ("WITHOUT", Align::Left),
        ("LAST END", Align::Left),
        ("VERSIONS", Align::Left),
    ]);
    for app in &apps {
        table.row(vec![
            Cell::new(&app.name),
            Cell::new(&app.version),
            phase(app.phase),
            optional(app.uptime_ms, units::duration),
            counted(app.restarts.into()),
            optional(app.pss_kb, units::kib),
            optional(app.cpu_ms, units::duration),
            Cell::new(app.host_calls.to_string()),
            counted(app.dropped_lines),
            Cell::styled(
                Style::Dim,
                app.sha256.chars().take(HASH_SHOWN).collect::<String>(),
            ),
            Cell::new(app.unavailable.join(",")),
            ending(app.last_ending.as_ref()),
            versions::cell(app),
        ]);
    }
    out.table(&table)
}

/// What to do with an app.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// `start`
    Start,
    /// `stop`
    Stop,
    /// `restart`
    Restart,
}

/// `start`, `stop`, `restart`
pub(crate) fn change(
    client: &mut Client,
    change: Change,
    app: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let app = app.to_owned();
    let (request, action, done) = match change {
        Change::Start => (Request::Start { app: app.clone() }, "start", "started"),
        Change::Stop => (Request::Stop { app: app.clone() }, "stop", "stopped"),
        Change::Restart => (
            Request::Restart { app: app.clone() },
            "restart",
            "restarted",
        ),
    };
    client.command(&request, Patience::Ending)?;
    report(out, &app, action, done)
}

/// `send`
pub(crate) fn send(client: &mut Client, args: &SendArgs, out: &mut Output) -> Result<(), Failure> {
    let text = match &args.line {
        Some(line) => format!("{line}\n"),
        None => read_text()?,
    };
    let request = Request::Send {
        app: args.app.clone(),
        text,
        end: args.end,
    };
    client.command(&request, Patience::Prompt)?;
    report(out, &args.app, "send", "sent")
}

/// What stands on standard input, if a device takes as much at once.
fn read_text() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(MAX_SEND as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(Exit::Local, format!("standard input: {error}")))?;
    if bytes.len() > MAX_SEND {
        return Err(Failure::new(
            Exit::Invalid,
            format!(
                "standard input: more than {MAX_SEND} bytes, which is the most that an app takes at once; send it in parts"
            ),
        ));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(Exit::Invalid, "standard input: not UTF-8".to_owned()))
}

/// `remove`
pub(crate) fn remove(
    client: &mut Client,
    args: &RemoveArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let request = Request::Remove {
        app: args.app.clone(),
        keep_data: args.keep_data,
    };
    client.command(&request, Patience::Ending)?;
    let done = if args.keep_data {
        "removed; its data was kept"
    } else {
        "removed"
    };
    report(out, &args.app, "remove", done)
}

fn report(out: &mut Output, app: &str, action: &str, done: &str) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json!({ "done": action, "app": app }));
    }
    out.line(&format!("{}: {done}", clean(app)))
}

/// Asks for all apps.
pub(crate) fn list(client: &mut Client) -> Result<Vec<AppStatus>, Failure> {
    match client.call(&Request::Ps, Patience::Prompt)? {
        Response::Apps(apps) => Ok(apps),
        other => Err(client.unexpected(&other)),
    }
}

/// A phase in its colour.
pub(crate) fn phase(phase: Phase) -> Cell {
    match phase {
        Phase::Starting => Cell::styled(Style::Warn, "starting"),
        Phase::Running => Cell::styled(Style::Good, "running"),
        Phase::Stopping => Cell::styled(Style::Warn, "stopping"),
        Phase::Backoff => Cell::styled(Style::Warn, "backoff"),
        Phase::Exited => Cell::new("exited"),
        Phase::Stopped => Cell::styled(Style::Dim, "stopped"),
        Phase::Quarantined => Cell::styled(Style::Bad, "quarantined"),
    }
}

fn ending(ending: Option<&Ending>) -> Cell {
    match ending {
        None => Cell::dash(),
        Some(ending) if ending.is_failure() => Cell::styled(Style::Bad, ending.to_string()),
        Some(ending) => Cell::new(ending.to_string()),
    }
}

/// A count that should be 0.
pub(crate) fn counted(count: u64) -> Cell {
    let style = if count == 0 {
        Style::Plain
    } else {
        Style::Warn
    };
    Cell::styled(style, count.to_string())
}

/// A figure that the device may not have.
pub(crate) fn optional(value: Option<u64>, show: impl Fn(u64) -> String) -> Cell {
    value.map_or_else(Cell::dash, |value| Cell::new(show(value)))
}
