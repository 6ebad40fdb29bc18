//! The initramfs as bytes: newc cpio archives, zstd-compressed, one after the other (the kernel unpacks as many as there are).
//! Two builds of the same entries are the same bytes: no times, no owners, entries in order. Reads archives back too, so
//! that a test sees what is really in an image.
//!
//! The best compression takes seconds for a daemon with an engine, which is in image after image: what was packed is kept by
//! the hash of what went in.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, ensure};
use cpio::newc::{Builder, Reader, trailer};

use crate::context::{sha256, write_atomically};

/// The highest level without long windows: a smaller image, and decompression costs the same at every level.
const LEVEL: i32 = 19;

/// Archives that are kept: those of one run of all tests, twice over.
const KEPT: usize = 200;

/// `S_IFDIR`, `S_IFREG` and `S_IFCHR` of inode(7).
const DIR: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHAR: u32 = 0o020_000;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A folder, mode 0755.
    Dir,
    /// A file, mode 0644, or 0755 when it is run.
    File { bytes: Vec<u8>, executable: bool },
    /// A character device with its numbers and mode.
    Char { major: u32, minor: u32, mode: u32 },
}

/// What goes into an initramfs: path (without the leading slash) to entry, in path order, so folders come first.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, Node>);

impl Tree {
    /// Adds a folder, and those above it.
    pub(crate) fn dir(&mut self, path: &str) {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            self.0.entry(path[..end].to_owned()).or_insert(Node::Dir);
        }
    }

    /// Adds anything else, and the folders above it.
    pub(crate) fn add(&mut self, path: &str, node: Node) {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.dir(above);
        }
        self.0.insert(path.to_owned(), node);
    }

    /// The entries' paths with a leading slash.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.keys().map(|path| format!("/{path}")).collect()
    }

    /// Whether it has no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The compressed archive and its size before compression. `kept` is the folder of archives that were packed before.
    pub(crate) fn pack(&self, kept: &Path) -> anyhow::Result<(Vec<u8>, u64)> {
        let archive = self.archive()?;
        let size = archive.len() as u64;
        let file = kept.join(format!("{}-{LEVEL}.cpio.zst", sha256(&archive)));
        if let Ok(packed) = std::fs::read(&file) {
            return Ok((packed, size));
        }
        let packed = zstd::bulk::compress(&archive, LEVEL)?;
        write_atomically(&file, &packed)?;
        forget_old(kept);
        Ok((packed, size))
    }

    fn archive(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = Vec::new();
        for (number, (path, node)) in (1_u32..).zip(&self.0) {
            let (mode, links, bytes): (u32, u32, &[u8]) = match node {
                Node::Dir => (DIR | 0o755, 2, &[]),
                Node::File { bytes, executable } => {
                    (FILE | if *executable { 0o755 } else { 0o644 }, 1, bytes)
                }
                Node::Char { mode, .. } => (CHAR | mode, 1, &[]),
            };
            let mut entry = Builder::new(path)
                .ino(number)
                .nlink(links)
                .mode(mode)
                .uid(0)
                .gid(0)
                .mtime(0);
            if let Node::Char { major, minor, .. } = node {
                entry = entry.rdev_major(*major).rdev_minor(*minor);
            }
            let size = u32::try_from(bytes.len())
                .ok()
                .with_context(|| format!("{path} is 4 GiB or more"))?;
            let mut writer = entry.write(&mut archive, size);
            writer.write_all(bytes)?;
            writer.finish()?;
        }
        trailer(&mut archive)?;
        Ok(archive)
    }
}

/// Keeps the [`KEPT`] archives that were packed last. Only a cache: what can't be removed now is in nobody's way.
fn forget_old(kept: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(kept)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, file) in files.iter().rev().skip(KEPT) {
        let _ = std::fs::remove_file(file);
    }
}

/// The paths in a packed archive, with a leading slash, in archive order.
pub(crate) fn list(packed: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut bytes = Vec::new();
    zstd::Decoder::new(packed)?
        .read_to_end(&mut bytes)
        .context("not a zstd archive")?;
    let mut rest = Cursor::new(bytes);
    let mut paths = Vec::new();
    loop {
        let reader = Reader::new(rest).context("not a newc archive")?;
        if reader.entry().is_trailer() {
            break;
        }
        let name = reader.entry().name().to_owned();
        ensure!(
            !name.starts_with('/') && !name.contains(".."),
            "entry {name:?} leaves the archive"
        );
        paths.push(format!("/{name}"));
        rest = reader.finish()?;
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::default();
        tree.add(
            "init",
            Node::File {
                bytes: b"\x7fELF".to_vec(),
                executable: true,
            },
        );
        tree.add(
            "etc/vyoma/profile.toml",
            Node::File {
                bytes: b"[profile]".to_vec(),
                executable: false,
            },
        );
        tree.add(
            "dev/console",
            Node::Char {
                major: 5,
                minor: 1,
                mode: 0o600,
            },
        );
        tree
    }

    #[test]
    fn what_was_packed_is_listed_with_the_folders_above_it_first() {
        let kept = tempfile::tempdir().unwrap();
        let (packed, size) = sample().pack(kept.path()).unwrap();
        assert!(size > 500, "five headers of 110 bytes");
        let expected = [
            "/dev",
            "/dev/console",
            "/etc",
            "/etc/vyoma",
            "/etc/vyoma/profile.toml",
            "/init",
        ];
        assert_eq!(list(&packed).unwrap(), expected);
        assert_eq!(sample().paths(), expected);
    }

    #[test]
    fn the_same_entries_are_the_same_bytes_packed_anew_or_kept() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = sample().pack(one.path()).unwrap();
        assert_eq!(first, sample().pack(other.path()).unwrap());
        assert_eq!(first, sample().pack(one.path()).unwrap());
    }

    #[test]
    fn what_was_kept_is_not_taken_for_other_entries() {
        let kept = tempfile::tempdir().unwrap();
        let (first, _) = sample().pack(kept.path()).unwrap();
        let mut other = sample();
        other.dir("data");
        assert_ne!(first, other.pack(kept.path()).unwrap().0);
    }

    #[test]
    fn a_broken_archive_is_an_error() {
        let kept = tempfile::tempdir().unwrap();
        let (packed, _) = sample().pack(kept.path()).unwrap();
        assert!(list(&packed[..packed.len() / 2]).is_err());
        assert!(list(b"nonsense").is_err());
    }
}
