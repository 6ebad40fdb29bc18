//! Data disks for QEMU: what a device keeps its state on. Formats only files that it has just made.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::context::{capture, which};

/// Size of a made disk, in bytes. Sparse: it costs what is written to it.
const SIZE: u64 = 256 << 20;

/// The label that vyomad looks for.
const LABEL: &str = "vyoma-data";

/// `--data`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disk {
    /// No disk.
    None,
    /// A disk of zeros.
    Blank,
    /// A newly formatted one that is thrown away afterwards.
    Fresh,
    /// This image file, as it is.
    File(PathBuf),
}

impl std::str::FromStr for Disk {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "none" => Self::None,
            "blank" => Self::Blank,
            "fresh" => Self::Fresh,
            file => Self::File(file.into()),
        })
    }
}

/// The disk's file, made in `scratch` when it is one that is thrown away.
pub(crate) fn prepare(disk: &Disk, scratch: &Path) -> anyhow::Result<Option<PathBuf>> {
    let path = scratch.join("data.img");
    match disk {
        Disk::None => return Ok(None),
        Disk::File(file) => {
            ensure!(
                file.is_file(),
                "--data: found no file {}; expected one, or none, blank or fresh",
                file.display()
            );
            return Ok(Some(file.clone()));
        }
        Disk::Blank => blank(&path, SIZE)?,
        Disk::Fresh => format(&path, SIZE)?,
    }
    Ok(Some(path))
}

/// Makes the disk `path` unless it is there.
pub(crate) fn keep(path: &Path) -> anyhow::Result<()> {
    if path.is_file() {
        return Ok(());
    }
    let dir = path.parent().context("a disk has a folder")?;
    std::fs::create_dir_all(dir)?;
    let fresh = tempfile::tempdir_in(dir)?;
    let made = fresh.path().join("data.img");
    format(&made, SIZE)?;
    std::fs::rename(&made, path)?;
    Ok(())
}

fn blank(path: &Path, size: u64) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_len(size)?;
    Ok(())
}

/// Makes an ext4 file system of `size` bytes with the label that vyomad looks for, in a new file.
pub(crate) fn format(path: &Path, size: u64) -> anyhow::Result<()> {
    blank(path, size)?;
    let mke2fs = which("mke2fs").context("mke2fs is not installed; run `make setup`")?;
    // Everything initialised now: a device that boots for the first time has better things to do.
    let options = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-L",
        LABEL,
        "-E",
        "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
    ];
    capture(Command::new(mke2fs).args(options).arg(path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_disk_is_ext4_with_the_label_and_a_blank_one_is_empty() {
        let scratch = tempfile::tempdir().unwrap();
        let disk = prepare(&Disk::Fresh, scratch.path()).unwrap().unwrap();
        let bytes = std::fs::read(&disk).unwrap();
        // ext4: superblock at 1024, magic at +0x38, volume name at +0x78 (kernel Documentation/filesystems/ext4).
        assert_eq!(bytes[1024 + 0x38..][..2], [0x53, 0xef]);
        assert_eq!(&bytes[1024 + 0x78..][..LABEL.len()], LABEL.as_bytes());
        let disk = prepare(&Disk::Blank, scratch.path()).unwrap().unwrap();
        assert!(std::fs::read(&disk).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_kept_disk_is_never_formatted_again() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("kept.img");
        std::fs::write(&path, "precious").unwrap();
        keep(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
