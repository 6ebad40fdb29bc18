//! `doctor`: what is wrong with this machine or the device, and how to mend it. It changes nothing.
//!
//! Facts are gathered here; [`findings`] judges them, and does nothing else.

mod findings;
mod machine;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use vyoma_capabilities::control::{AppStatus, DeviceInfo, Diagnosis, Request, Response};

use crate::apps;
use crate::client::{Client, ManifestForm, Patience};
use crate::exit::{Exit, Failure};
use crate::output::{Align, Cell, Output, Style, Table};
use crate::target::Target;
use crate::targets;

use findings::Device;
pub(crate) use findings::{Finding, Level};

/// `doctor`
pub(crate) fn doctor(
    words: &[String],
    timeout: Option<Duration>,
    out: &mut Output,
) -> Result<(), Failure> {
    let place = targets::only(words, "doctor");
    let name = place
        .as_ref()
        .map_or_else(|_| words.join(" "), |place| place.name.clone());
    let mut all = machine::findings(place.as_ref().ok().map(|place| &place.target));
    match place.and_then(|place| look(&place.target, timeout)) {
        Ok(found) => all.extend(found),
        Err(failure) => all.push(Finding::unreachable(&name, &failure)),
    }
    all.sort_by_key(|finding| finding.level);
    let wrong = all.iter().filter(|one| one.level == Level::Wrong).count();
    if out.is_json() {
        out.json(&json!({ "wrong": wrong, "findings": all }))?;
    } else {
        show(&all, out)?;
    }
    if wrong == 0 {
        return Ok(());
    }
    out.flush()?;
    let things = if wrong == 1 { "thing is" } else { "things are" };
    Err(Failure::new(
        Exit::Wrong,
        format!("{wrong} {things} wrong; each line above says what to do"),
    ))
}

fn look(target: &Target, timeout: Option<Duration>) -> Result<Vec<Finding>, Failure> {
    let mut client = Client::open(target, timeout)?;
    let info = client.info()?;
    let apps = apps::list(&mut client)?;
    Ok(of_device(&mut client, &info, &apps))
}

/// What is wrong with a device that answers.
pub(crate) fn of_device(
    client: &mut Client,
    info: &DeviceInfo,
    apps: &[AppStatus],
) -> Vec<Finding> {
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
    let mut device = Device {
        version: client.version.clone(),
        now_ms,
        disk: None,
        has_watchdog: None,
    };
    // A microcontroller has neither; what a device does not tell is not judged.
    if client.manifest_form() == ManifestForm::Text {
        let _ = diagnose(client, &mut device);
    }
    findings::of(info, apps, &device)
}

fn diagnose(client: &mut Client, device: &mut Device) -> Result<(), Failure> {
    client.send(&Request::Diagnose { logs: false })?;
    loop {
        match client.answer(Patience::Prompt)? {
            Response::Done => return Ok(()),
            Response::Diagnosis(Diagnosis::Disk { total_kb, free_kb }) => {
                device.disk = Some((total_kb, free_kb));
            }
            Response::Diagnosis(Diagnosis::Watchdog(watchdog)) => {
                device.has_watchdog = Some(watchdog.is_some());
            }
            Response::Diagnosis(_) => {}
            other => return Err(client.unexpected(&other)),
        }
    }
}

fn show(all: &[Finding], out: &mut Output) -> Result<(), Failure> {
    if all.is_empty() {
        return out.line("nothing is wrong");
    }
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    for finding in all {
        let (style, level) = match finding.level {
            Level::Wrong => (Style::Bad, "wrong"),
            Level::Note => (Style::Warn, "note"),
        };
        table.row(vec![
            Cell::styled(style, level),
            Cell::new(&finding.about),
            Cell::new(format!("{}; {}", finding.what, finding.remedy)),
        ]);
    }
    out.table(&table)
}
