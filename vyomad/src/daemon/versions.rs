//! The versions of an app on the disk: which is current, which came before, which is on trial. Every change is one rename
//! of a symlink, and what has to be known about it is written before; so after a power failure between any two writes
//! [`recover`] finds either version whole, and knows which.
//!
//! ```text
//!  versions/NEW in place -> update.json: trial of NEW, from OLD -> `current` = NEW -> OLD is kept, others go
//!      healthy: update.json: previous OLD                       (OLD stays for `rollback`)
//!      not:     update.json: trial failed, why -> `current` = OLD -> update.json: rolled back, why -> NEW goes
//! ```
//!
//! Files only: what runs meanwhile is `install`'s and `trial`'s business.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vyoma_capabilities::control::RolledBack;
use vyoma_capabilities::hex;

use super::files::{self, sync};
use super::operate::ignore_missing;

/// Name of the record.
pub(super) const RECORD: &str = "update.json";
/// What is read back of it at most.
const RECORD_BYTES: usize = 16 * 1024;
/// Boots that a version on trial may take: one that brings the device down again and again is not healthy.
pub(crate) const MOST_BOOTS: u32 = 3;

/// One version of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::struct_field_names,
    reason = "a manifest calls it the app's version, and the record on the disk does, too"
)]
pub(crate) struct Version {
    /// Name of its folder; absent: the one that came with the image.
    pub(crate) id: Option<String>,
    /// From its manifest.
    pub(crate) version: String,
    /// Of its component, as far as it is known.
    pub(crate) sha256: Option<String>,
}

/// A version that has yet to prove that it is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnTrial {
    /// The new version.
    pub(crate) id: String,
    /// From its manifest.
    pub(crate) version: String,
    /// What to go back to.
    pub(crate) from: Version,
    /// Boots of the device since it was installed.
    pub(crate) boots: u32,
    /// It failed, for this reason: what is left to do is to go back.
    pub(crate) failed: Option<String>,
}

/// What is known of an app's versions beside `current`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What `rollback` goes back to.
    pub(crate) previous: Option<Version>,
    /// The current version, while it is on trial.
    pub(crate) trial: Option<OnTrial>,
    /// The last time that a version was taken back by the device itself.
    pub(crate) rolled_back: Option<RolledBack>,
    /// The newest version that has proved healthy here: an older one is not installed without further ado.
    #[serde(default)]
    pub(crate) newest: Option<String>,
}

impl Record {
    /// Reads the record of an app. One that is missing or damaged is empty: then there is nothing to go back to.
    pub(crate) fn read(home: &Path) -> Self {
        files::read_text(&home.join(RECORD), RECORD_BYTES)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Writes it, so that no power failure undoes it. Waits for the disk.
    pub(crate) fn write(&self, home: &Path) -> io::Result<()> {
        let json = serde_json::to_vec(self).map_err(io::Error::other)?;
        files::replace_durably(&home.join(RECORD), &json)
    }

    /// The newest version that counts, of an app whose current version is `current`.
    pub(crate) fn newest_of(&self, current: Option<String>) -> Option<String> {
        let on_trial = self.trial.as_ref().map(|trial| trial.from.version.clone());
        self.newest.clone().or(on_trial).or(current)
    }

    /// The version that a rollback goes to.
    pub(crate) fn back(&self) -> Option<&Version> {
        self.trial
            .as_ref()
            .map(|trial| &trial.from)
            .or(self.previous.as_ref())
    }
}

/// First 16 hexadecimal digits of SHA-256 over the manifest and the component's hash: one folder per version.
pub(crate) fn identity(manifest: &str, component_sha256: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((manifest.len() as u64).to_le_bytes());
    hash.update(manifest.as_bytes());
    hash.update(component_sha256.as_bytes());
    let mut id = hex::encode(&hash.finalize().into());
    id.truncate(16);
    id
}

/// The folder of the current version; absent: the app is the image's, or there is none.
pub(crate) fn current(home: &Path) -> Option<String> {
    let link = fs::read_link(home.join("current")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// Makes everything in the folder `from` durable, then gives it the name `home/versions/id`.
pub(crate) fn put_in_place(from: &Path, home: &Path, id: &str) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        sync(&entry?.path())?;
    }
    sync(from)?;
    let versions = home.join("versions");
    let new_home = !versions.exists();
    fs::create_dir_all(&versions)?;
    let to = versions.join(id);
    if to.exists() {
        // The same version once more, or one that a power failure left. What just arrived is known to be whole, and
        // the other may be the current one: they change places in one step, and what was there goes with `from`.
        exchange(from, &to)?;
    } else {
        fs::rename(from, &to)?;
    }
    sync(&versions)?;
    if new_home {
        // Names are on the disk only when the folders that hold them are.
        sync(home)?;
        home.parent().map_or(Ok(()), sync)?;
    }
    Ok(())
}

/// Makes two folders change places, atomically.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other);
    let (one, other) = (c(one)?, c(other)?);
    // By number, because nix and libc have the function for glibc only in some versions.
    // SAFETY: both paths are valid C strings for the call; the other arguments are plain values.
    let done = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes a version the current one, in one step; marks of an operator (removed, stopped) go. Waits for the disk.
pub(crate) fn switch(home: &Path, id: Option<&str>) -> io::Result<()> {
    let (current, new) = (home.join("current"), home.join(".current-new"));
    if let Some(id) = id {
        ignore_missing(fs::remove_file(&new))?;
        symlink(Path::new("versions").join(id), &new)?;
        fs::rename(&new, &current)?;
    } else {
        // What is left is the image's app.
        ignore_missing(fs::remove_file(&current))?;
    }
    for mark in ["removed", "stopped"] {
        ignore_missing(fs::remove_file(home.join(mark)))?;
    }
    sync(home)
}

/// Removes versions that are neither current nor to be gone back to. What can't be removed is only space; the next time tries
/// again.
pub(crate) fn release_others(home: &Path, record: &Record) {
    let current = current(home);
    let kept = |name: &str| {
        current.as_deref() == Some(name)
            || record.back().and_then(|version| version.id.as_deref()) == Some(name)
    };
    for entry in fs::read_dir(home.join("versions"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if !kept(&entry.file_name().to_string_lossy()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Finishes what a power failure or a kill interrupted, and counts a boot of a version on trial. Returns a line for the events
/// when a version was taken back. Before anything runs.
pub(crate) fn recover(home: &Path, now_ms: u64) -> io::Result<Option<String>> {
    let mut record = Record::read(home);
    let Some(mut trial) = record.trial.take() else {
        return Ok(None);
    };
    let on_trial = current(home).as_ref() == Some(&trial.id);
    if !on_trial && trial.failed.is_none() {
        // It never became the current one: the version before it goes on as if nothing had been.
        record.write(home)?;
        release_others(home, &record);
        return Ok(None);
    }
    // A version that an operator keeps from running can't be what brings the device down.
    if !home.join("stopped").exists() {
        trial.boots = trial.boots.saturating_add(1);
    }
    let worn_out = || {
        let why =
            format!("the device restarted {MOST_BOOTS} times before it was known to be healthy");
        (trial.boots > MOST_BOOTS).then_some(why)
    };
    let reason = trial.failed.clone().or_else(worn_out);
    let told = |reason: &String| taken_back(&trial.version, &trial.from.version, reason);
    let detail = reason.as_ref().map(told);
    record.trial = Some(trial);
    match reason {
        Some(reason) => go_back(home, &mut record, &reason, now_ms)?,
        None => record.write(home)?,
    }
    Ok(detail)
}

/// What is said of a version that was taken back.
pub(crate) fn taken_back(version: &str, to: &str, reason: &str) -> String {
    format!("{version} was taken back, {to} is current again: {reason}")
}

/// Takes the version on trial back: `current` becomes what it came from. Waits for the disk.
pub(crate) fn go_back(
    home: &Path,
    record: &mut Record,
    reason: &str,
    now_ms: u64,
) -> io::Result<()> {
    let Some(trial) = &mut record.trial else {
        return Ok(());
    };
    if trial.failed.is_none() {
        // First, so that after a power failure nobody takes the old version for one that was never replaced.
        trial.failed = Some(reason.to_string());
        record.write(home)?;
    }
    let Some(trial) = record.trial.take() else {
        return Ok(());
    };
    let switched = switch(home, trial.from.id.as_deref());
    if let Err(error) = switched {
        record.trial = Some(trial);
        return Err(error);
    }
    record.previous = None;
    record.rolled_back = Some(RolledBack {
        version: trial.version,
        reason: reason.to_string(),
        time_ms: now_ms,
    });
    record.write(home)?;
    release_others(home, record);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version whose folder is `id`, put in its place.
    fn place(home: &Path, id: &str) {
        let from = home.join(".incoming");
        fs::create_dir_all(&from).unwrap();
        fs::write(from.join("vyoma.toml"), id).unwrap();
        fs::write(from.join("app.wasm"), b"bytes").unwrap();
        put_in_place(&from, home, id).unwrap();
    }

    fn version(id: &str) -> Version {
        Version {
            id: Some(id.into()),
            version: id.into(),
            sha256: None,
        }
    }

    fn on_trial(id: &str, from: &str) -> Record {
        Record {
            trial: Some(OnTrial {
                id: id.into(),
                version: id.into(),
                from: version(from),
                boots: 0,
                failed: None,
            }),
            ..Record::default()
        }
    }

    fn installed(home: &Path, id: &str) {
        place(home, id);
        switch(home, Some(id)).unwrap();
    }

    fn text(home: &Path) -> String {
        fs::read_to_string(home.join("current/vyoma.toml")).unwrap()
    }

    fn kept(home: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(home.join("versions"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_switch_leaves_the_new_version_and_the_one_to_go_back_to() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        for id in ["one", "two", "three"] {
            installed(home, id);
            assert_eq!(text(home), id);
        }
        release_others(home, &on_trial("three", "two"));
        assert_eq!(kept(home), ["three", "two"]);
        let record = Record {
            previous: Some(version("two")),
            ..Record::default()
        };
        release_others(home, &record);
        assert_eq!(kept(home), ["three", "two"]);
        release_others(home, &Record::default());
        assert_eq!(kept(home), ["three"]);
    }

    #[test]
    fn the_same_version_once_more_replaces_damaged_files_without_a_moment_of_none() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        installed(home, "one");
        fs::write(home.join("current/app.wasm"), "damaged").unwrap();
        place(home, "one");
        assert_eq!(fs::read(home.join("current/app.wasm")).unwrap(), b"bytes");
    }

    #[test]
    fn until_the_switch_the_old_version_is_the_current_one() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        installed(home, "one");
        place(home, "two");
        on_trial("two", "one").write(home).unwrap();
        assert_eq!(text(home), "one");
        // The power failed right there.
        assert_eq!(recover(home, 1).unwrap(), None);
        assert_eq!(text(home), "one");
        assert_eq!(Record::read(home), Record::default());
        assert_eq!(kept(home), ["one"]);
    }

    #[test]
    fn a_trial_outlives_reboots_and_ends_after_too_many() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        installed(home, "one");
        place(home, "two");
        on_trial("two", "one").write(home).unwrap();
        switch(home, Some("two")).unwrap();
        for boot in 1..=MOST_BOOTS {
            assert_eq!(recover(home, 1).unwrap(), None);
            assert_eq!(text(home), "two");
            let trial = Record::read(home).trial.unwrap();
            assert_eq!(trial.boots, boot);
        }
        let said = recover(home, 7).unwrap().unwrap();
        assert!(said.contains("restarted 3 times"), "{said}");
        assert_eq!(text(home), "one");
        assert_eq!(kept(home), ["one"]);
        let record = Record::read(home);
        assert_eq!((&record.trial, &record.previous), (&None, &None));
        let back = record.rolled_back.unwrap();
        assert_eq!((back.version.as_str(), back.time_ms), ("two", 7));
    }

    #[test]
    fn why_a_version_has_to_go_is_on_the_disk_before_it_goes() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        installed(home, "one");
        installed(home, "two");
        let mut record = on_trial("two", "one");
        record.trial.as_mut().unwrap().boots = MOST_BOOTS;
        record.write(home).unwrap();
        // What is in the way of the switch ends it as a power failure would.
        fs::create_dir(home.join(".current-new")).unwrap();
        recover(home, 7).unwrap_err();
        assert_eq!(text(home), "two");
        let failed = Record::read(home).trial.unwrap().failed.unwrap();
        assert!(failed.contains("restarted 3 times"), "{failed}");
    }

    #[test]
    fn going_back_is_finished_after_a_power_failure_between_any_two_of_its_steps() {
        for switched in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let home = home.path();
            installed(home, "one");
            installed(home, "two");
            let mut record = on_trial("two", "one");
            record.trial.as_mut().unwrap().failed = Some("it trapped".into());
            record.write(home).unwrap();
            if switched {
                switch(home, Some("one")).unwrap();
            }
            let said = recover(home, 7).unwrap().unwrap();
            assert!(said.contains("it trapped"), "{said}");
            assert_eq!(text(home), "one");
            assert_eq!(Record::read(home).rolled_back.unwrap().reason, "it trapped");
        }
    }

    #[test]
    fn what_came_from_the_image_comes_back_as_nothing_installed() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        installed(home, "two");
        let mut record = on_trial("two", "one");
        record.trial.as_mut().unwrap().from.id = None;
        go_back(home, &mut record, "it trapped", 1).unwrap();
        assert_eq!(current(home), None);
        assert_eq!(kept(home), Vec::<String>::new());
    }

    #[test]
    fn the_identity_changes_with_the_manifest_and_with_the_component() {
        let first = identity("a", "00");
        assert_eq!(first.len(), 16);
        assert_ne!(first, identity("b", "00"));
        assert_ne!(first, identity("a", "01"));
    }
}
