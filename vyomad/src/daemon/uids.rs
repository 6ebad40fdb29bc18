//! Which user each app is: given out once and never again, so that what an app left behind never becomes another's.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::files;

/// Uid of the first app. Far above what any system gives to people and services (to 1000 and 65533).
const FIRST: u32 = 20_000;
/// User that `vyomad admit` becomes: it reads what nobody has checked yet, so it is nobody's.
pub(crate) const ADMIT: u32 = 19_999;
/// User that `vyomad ssh` becomes.
pub(crate) const SSH: u32 = 19_998;
/// More than any device's apps ever need: 64 KiB of names of 40 bytes would be the first bound to break.
const FILE_LIMIT: usize = 4 * 1024 * 1024;

/// The table, as it is in `uids.json`.
#[derive(Debug)]
pub(crate) struct Uids {
    path: PathBuf,
    table: BTreeMap<String, u32>,
    /// Above all that may ever have been given out.
    next: u32,
}

impl Uids {
    /// Reads the table, and whose the data folders are: a table that is lost, damaged or older than they are must give
    /// no app the uid of another's folder. The note says what was wrong.
    pub(crate) fn open(state: &Path) -> (Self, Option<String>) {
        let path = state.join("uids.json");
        let read =
            files::read_text(&path, FILE_LIMIT).and_then(|text| Ok(serde_json::from_str(&text)?));
        let owners = owners(&state.join("data"));
        let mut note = None;
        let mut table: BTreeMap<String, u32> = read.unwrap_or_else(|error| {
            // Nothing was given out yet on a new device.
            if error.kind() != io::ErrorKind::NotFound || !owners.is_empty() {
                note = Some(format!(
                    "{}: {error}; uids are taken from the owners of the data folders",
                    path.display()
                ));
            }
            BTreeMap::new()
        });
        let highest = table.values().chain(owners.values()).max().copied();
        for (app, uid) in owners {
            if !table.values().any(|known| *known == uid) {
                table.entry(app).or_insert(uid);
            }
        }
        let uids = Self {
            path,
            table,
            next: highest.map_or(FIRST, |highest| highest.saturating_add(1)),
        };
        (uids, note)
    }

    /// The uid of `app`, if it has one.
    pub(crate) fn known(&self, app: &str) -> Option<u32> {
        self.table.get(app).copied()
    }

    /// The uid of `app`, given out now if it has none. Then this waits for the disk: no power failure may undo what a
    /// process has used.
    pub(crate) fn of(&mut self, app: &str) -> io::Result<u32> {
        if let Some(uid) = self.known(app) {
            return Ok(uid);
        }
        let uid = self.next;
        self.table.insert(app.to_string(), uid);
        let written = serde_json::to_vec(&self.table)
            .map_err(io::Error::other)
            .and_then(|json| files::replace_durably(&self.path, &json));
        if let Err(error) = written {
            self.table.remove(app);
            return Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", self.path.display()),
            ));
        }
        self.next = uid.saturating_add(1);
        Ok(uid)
    }
}

fn owners(data: &Path) -> BTreeMap<String, u32> {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let owner = |entry: std::fs::DirEntry| {
        Some((
            entry.file_name().into_string().ok()?,
            entry.metadata().ok()?.uid(),
        ))
    };
    entries
        .filter_map(owner)
        .filter(|(_, uid)| *uid >= FIRST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_keeps_its_uid_and_nobody_else_ever_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut uids, note) = Uids::open(dir.path());
        assert!(note.is_none());
        let (a, b) = (uids.of("a").unwrap(), uids.of("b").unwrap());
        assert_ne!(a, b);
        let (mut again, _) = Uids::open(dir.path());
        assert_eq!((again.of("a").unwrap(), again.of("b").unwrap()), (a, b));
        assert!(again.of("c").unwrap() > a.max(b));
    }

    #[test]
    fn a_lost_table_gives_nobody_the_folder_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let owned = |app: &str, uid: u32| {
            let folder = dir.path().join("data").join(app);
            std::fs::create_dir_all(&folder).unwrap();
            // Without root a folder is ours, as it is for a daemon that can't become other users.
            std::os::unix::fs::lchown(&folder, Some(uid), Some(uid)).is_ok()
        };
        let root = owned("a", FIRST + 7) && owned("b", FIRST + 3);
        let (mut uids, note) = Uids::open(dir.path());
        assert_eq!(note.is_some(), root);
        let new = uids.of("c").unwrap();
        if root {
            assert_eq!(uids.of("a").unwrap(), FIRST + 7);
            assert_eq!(uids.of("b").unwrap(), FIRST + 3);
            assert_eq!(new, FIRST + 8);
            // A table that is older than a folder, and one that knows its uid as somebody else's.
            owned("d", FIRST + 20);
            owned("e", FIRST + 7);
            let (mut uids, _) = Uids::open(dir.path());
            assert_eq!(uids.of("d").unwrap(), FIRST + 20);
            assert_eq!(uids.of("e").unwrap(), FIRST + 21);
        }
    }

    #[test]
    fn a_damaged_table_is_reported_and_not_overwritten_by_a_guess() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("uids.json"), "{\"a\": 20").unwrap();
        let (_, note) = Uids::open(dir.path());
        assert!(note.unwrap().contains("uids.json"));
    }
}
