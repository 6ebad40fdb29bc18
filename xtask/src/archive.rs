//! The initramfs as bytes: a newc cpio archive, zstd-compressed. Two builds of the same entries are the same bytes: no
//! times, no owners, entries in order. Reads archives back too, so that a test sees what is really in an image.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};

use anyhow::{Context as _, ensure};
use cpio::newc::{Builder, Reader, trailer};

/// The highest level without long windows: a smaller image, and decompression costs the same at every level.
const LEVEL: i32 = 19;

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

    /// The compressed archive and its size before compression.
    pub(crate) fn pack(&self) -> anyhow::Result<(Vec<u8>, u64)> {
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
        let size = archive.len() as u64;
        Ok((zstd::bulk::compress(&archive, LEVEL)?, size))
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
        let (packed, size) = sample().pack().unwrap();
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
    fn the_same_entries_are_the_same_bytes() {
        assert_eq!(sample().pack().unwrap(), sample().pack().unwrap());
    }

    #[test]
    fn a_broken_archive_is_an_error() {
        let (packed, _) = sample().pack().unwrap();
        assert!(list(&packed[..packed.len() / 2]).is_err());
        assert!(list(b"nonsense").is_err());
    }
}
