//! What someone needs who is to find a fault from afar: disk, watchdog, how apps ended, all logs, events, the kernel's messages.
//!
//! It may end up in a bug report that strangers read. So the values of the apps' environments, where secrets are kept, are
//! taken out here, where they are known, and nothing of manifests, arguments, data or keys is in it.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::sys::statvfs::statvfs;
use vyoma_capabilities::control::{DeviceEvent, Diagnosis, LogLine, Response};

use super::connection::{Closed, Connection};
use crate::daemon::epitaphs;
use crate::daemon::state::{Daemon, Mode, Shared};

/// Shorter values are words like `1` or `yes`: taking them out would leave no line as it was, and hide nothing.
const SHORTEST_SECRET: usize = 4;
/// Most messages of the kernel: those of a boot, and what came after it.
const KERNEL_LINES: usize = 1000;
/// Longest record of `/dev/kmsg`: what the kernel documents (CONSOLE_EXT_LOG_MAX).
const KERNEL_RECORD: usize = 8192;

/// Sends everything; [`Response::Done`] is the caller's.
pub(crate) async fn send(daemon: &Shared, connection: &mut Connection) -> Result<(), Closed> {
    let secrets = Secrets::of(daemon);
    for diagnosis in device(daemon) {
        connection.send(&Response::Diagnosis(diagnosis)).await?;
    }
    for event in daemon.events.recent() {
        let event = DeviceEvent {
            detail: secrets.hide(&event.detail),
            ..DeviceEvent::clone(&event)
        };
        let event = Diagnosis::Event(event);
        connection.send(&Response::Diagnosis(event)).await?;
    }
    for app in daemon.all_apps() {
        if let Some(epitaph) = epitaphs::text(daemon, &app.name) {
            let epitaph = Diagnosis::Epitaph {
                app: app.name.to_string(),
                document: secrets.hide(&epitaph),
            };
            connection.send(&Response::Diagnosis(epitaph)).await?;
        }
        // App by app, as `logs --previous` does: all files at once would be the memory of a small device.
        let earlier = app.log.earlier().into_iter();
        let recent = app.log.recent();
        let earlier = earlier.map(|line| (true, line));
        let recent = recent.iter().map(|entry| (false, entry.to_line()));
        for (previous, line) in earlier.chain(recent) {
            let line = LogLine {
                text: secrets.hide(&line.text),
                ..line
            };
            let line = Diagnosis::Log { previous, line };
            connection.send(&Response::Diagnosis(line)).await?;
        }
    }
    for line in kernel(daemon) {
        let line = Diagnosis::Kernel(secrets.hide(&line));
        connection.send(&Response::Diagnosis(line)).await?;
    }
    Ok(())
}

/// The device itself, in few bytes: what `vyomactl doctor` needs. Enough for a look, without any log.
pub(crate) fn device(daemon: &Daemon) -> Vec<Diagnosis> {
    let mut all = Vec::new();
    if let Ok(disk) = statvfs(&daemon.settings.state) {
        let kb = |blocks: u64| blocks.saturating_mul(disk.fragment_size()) / 1024;
        all.push(Diagnosis::Disk {
            total_kb: kb(disk.blocks()),
            free_kb: kb(disk.blocks_available()),
        });
    }
    all.push(Diagnosis::Watchdog(daemon.watchdog.borrow().clone()));
    all
}

/// Values that must not be seen, and what stands in their place.
struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// The values of all environments.
    fn of(daemon: &Daemon) -> Self {
        let mut all = Vec::new();
        for app in daemon.all_apps() {
            for (name, value) in &app.package().manifest.app.env {
                all.push((value.clone(), format!("[value of {name} of {}]", app.name)));
            }
        }
        Self::new(all)
    }

    fn new(mut all: Vec<(String, String)>) -> Self {
        all.retain(|(value, _)| value.trim().len() >= SHORTEST_SECRET);
        // A value that is part of a longer one must not leave the rest of it.
        all.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self(all)
    }

    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.0 {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), name);
            }
            // An epitaph is JSON, in which the value may stand with escapes.
            if let Ok(json) = serde_json::to_string(value) {
                // Without the quotes around it; one at its end may be the value's own.
                let escaped = &json[1..json.len() - 1];
                if escaped != value && text.contains(escaped) {
                    text = text.replace(escaped, name);
                }
            }
        }
        text
    }
}

/// The kernel's messages, oldest first. A developer's machine keeps its own to itself.
fn kernel(daemon: &Daemon) -> Vec<String> {
    if daemon.settings.mode != Mode::Pid1 {
        return Vec::new();
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg");
    let Ok(mut file) = file else {
        return Vec::new();
    };
    let mut lines = VecDeque::new();
    let mut record = vec![0; KERNEL_RECORD];
    loop {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(count) => {
                lines.extend(message(&String::from_utf8_lossy(&record[..count])));
                if lines.len() > KERNEL_LINES {
                    lines.pop_front();
                }
            }
            // Records were overwritten while we read: the next read goes on with the oldest that is left.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            // No more for now.
            Err(_) => break,
        }
    }
    lines.into()
}

/// `[   12.345678] text` of a record `6,1234,12345678,-;text`, and its lines of properties left out.
fn message(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let micros: u64 = head.split(',').nth(2)?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default();
    Some(format!(
        "[{:5}.{:06}] {text}",
        micros / 1_000_000,
        micros % 1_000_000
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_environments_are_hidden_wherever_they_stand() {
        let secrets = Secrets::new(vec![
            ("hunter2".into(), "[A]".into()),
            ("hunter2-and-more".into(), "[B]".into()),
            ("say \"please\"".into(), "[C]".into()),
            ("1".into(), "[D]".into()),
            ("    ".into(), "[E]".into()),
        ]);
        for (text, hidden) in [
            ("log in with hunter2, hunter2!", "log in with [A], [A]!"),
            ("xhunter2-and-morex", "x[B]x"),
            ("{\"line\":\"say \\\"please\\\"\"}", "{\"line\":\"[C]\"}"),
            ("1 of 11    done", "1 of 11    done"),
        ] {
            assert_eq!(secrets.hide(text), hidden);
        }
    }

    #[test]
    fn a_record_of_the_kernel_is_a_line_with_its_time() {
        assert_eq!(
            message("6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n").as_deref(),
            Some("[    5.140900] NET: Registered")
        );
        for nonsense in ["", "6,339;x", "a;b", "1,2,x,-;y"] {
            assert_eq!(message(nonsense), None, "{nonsense}");
        }
    }
}
