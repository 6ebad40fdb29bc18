//! `info`, `shutdown` and `reboot`: the device itself.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::json;
use vyoma_capabilities::control::Request;

use crate::client::{Client, Patience};
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table, clean};
use crate::units;

/// `info`
pub(crate) fn info(client: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let info = client.info()?;
    if out.is_json() {
        return out.json(&info);
    }
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let mut row = |name, value| table.row(vec![Cell::label(name), value]);
    row("host name", Cell::new(&info.hostname));
    row("platform", Cell::new(&info.platform));
    row(
        "vyomad",
        Cell::new(format!("{} ({})", info.version, info.mode)),
    );
    row("engine", Cell::new(&info.engine));
    row("architecture", Cell::new(&info.arch));
    row("kernel", Cell::new(&info.kernel));
    row("up", Cell::new(units::duration(info.uptime_ms)));
    row("clock (UTC)", Cell::new(units::time(info.time_ms)));
    row(
        "apps",
        Cell::new(format!(
            "{}, {} running, at most {} at once",
            info.apps, info.running, info.max_apps
        )),
    );
    row(
        "memory",
        Cell::new(format!(
            "{} of {} free",
            units::kib(info.memory_available_kb),
            units::kib(info.memory_total_kb)
        )),
    );
    row(
        "daemon",
        info.daemon_pss_kb
            .map_or_else(Cell::dash, |kib| Cell::new(units::kib(kib))),
    );
    row(
        "data",
        match info.data.as_str() {
            "tmpfs" => Cell::styled(
                Style::Warn,
                "tmpfs: forgotten at power-off, see `vyomactl events`",
            ),
            data => Cell::new(data),
        },
    );
    row("addresses", Cell::new(info.addresses.join(", ")));
    row(
        "last epitaph",
        info.last_epitaph
            .as_ref()
            .map_or_else(Cell::dash, |epitaph| Cell::styled(Style::Bad, epitaph)),
    );
    out.table(&table)
}

/// Ways to end a device.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// Power off.
    Shutdown,
    /// Start anew.
    Reboot,
}

/// `shutdown`, `reboot`
pub(crate) fn end(
    client: &mut Client,
    end: End,
    yes: bool,
    out: &mut Output,
) -> Result<(), Failure> {
    let (request, action, question, done) = match end {
        End::Shutdown => (
            Request::Shutdown,
            "shutdown",
            "Shut down",
            "is shutting down",
        ),
        End::Reboot => (Request::Reboot, "reboot", "Reboot", "is rebooting"),
    };
    let device = clean(&format!("{} at {}", client.platform, client.place()));
    if !yes && !out.is_captured() && io::stdin().is_terminal() && io::stderr().is_terminal() {
        confirm(&format!("{question} {device}?"), action)?;
    }
    client.command(&request, Patience::Ending)?;
    if out.is_json() {
        return out.json(&json!({ "done": action, "platform": client.platform }));
    }
    out.line(&format!("{device} {done}"))
}

/// Asks once for several devices, where there is somebody to ask.
pub(crate) fn confirm_all(end: End, count: usize, yes: bool) -> Result<(), Failure> {
    let (question, action) = match end {
        End::Shutdown => ("Shut down", "shutdown"),
        End::Reboot => ("Reboot", "reboot"),
    };
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    confirm(&format!("{question} {count} devices?"), action)
}

/// Asks on the terminal; anything but yes is no.
fn confirm(question: &str, action: &str) -> Result<(), Failure> {
    let mut terminal = io::stderr();
    let _ = write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| {
        Failure::new(
            Exit::Local,
            format!("cannot read the answer: {error}; use --yes"),
        )
    })?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Local,
        format!("{action}: answered no, nothing was done; use --yes to do it without a question"),
    ))
}
