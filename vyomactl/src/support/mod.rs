//! `support`: one archive for a bug report. What the device is, what runs, how apps ended, what they and the kernel said; no
//! data, no manifests, no environments, no keys.

mod scrub;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::json;
use vyoma_capabilities::control::{DeviceEvent, DeviceInfo, Diagnosis, LogLine, Request, Response};

use crate::apps;
use crate::caps;
use crate::cli::SupportArgs;
use crate::client::{Client, ManifestForm, Patience, plain};
use crate::doctor;
use crate::exit::{Exit, Failure};
use crate::output::{Output, clean};
use crate::units;

use scrub::{Scrubber, text_without_secrets};

/// Most bytes of the archive before it is packed: the logs of 200 apps, twice. What comes after is left out, and that is said.
const MOST: usize = 256 * 1024 * 1024;

/// For whoever opens the archive.
const README: &str = "\
What `vyomactl support` collected for a bug report. One JSON document a line in *.jsonl.

about.json          versions, and what this archive is about
info.json           the device
ps.json             its apps
caps/APP.json       capabilities granted, used, denied
findings.json       what `vyomactl doctor` found
events.jsonl        what happened since the daemon started
logs/APP.jsonl      what apps printed since then; logs/APP.previous.jsonl before that
epitaphs/APP.json   how apps last ended
kernel.txt          the kernel's messages

Not in it: manifests, arguments, environments, data, keys. The values of environments were taken out of all texts by the
device, and what looks like a password, a token or a private key by vyomactl. Have a look before you send it all the same:
only you know what your apps print.
";

/// The files of the archive.
#[derive(Default)]
struct Files {
    by_name: BTreeMap<String, Vec<u8>>,
    bytes: usize,
    /// Documents that did not fit.
    left_out: u64,
}

impl Files {
    /// A file of one document.
    fn document(&mut self, name: &str, document: &impl Serialize) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(document).map_err(|error| {
            Failure::new(Exit::Local, format!("cannot write {name} as JSON: {error}"))
        })?;
        self.add(name, &bytes);
        Ok(())
    }

    /// A document for a file that has one a line.
    fn line(&mut self, name: &str, document: &impl Serialize) -> Result<(), Failure> {
        let mut bytes = serde_json::to_vec(document).map_err(|error| {
            Failure::new(Exit::Local, format!("cannot write {name} as JSON: {error}"))
        })?;
        bytes.push(b'\n');
        self.add(name, &bytes);
        Ok(())
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        if self.bytes + bytes.len() > MOST {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes.len();
        self.by_name
            .entry(name.to_owned())
            .or_default()
            .extend(bytes);
    }

    /// The archive: tar, packed by gzip.
    fn archive(&self, folder: &str, time: u64) -> std::io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, bytes) in &self.by_name {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(time);
            archive.append_data(&mut header, format!("{folder}/{name}"), bytes.as_slice())?;
        }
        archive.into_inner()?.finish()
    }
}

/// `support`
pub(crate) fn support(
    client: &mut Client,
    args: &SupportArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut files = Files::default();
    let info = collect(client, &mut files, time)?;
    let stamp: String = units::time(time * 1000)
        .chars()
        .take(19)
        .filter(char::is_ascii_digit)
        .collect();
    let host: String = info
        .hostname
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(64)
        .collect();
    let name = format!("vyoma-support-{host}-{stamp}");
    let archive = files
        .archive(&name, time)
        .map_err(|error| Failure::new(Exit::Local, format!("cannot make the archive: {error}")))?;
    let path = args
        .file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    write(&path, &archive)?;
    let shown = path.display().to_string();
    if out.is_json() {
        return out.json(&json!({
            "done": "support",
            "file": shown,
            "bytes": archive.len(),
            "files": files.by_name.keys().collect::<Vec<_>>(),
            "left_out": files.left_out,
        }));
    }
    if files.left_out > 0 {
        out.line(&format!(
            "warning: {} documents did not fit and are left out",
            files.left_out
        ))?;
    }
    out.line(&clean(&format!(
        "{shown}: {} in {} files; look at it before you send it",
        units::kib((archive.len() as u64).div_ceil(1024)),
        files.by_name.len()
    )))
}

/// Only for its owner, and never over a file that is there.
fn write(path: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |error: &std::io::Error| {
        Failure::new(
            Exit::Local,
            format!(
                "{}: cannot write the archive: {}; name another file",
                path.display(),
                plain(error)
            ),
        )
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed(&error))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| {
            // Half an archive helps nobody.
            let _ = std::fs::remove_file(path);
            failed(&error)
        })
}

fn collect(client: &mut Client, files: &mut Files, time: u64) -> Result<DeviceInfo, Failure> {
    files.add("README.txt", README.as_bytes());
    let info = client.info()?;
    files.document(
        "about.json",
        &json!({
            "vyomactl": env!("CARGO_PKG_VERSION"),
            "vyomad": client.version,
            "platform": client.platform,
            "unix_time": time,
            "operator": { "os": std::env::consts::OS, "arch": std::env::consts::ARCH },
        }),
    )?;
    files.document("info.json", &info)?;
    let all = apps::list(client)?;
    let findings = doctor::of_device(client, &info, &all);
    files.document("findings.json", &findings)?;
    for app in &all {
        // A microcontroller counts none.
        if let Ok(caps) = caps::ask(client, &app.name) {
            files.document(&format!("caps/{}.json", file_name(&app.name)), &caps)?;
        }
    }
    files.document("ps.json", &all)?;
    let mut scrubber = Scrubber::default();
    if client.manifest_form() == ManifestForm::Compact {
        // A microcontroller keeps less, and answers what every device answers.
        plain_logs(client, &mut scrubber, files)?;
        return Ok(info);
    }
    client.send(&Request::Diagnose { logs: true })?;
    loop {
        match client.answer(Patience::Prompt)? {
            Response::Done => return Ok(info),
            Response::Diagnosis(diagnosis) => diagnosed(diagnosis, &mut scrubber, files)?,
            other => return Err(client.unexpected(&other)),
        }
    }
}

fn diagnosed(
    diagnosis: Diagnosis,
    scrubber: &mut Scrubber,
    files: &mut Files,
) -> Result<(), Failure> {
    match diagnosis {
        // In the findings.
        Diagnosis::Disk { .. } | Diagnosis::Watchdog(_) => Ok(()),
        Diagnosis::Event(event) => one_event(event, files),
        Diagnosis::Epitaph { app, document } => {
            let document = text_without_secrets(&document);
            files.add(
                &format!("epitaphs/{}.json", file_name(&app)),
                document.as_bytes(),
            );
            Ok(())
        }
        Diagnosis::Log { previous, line } => one_line(previous, line, scrubber, files),
        Diagnosis::Kernel(text) => {
            files.add(
                "kernel.txt",
                format!("{}\n", text_without_secrets(&text)).as_bytes(),
            );
            Ok(())
        }
    }
}

fn one_event(event: DeviceEvent, files: &mut Files) -> Result<(), Failure> {
    let detail = text_without_secrets(&event.detail);
    files.line("events.jsonl", &DeviceEvent { detail, ..event })
}

fn one_line(
    previous: bool,
    line: LogLine,
    scrubber: &mut Scrubber,
    files: &mut Files,
) -> Result<(), Failure> {
    let which = if previous { ".previous" } else { "" };
    let name = format!("logs/{}{which}.jsonl", file_name(&line.app));
    let text = scrubber.line(&name, &line.text);
    files.line(&name, &LogLine { text, ..line })
}

/// Logs and events as `logs` and `events` get them.
fn plain_logs(
    client: &mut Client,
    scrubber: &mut Scrubber,
    files: &mut Files,
) -> Result<(), Failure> {
    let logs = Request::Logs {
        app: None,
        follow: false,
        since_ms: None,
        previous: false,
        tail: None,
    };
    for request in [logs, Request::Events { follow: false }] {
        client.send(&request)?;
        loop {
            match client.answer(Patience::Prompt)? {
                Response::Done => break,
                Response::LogLine(line) => one_line(false, line, scrubber, files)?,
                Response::Event(event) => one_event(event, files)?,
                other => return Err(client.unexpected(&other)),
            }
        }
    }
    Ok(())
}

/// The name of an app comes from a device: it names a file here, and no folder.
fn file_name(app: &str) -> String {
    let name: String = app
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(64)
        .collect();
    if name.is_empty() {
        String::from("unnamed")
    } else {
        name
    }
}
