//! What arrives of an installation, and what is kept of one that was cut: the client asks how much there is, and goes on from
//! there. A file is named by the SHA-256 that it is to have, so nobody can continue another's bytes into something new; and what
//! is whole is hashed before it is used, so what is kept needs no trust and no fsync.
//!
//! Components lie in `uploads/`, machine code in `store/`, where it will stay (that folder is a mount of its own).

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use vyoma_capabilities::hex;

use super::admission::hash_on;
use super::state::Daemon;

/// Most interrupted uploads that are kept; the oldest goes first.
const MOST: usize = 4;
/// Most bytes of them together: one component of the largest size, and its machine code as it usually is.
const MOST_BYTES: u64 = 128 * 1024 * 1024;
/// How long one is kept: whoever was cut comes back the same day or sends all of it.
const AGE: Duration = Duration::from_hours(24);
/// What the names of machine code begin with, among those of artefacts.
const CODE: &str = ".upload-";

/// What is being uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A component.
    Component,
    /// Machine code.
    Code,
}

impl What {
    fn path(self, state: &Path, sha256: &str) -> PathBuf {
        match self {
            Self::Component => state.join("uploads").join(sha256),
            Self::Code => state.join("store").join(format!("{CODE}{sha256}")),
        }
    }
}

/// Hashes whose files are being written by someone.
#[derive(Debug, Default)]
pub(crate) struct Uploads(RefCell<HashSet<String>>);

/// A file that is arriving. Left alone, what has arrived stays for the next try.
#[derive(Debug)]
pub(crate) struct Upload {
    file: File,
    path: PathBuf,
    hash: Sha256,
    /// Gone with it, whatever happened.
    discard: bool,
    _sending: Option<Sending>,
}

/// Keeps a hash for one that is sending it.
#[derive(Debug)]
struct Sending(Rc<Uploads>, String);

impl Sending {
    /// Absent: somebody else is sending it.
    fn begin(uploads: &Rc<Uploads>, sha256: &str) -> Option<Self> {
        let new = uploads.0.borrow_mut().insert(sha256.to_string());
        new.then(|| Self(Rc::clone(uploads), sha256.to_string()))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.0.borrow_mut().remove(&self.1);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.discard {
            // Gone from here already when it was put in its place.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether it is a hash that can name a file.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && hex::is_lower_case(text)
}

/// How many bytes of a file with that hash have been kept.
pub(crate) fn kept(daemon: &Daemon, sha256: &str) -> u64 {
    if !is_sha256(sha256) || daemon.uploads.0.borrow().contains(sha256) {
        return 0;
    }
    [What::Component, What::Code]
        .into_iter()
        .filter_map(|what| fs::metadata(what.path(&daemon.settings.state, sha256)).ok())
        .map(|meta| meta.len())
        .max()
        .unwrap_or(0)
}

impl Upload {
    /// Opens the file with that hash, of which `kept` bytes are there already.
    pub(crate) async fn open(
        daemon: &Daemon,
        what: What,
        sha256: &str,
        kept: u64,
    ) -> io::Result<Self> {
        let state = &daemon.settings.state;
        let sending = Sending::begin(&daemon.uploads, sha256);
        // Somebody else is sending the same bytes: each writes a file of its own.
        let path = if sending.is_some() {
            what.path(state, sha256)
        } else {
            what.path(state, &format!(".new-{}", daemon.next_serial()))
        };
        let mut upload = Self {
            file: OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?,
            path,
            hash: Sha256::new(),
            discard: sending.is_none(),
            _sending: sending,
        };
        if upload.file.metadata()?.len() < kept {
            return Err(io::Error::other(format!(
                "less than the {kept} bytes that were announced are kept; send it again"
            )));
        }
        upload.file.set_len(kept)?;
        hash_on(&mut upload.file, &mut upload.hash, kept).await?;
        Ok(upload)
    }

    /// Takes the next bytes. After an error, what there is of it goes: a full disk must not stay full for that.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        let written = self.file.write_all(bytes);
        self.discard |= written.is_err();
        written
    }

    /// All of it has arrived: its hash as computed here. From now on it is either put in its place or forgotten.
    pub(crate) fn finish(&mut self) -> String {
        self.discard = true;
        hex::encode(&self.hash.clone().finalize().into())
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same file once more: for the thread that waits until it is on the disk.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// Forgets interrupted uploads that are too many, too large or too old; with `all`, every one that nobody is sending.
pub(crate) fn tidy(daemon: &Daemon, all: bool) {
    let busy = daemon.uploads.0.borrow();
    let state = &daemon.settings.state;
    let mut files = Vec::new();
    for (folder, prefix) in [("uploads", ""), ("store", CODE)] {
        for entry in fs::read_dir(state.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(hash) = name.strip_prefix(prefix) else {
                continue;
            };
            if let Ok(meta) = entry.metadata()
                && !busy.contains(hash)
                && !hash.starts_with(".new-")
            {
                let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push((changed, meta.len(), entry.path()));
            }
        }
    }
    for path in too_many(files, SystemTime::now(), all) {
        let _ = fs::remove_file(path);
    }
}

/// Which of the files have to go.
fn too_many(
    mut files: Vec<(SystemTime, u64, PathBuf)>,
    now: SystemTime,
    all: bool,
) -> Vec<PathBuf> {
    files.sort_by_key(|(changed, ..)| std::cmp::Reverse(*changed));
    let (mut count, mut bytes) = (0, 0);
    files.retain(|(changed, len, _)| {
        count += 1;
        bytes += len;
        // A clock that was set back makes files of the future: they are as good as new.
        let old = now.duration_since(*changed).unwrap_or_default() > AGE;
        all || old || count > MOST || bytes > MOST_BYTES
    });
    files.into_iter().map(|(.., path)| path).collect()
}

/// Removes files of uploads that can't be continued; before anything runs.
pub(crate) fn clean(state: &Path) {
    for (folder, prefix) in [
        ("uploads", String::from(".new-")),
        ("store", format!("{CODE}.new-")),
    ] {
        for entry in fs::read_dir(state.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn gone(files: &[(u64, u64)], all: bool) -> Vec<usize> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 1000);
        let files = files
            .iter()
            .enumerate()
            .map(|(number, (age, len))| {
                (
                    now - Duration::from_secs(*age),
                    *len,
                    PathBuf::from(number.to_string()),
                )
            })
            .collect();
        let mut gone: Vec<usize> = too_many(files, now, all)
            .iter()
            .map(|path| path.to_str().unwrap().parse().unwrap())
            .collect();
        gone.sort_unstable();
        gone
    }

    #[test]
    fn interrupted_uploads_are_bounded_in_number_size_and_age() {
        let none: [usize; 0] = [];
        assert_eq!(gone(&[(1, 1), (2, 1), (3, 1), (4, 1)], false), none);
        assert_eq!(gone(&[(5, 1), (2, 1), (3, 1), (4, 1), (1, 1)], false), [0]);
        assert_eq!(gone(&[(1, 100 * MIB), (2, 64 * MIB)], false), [1]);
        assert_eq!(gone(&[(24 * 3600 + 1, 1), (24 * 3600, 1)], false), [0]);
        assert_eq!(gone(&[(1, 1), (2, 1)], true), [0, 1]);
    }

    #[test]
    fn only_a_lower_case_hash_names_a_file() {
        assert!(is_sha256(&"0a".repeat(32)));
        for text in [
            "",
            "../../etc",
            &"0A".repeat(32),
            &"0g".repeat(32),
            &"a".repeat(63),
        ] {
            assert!(!is_sha256(text), "{text}");
        }
    }
}
