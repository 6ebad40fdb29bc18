//! Which user each app is: given out once and never again, so that what an app left behind never becomes another's.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::files;

/// Uid of the first app. Far above what any system gives to people and services (to 1000 and 65533).
const FIRST: u32 = 20_000;
/// User that `vyomad admit` becomes: it reads what nobody has checked yet, so it is nobody's.
pub(crate) const ADMIT: u32 = 19_999;
/// More than any device's apps ever need: 64 KiB of names of 40 bytes would be the first bound to break.
const FILE_LIMIT: usize = 4 * 1024 * 1024;

/// The table, as it is in `uids.json`.
#[derive(Debug)]
pub(crate) struct Uids {
    path: PathBuf,
    table: BTreeMap<String, u32>,
}

impl Uids {
    /// Reads the table. A damaged one is put aside, never guessed: then new numbers start above all that may have
    /// been given out, which are found as owners of the data folders.
    pub(crate) fn open(state: &Path) -> (Self, Option<String>) {
        let path = state.join("uids.json");
        let read =
            files::read_text(&path, FILE_LIMIT).and_then(|text| Ok(serde_json::from_str(&text)?));
        match read {
            Ok(table) => (Self { path, table }, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (
                Self {
                    path,
                    table: BTreeMap::new(),
                },
                None,
            ),
            Err(error) => {
                let note = format!(
                    "{}: {error}; uids are taken from the owners of the data folders",
                    path.display()
                );
                (
                    Self {
                        path,
                        table: owners(&state.join("data")),
                    },
                    Some(note),
                )
            }
        }
    }

    /// The uid of `app`, given out now if it has none. It is on its way to the disk before the app can use it.
    pub(crate) fn of(&mut self, app: &str) -> io::Result<u32> {
        if let Some(uid) = self.table.get(app) {
            return Ok(*uid);
        }
        let uid = self
            .table
            .values()
            .max()
            .map_or(FIRST, |highest| highest + 1);
        self.table.insert(app.to_string(), uid);
        let written = serde_json::to_vec(&self.table)
            .map_err(io::Error::other)
            .and_then(|json| files::replace(&self.path, &json));
        if let Err(error) = written {
            self.table.remove(app);
            return Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", self.path.display()),
            ));
        }
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
    fn a_damaged_table_is_reported_and_not_overwritten_by_a_guess() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("uids.json"), "{\"a\": 20").unwrap();
        let (_, note) = Uids::open(dir.path());
        assert!(note.unwrap().contains("uids.json"));
    }
}
