//! PID 1 duties: what a Linux system needs around the daemon before and after it runs.
//!
//! [`start`] makes the system usable (descriptors, mounts, device nodes, host name, loopback, kernel settings, data
//! disk, clock, entropy) and tells what it found as notes; the other modules serve the running daemon and its end.
//! None of it decides anything about apps, and nothing here ends PID 1: what fails is a note, and the device goes on
//! with less. Called by the daemon when it is PID 1; hosted, only [`console`], [`epitaph`] and [`fault`] are used.
//!
//! A note is evidence, not a claim: what it says was read back from the kernel.

pub(crate) mod clock;
pub(crate) mod cmdline;
pub(crate) mod console;
mod disk;
mod entropy;
pub(crate) mod epitaph;
pub(crate) mod fault;
mod files;
pub(crate) mod hwdog;
mod mounts;
pub(crate) mod network;
pub(crate) mod power;
mod superblock;
mod system;

use std::fs;
use std::path::{Path, PathBuf};

use cmdline::CmdLine;

/// Something that was done or found, for the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Short machine-readable name: `mounts`, `hostname`, `network`, `data`, `clock`, `entropy`, ..., or `warning`.
    pub(crate) kind: String,
    /// One line for people.
    pub(crate) detail: String,
}

impl Note {
    pub(crate) fn new(kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            detail: detail.into(),
        }
    }

    pub(crate) fn warning(detail: impl Into<String>) -> Self {
        Self::new("warning", detail)
    }
}

/// What /data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataKind {
    /// The data disk.
    Disk,
    /// Memory: gone with the next reboot.
    Tmpfs,
}

/// What [`start`] leaves to the daemon.
#[derive(Debug)]
pub(crate) struct Started {
    /// Where the daemon keeps its state; exists.
    pub(crate) state_dir: PathBuf,
    /// What it lies on.
    pub(crate) data: DataKind,
    /// What happened, in order.
    pub(crate) notes: Vec<Note>,
}

/// Makes the system usable. Only for PID 1, before any thread is started.
pub(crate) fn start(line: &CmdLine) -> Started {
    let mut notes = Vec::new();
    // First of all: whatever opens a file next would become stdin, stdout or stderr of all that follows.
    system::sane_descriptors();
    notes.append(&mut mounts::mount_all());
    if line.faults.remount {
        notes.append(&mut mounts::mount_all_again());
    }
    notes.append(&mut system::device_nodes());
    system::sane_descriptors();
    notes.push(system::hostname(line.hostname.as_deref()));
    notes.push(network::loopback());
    notes.extend(network::name_server_file(Path::new("/etc/resolv.conf")));
    notes.append(&mut system::kernel_settings(line));
    let data = disk::mount_data(&line.data, &mut notes);
    let state_dir = PathBuf::from(disk::DATA).join("vyoma");
    notes.append(&mut state(&state_dir));
    notes.extend(clock::floor(&state_dir));
    notes.push(entropy::start(&state_dir));
    Started {
        state_dir,
        data,
        notes,
    }
}

/// The state directory itself, and the count of boots in it.
fn state(dir: &Path) -> Vec<Note> {
    let mut notes = Vec::new();
    let store = dir.join("store");
    if let Err(error) = fs::create_dir_all(&store) {
        notes.push(Note::warning(format!(
            "can't create {}: {error}",
            store.display()
        )));
    }
    notes.extend(mounts::allow_code_in(&store).err());
    let path = dir.join("boots");
    let boots = next_boot(&fs::read_to_string(&path).unwrap_or_default());
    match files::replace(&path, format!("{boots}\n").as_bytes()) {
        Ok(()) => notes.push(Note::new("boot", format!("boot {boots}"))),
        Err(error) => notes.push(Note::warning(format!(
            "can't write {}: {error}",
            path.display()
        ))),
    }
    notes
}

/// The count after this boot; a damaged file counts anew.
fn next_boot(text: &str) -> u64 {
    text.trim().parse::<u64>().unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_are_counted_and_a_damaged_count_starts_anew() {
        assert_eq!(next_boot(""), 1);
        assert_eq!(next_boot("41\n"), 42);
        assert_eq!(next_boot("many"), 1);
        assert_eq!(next_boot(&u64::MAX.to_string()), u64::MAX);
    }
}
