//! How each app last ended, kept over reboots in `epitaphs/NAME.json`.

use std::fs;

use serde::{Deserialize, Serialize};
use vyoma_capabilities::lifecycle::Ending;

use super::apps::App;
use super::files;
use super::state::{Daemon, unix_ms};

/// Last words kept: what a backtrace's head and the message before it take.
const LAST_LINES: usize = 10;
/// Each of at most so many bytes.
const LINE_BYTES: usize = 500;
/// What is read back at most.
const FILE_LIMIT: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Epitaph {
    app: String,
    time_ms: u64,
    ending: Ending,
    /// For people.
    text: String,
    restarts: u32,
    last_lines: Vec<String>,
}

/// Writes the epitaph of a run.
pub(crate) fn write(daemon: &Daemon, app: &App, ending: &Ending) {
    let cut = |text: &str| text[..text.floor_char_boundary(LINE_BYTES)].to_string();
    let epitaph = Epitaph {
        app: app.name.to_string(),
        time_ms: unix_ms(),
        ending: ending.clone(),
        text: ending.to_string(),
        restarts: app.machine.borrow().restarts(),
        last_lines: app
            .log
            .last(LAST_LINES)
            .iter()
            .map(|entry| cut(&entry.text))
            .collect(),
    };
    let path = daemon.path("epitaphs").join(format!("{}.json", app.name));
    let written = serde_json::to_vec(&epitaph)
        .map_err(std::io::Error::other)
        .and_then(|json| files::replace(&path, &json));
    if let Err(error) = written {
        daemon.event(
            Some(&app.name),
            "warning",
            &format!("can't write {}: {error}", path.display()),
        );
    }
}

/// How `app` ended before; none when it never did or the file is damaged.
pub(crate) fn read(daemon: &Daemon, app: &str) -> Option<Ending> {
    serde_json::from_str::<Epitaph>(&text(daemon, app)?)
        .ok()
        .map(|epitaph| epitaph.ending)
}

/// The document of how `app` ended before; none when it never did.
pub(crate) fn text(daemon: &Daemon, app: &str) -> Option<String> {
    let path = daemon.path("epitaphs").join(format!("{app}.json"));
    files::read_text(&path, FILE_LIMIT).ok()
}

/// Forgets it.
pub(crate) fn delete(daemon: &Daemon, app: &str) {
    // Not there: then there is nothing to forget.
    let _ = fs::remove_file(daemon.path("epitaphs").join(format!("{app}.json")));
}
