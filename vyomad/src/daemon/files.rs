//! Small files of the state directory: replaced whole, or appended to within a bound.
//!
//! Everything here is a bounded, short write; only what says so waits for a disk, for callers that promise durability
//! and do that on a thread of its own (see `install::blocking`). Used by logs, events, epitaphs, uids and counters.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces `path` in one step: readers see the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, content, false)
}

/// The same, and no power failure undoes it. Waits for the disk: not for the main loop.
pub(crate) fn replace_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, content, true)?;
    path.parent().map_or(Ok(()), sync)
}

/// Waits until a file is on the disk, or the names in a folder are.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn replace_with(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&temporary, path)
}

/// Reads at most `limit` bytes of a text file; a longer one is an error, not a cut.
pub(crate) fn read_text(path: &Path, limit: usize) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(limit as u64 + 1)
        .read_to_string(&mut text)?;
    if text.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {limit} bytes"),
        ));
    }
    Ok(text)
}

/// Lines that pile up before they are written: a chatty app costs one system call per 16 KiB, not one per line.
const PENDING: usize = 16 * 1024;

/// An append-only file of lines that is moved to `NAME.1` when it reaches its limit: at most twice the limit on disk.
///
/// It remembers which part was written before this daemon started. No descriptor stays open between writes: 200
/// apps would otherwise hold 200 of them.
#[derive(Debug)]
pub(crate) struct BoundedFile {
    path: PathBuf,
    limit: u64,
    /// Bytes in the file now.
    len: u64,
    /// Of them, those from before this daemon started.
    earlier: u64,
    /// The same of `NAME.1`.
    earlier_old: u64,
    /// The file ends in the middle of a line: power failed during a write.
    torn: bool,
    pending: Vec<u8>,
}

impl BoundedFile {
    /// Looks at what is there; creates nothing.
    pub(crate) fn open(path: PathBuf, limit: u64) -> Self {
        let len = fs::metadata(&path).map_or(0, |meta| meta.len());
        let earlier_old = fs::metadata(old(&path)).map_or(0, |meta| meta.len());
        let torn = len > 0 && last_byte(&path).is_ok_and(|byte| byte != b'\n');
        Self {
            path,
            limit,
            len,
            earlier: len,
            earlier_old,
            torn,
            pending: Vec::new(),
        }
    }

    /// Adds a line; it is on its way to the disk after the next [`Self::flush`].
    pub(crate) fn push(&mut self, line: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        if self.pending.len() >= PENDING {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Whether lines wait for a flush.
    pub(crate) fn dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what is pending. When that fails the lines are given up: a full disk must not fill the memory too.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut lines = std::mem::take(&mut self.pending);
        if std::mem::take(&mut self.torn) {
            lines.insert(0, b'\n');
        }
        if self.len > 0 && self.len + lines.len() as u64 > self.limit {
            fs::rename(&self.path, old(&self.path))?;
            self.earlier_old = std::mem::take(&mut self.earlier);
            self.len = 0;
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        let written = file.write_all(&lines);
        self.len = file.metadata().map_or(self.len, |meta| meta.len());
        written
    }

    /// What was written before this daemon started, oldest first; at most twice the limit.
    pub(crate) fn earlier(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, len) in [
            (old(&self.path), self.earlier_old),
            (self.path.clone(), self.earlier),
        ] {
            if let Ok(file) = File::open(path) {
                // What can't be read is missing from the answer; the rest still helps.
                let _ = file.take(len).read_to_end(&mut bytes);
                if bytes.last().is_some_and(|byte| *byte != b'\n') {
                    bytes.push(b'\n');
                }
            }
        }
        bytes
    }

    /// Removes both files.
    pub(crate) fn delete(&mut self) {
        self.pending.clear();
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(old(&self.path));
        *self = Self::open(std::mem::take(&mut self.path), self.limit);
    }
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

fn last_byte(path: &Path) -> io::Result<u8> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        String::from_utf8_lossy(bytes)
            .lines()
            .map(str::to_string)
            .collect()
    }

    #[test]
    fn a_bounded_file_never_takes_more_than_twice_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let mut file = BoundedFile::open(path.clone(), 1000);
        for n in 0..1000 {
            file.push(format!("line {n}").as_bytes()).unwrap();
            file.flush().unwrap();
        }
        let total = fs::metadata(&path).unwrap().len() + fs::metadata(old(&path)).unwrap().len();
        assert!(total <= 2000, "{total}");
        assert!(lines(&fs::read(&path).unwrap()).last().unwrap() == "line 999");
    }

    #[test]
    fn lines_of_an_earlier_run_are_told_from_those_of_this_one_over_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let mut first = BoundedFile::open(path.clone(), 100);
        first.push(b"before").unwrap();
        first.flush().unwrap();
        let mut second = BoundedFile::open(path, 100);
        second.push(b"after").unwrap();
        second.flush().unwrap();
        assert_eq!(lines(&second.earlier()), ["before"]);
        second.push(&[b'x'; 95]).unwrap();
        second.flush().unwrap();
        assert_eq!(lines(&second.earlier()), ["before"]);
    }

    #[test]
    fn a_line_torn_by_a_power_failure_does_not_swallow_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        fs::write(&path, "whole\nto").unwrap();
        let mut file = BoundedFile::open(path.clone(), 1000);
        file.push(b"next").unwrap();
        file.flush().unwrap();
        assert_eq!(lines(&fs::read(&path).unwrap()), ["whole", "to", "next"]);
    }
}
