//! The artefacts: what engines made of components, by key. A cache: each can be made again, and none is used under a
//! key that it was not made for.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::state::Daemon;
use crate::roles::engine;

/// Opens the artefact of that key: this device's own, else one that came with the image.
pub(crate) fn open(daemon: &Daemon, key: &str) -> Option<File> {
    let own = daemon.path("store");
    let kept = daemon
        .settings
        .profile
        .runtime
        .cache_compiled
        .then_some(&own);
    // One that the engine refused can't be removed from the image; this device makes its own where it may.
    let refused =
        engine::may_make(&daemon.settings.profile) && daemon.misfits.borrow().contains(key);
    let image: &[PathBuf] = if refused {
        &[]
    } else {
        &daemon.settings.image_stores
    };
    kept.into_iter()
        .chain(image)
        .find_map(|store| File::open(store.join(key)).ok())
}

/// A file for an artefact that is being made; unlinked already unless it is to be kept.
pub(crate) fn create(daemon: &Daemon) -> io::Result<(File, PathBuf)> {
    let path = daemon
        .path("store")
        .join(format!(".new-{}", daemon.next_serial()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    Ok((file, path))
}

/// Puts a finished artefact in its place.
pub(crate) fn keep(daemon: &Daemon, new: &Path, key: &str) -> io::Result<()> {
    fs::rename(new, daemon.path("store").join(key))
}

/// Removes an artefact that turned out not to fit; it is made anew.
pub(crate) fn discard(daemon: &Daemon, key: &str) {
    let _ = fs::remove_file(daemon.path("store").join(key));
}

/// Removes what no app needs any more, and what an interrupted admission left.
pub(crate) fn collect(daemon: &Daemon) {
    let mut keys = HashSet::new();
    let mut need = |sha256: &str| {
        let needed = engine::keys(&daemon.settings.profile, sha256);
        keys.insert(needed.own);
        keys.extend(needed.ahead_of_time);
    };
    for app in daemon.all_apps() {
        // Not hashed yet: then nobody can say what is needed; there will be another time.
        let Some(sha256) = app.package().sha256.clone() else {
            return;
        };
        need(&sha256);
        // A version that can be gone back to needs its machine code then, which may not be possible to make here.
        let record = app.record.borrow();
        if let Some(back) = record.back() {
            let Some(sha256) = &back.sha256 else {
                // What belongs to an app of the image came with it.
                if back.id.is_none() {
                    continue;
                }
                return;
            };
            need(sha256);
        }
    }
    for entry in fs::read_dir(daemon.path("store"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_key = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_key && !keys.contains(&name) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes what an interrupted admission left behind; before anything runs.
pub(crate) fn clean(state: &Path) {
    for entry in fs::read_dir(state.join("store"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with(".new-") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
