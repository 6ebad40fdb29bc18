//! `top`: what the apps use, look after look. On a terminal each look is drawn over the one before it.
//!
//! It leaves the terminal as it is (no alternate screen, no hidden cursor, no raw mode), so that Ctrl-C at any moment needs no
//! tidying up.

use std::collections::HashMap;
use std::time::Instant;

use serde::Serialize;
use vyoma_capabilities::control::{AppStatus, DeviceInfo};

use crate::apps;
use crate::cli::TopArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::output::{Align, Cell, Output, Style, Table, clean, cut};
use crate::units;

/// Cursor to the upper left corner.
const HOME: &str = "\x1b[H";
/// Clears from the cursor to the end of the screen.
const CLEAR_REST: &str = "\x1b[J";
/// Clears all of the screen.
const CLEAR_ALL: &str = "\x1b[2J";
/// Lines around the app rows: the device's line, an empty one, the head, and the line that says how many more there are.
const FRAME_LINES: usize = 4;

/// One look at the device.
pub(crate) struct Look {
    at: Instant,
    pub(crate) info: DeviceInfo,
    apps: Vec<AppStatus>,
}

/// An app in a look, with what can only be told from two of them.
#[derive(Debug, Serialize)]
pub(crate) struct Usage<'a> {
    #[serde(flatten)]
    pub(crate) status: &'a AppStatus,
    /// Percent of one core since the look before; in the first look since the run started.
    pub(crate) cpu_percent: Option<f64>,
    /// Host calls a second, likewise.
    pub(crate) calls_per_second: Option<f64>,
}

/// `top`
pub(crate) fn top(client: &mut Client, args: &TopArgs, out: &mut Output) -> Result<(), Failure> {
    let live = out.is_terminal() && !out.is_json();
    let count = args.count.unwrap_or(if live { u64::MAX } else { 1 });
    let mut before: Option<Look> = None;
    for number in 0..count {
        if number > 0 {
            std::thread::sleep(args.interval);
        }
        let look = look(client)?;
        let mut usage = usage(&look, before.as_ref());
        if out.is_json() {
            out.json(&serde_json::json!({ "device": look.info, "apps": usage }))?;
        } else {
            usage.sort_by(|a, b| {
                let cpu = |usage: &Usage| usage.cpu_percent.unwrap_or(-1.0);
                cpu(b)
                    .total_cmp(&cpu(a))
                    .then_with(|| a.status.name.cmp(&b.status.name))
            });
            if live {
                out.raw(if number == 0 { CLEAR_ALL } else { "" })?;
                out.raw(HOME)?;
                out.raw(CLEAR_REST)?;
            } else if number > 0 {
                out.line("")?;
            }
            show(&look.info, &usage, live, out)?;
        }
        out.flush()?;
        drop(usage);
        before = Some(look);
    }
    Ok(())
}

/// Looks at the device.
pub(crate) fn look(client: &mut Client) -> Result<Look, Failure> {
    let info = client.info()?;
    let apps = apps::list(client)?;
    Ok(Look {
        at: Instant::now(),
        info,
        apps,
    })
}

/// What each app used since the look before.
pub(crate) fn usage<'a>(look: &'a Look, before: Option<&Look>) -> Vec<Usage<'a>> {
    let earlier: HashMap<&str, &AppStatus> = before
        .map(|before| {
            before
                .apps
                .iter()
                .map(|app| (app.name.as_str(), app))
                .collect()
        })
        .unwrap_or_default();
    let elapsed_ms = before.map_or(0.0, |before| {
        look.at.duration_since(before.at).as_secs_f64() * 1000.0
    });
    look.apps
        .iter()
        .map(|app| {
            // Only the same run can be compared with itself.
            let same = earlier
                .get(app.name.as_str())
                .filter(|old| old.pid == app.pid && app.pid.is_some());
            let (from_cpu, from_calls, span) = match same {
                Some(old) => (old.cpu_ms.unwrap_or(0), old.host_calls, elapsed_ms),
                None => (0, 0, app.uptime_ms.map_or(0.0, |uptime| uptime as f64)),
            };
            let rate =
                |now: u64, from: u64| (span > 0.0).then(|| now.saturating_sub(from) as f64 / span);
            Usage {
                status: app,
                cpu_percent: app
                    .cpu_ms
                    .and_then(|cpu| rate(cpu, from_cpu))
                    .map(|rate| rate * 100.0),
                calls_per_second: app
                    .uptime_ms
                    .and_then(|_| rate(app.host_calls, from_calls))
                    .map(|rate| rate * 1000.0),
            }
        })
        .collect()
}

fn show(info: &DeviceInfo, usage: &[Usage], live: bool, out: &mut Output) -> Result<(), Failure> {
    let size = if live { out.size() } else { None };
    let head = clean(&format!(
        "{} {}  up {}  {} of {} apps running (at most {})  memory {} of {} free  daemon {}",
        info.hostname,
        info.platform,
        units::duration(info.uptime_ms),
        info.running,
        info.apps,
        info.max_apps,
        units::kib(info.memory_available_kb),
        units::kib(info.memory_total_kb),
        info.daemon_pss_kb
            .map_or_else(|| "-".to_owned(), units::kib),
    ));
    out.line(&size.map_or_else(|| head.clone(), |(columns, _)| cut(&head, columns)))?;
    out.line("")?;
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("PHASE", Align::Left),
        ("CPU%", Align::Right),
        ("MEMORY", Align::Right),
        ("CALLS/S", Align::Right),
        ("CALLS", Align::Right),
        ("RESTARTS", Align::Right),
        ("DROPPED", Align::Right),
        ("UPTIME", Align::Right),
    ]);
    let figure = |value: Option<f64>| {
        value.map_or_else(Cell::dash, |value| Cell::new(format!("{value:.1}")))
    };
    for app in usage {
        table.row(vec![
            Cell::new(&app.status.name),
            apps::phase(app.status.phase),
            figure(app.cpu_percent),
            apps::optional(app.status.pss_kb, units::kib),
            figure(app.calls_per_second),
            Cell::new(app.status.host_calls.to_string()),
            apps::counted(app.status.restarts.into()),
            apps::counted(app.status.dropped_lines),
            apps::optional(app.status.uptime_ms, units::duration),
        ]);
    }
    let hidden = size.map_or(0, |(_, rows)| {
        table.truncate(rows.saturating_sub(FRAME_LINES))
    });
    out.table(&table)?;
    if hidden > 0 {
        let more = out.paint(Style::Dim, &format!("and {hidden} more"));
        out.raw(&more)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vyoma_capabilities::lifecycle::Phase;

    use super::*;

    fn app(pid: u32, uptime_ms: u64, cpu_ms: u64, host_calls: u64) -> AppStatus {
        AppStatus {
            name: "hello".to_owned(),
            version: "1".to_owned(),
            sha256: String::new(),
            phase: Phase::Running,
            last_ending: None,
            restarts: 0,
            pid: Some(pid),
            uptime_ms: Some(uptime_ms),
            pss_kb: None,
            cpu_ms: Some(cpu_ms),
            host_calls,
            dropped_lines: 0,
            unavailable: Vec::new(),
            execution: None,
            versions: None,
        }
    }

    fn look(at: Instant, app: AppStatus) -> Look {
        let info = serde_json::from_value(serde_json::json!({
            "platform": "mobile", "version": "0", "engine": "", "arch": "", "hostname": "h", "kernel": "", "mode": "hosted",
            "uptime_ms": 1, "time_ms": 1, "apps": 1, "running": 1, "max_apps": 1, "daemon_pss_kb": null,
            "memory_total_kb": 1, "memory_available_kb": 1, "data": "", "last_epitaph": null, "addresses": []
        }));
        Look {
            at,
            info: info.expect("DeviceInfo"),
            apps: vec![app],
        }
    }

    #[test]
    fn the_first_look_shows_the_mean_of_the_run_and_later_ones_what_happened_since() {
        let start = Instant::now();
        let first = look(start, app(7, 10_000, 1000, 50));
        let mean = &usage(&first, None)[0];
        assert_eq!(mean.cpu_percent, Some(10.0));
        assert_eq!(mean.calls_per_second, Some(5.0));
        let second = look(start + Duration::from_secs(2), app(7, 12_000, 2000, 150));
        let since = &usage(&second, Some(&first))[0];
        assert_eq!(since.cpu_percent, Some(50.0));
        assert_eq!(since.calls_per_second, Some(50.0));
    }

    #[test]
    fn a_restarted_app_is_not_compared_with_its_former_run() {
        let start = Instant::now();
        let first = look(start, app(7, 10_000, 9000, 50));
        let second = look(start + Duration::from_secs(2), app(8, 1000, 100, 1));
        let since = &usage(&second, Some(&first))[0];
        assert_eq!(since.cpu_percent, Some(10.0));
    }

    #[test]
    fn an_app_that_just_started_has_no_rate_yet() {
        let first = look(Instant::now(), app(7, 0, 0, 0));
        assert_eq!(usage(&first, None)[0].cpu_percent, None);
    }
}
