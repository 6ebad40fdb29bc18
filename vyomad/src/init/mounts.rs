//! The kernel's own file systems, mounted once and only once.
//!
//! What is mounted already is left alone, so that the same binary serves under a boot loader or an initramfs that did
//! part of it. Options are as tight as each file system's work allows. It knows nothing of the data disk (see
//! `disk`), except how to allow code in the store.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::Note;

/// One mount.
struct Entry {
    kind: &'static str,
    target: &'static str,
    flags: MsFlags,
    options: &'static str,
    /// A kernel without it is worth a word; else it is only left out.
    needed: bool,
}

const NO_DEV: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const NOTHING: MsFlags = NO_DEV.union(MsFlags::MS_NOEXEC);
/// Devices, but nothing to run.
const DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);

/// In order: a mount point must exist when its turn comes.
const TABLE: [Entry; 9] = [
    // hidepid: a process sees its own entries only; root, who is the daemon, sees all.
    Entry {
        kind: "proc",
        target: "/proc",
        flags: NOTHING,
        options: "hidepid=invisible",
        needed: true,
    },
    Entry {
        kind: "sysfs",
        target: "/sys",
        flags: NOTHING,
        options: "",
        needed: true,
    },
    // 1 MiB: nodes take no room, and nobody should fill memory through a typo in a /dev path.
    Entry {
        kind: "devtmpfs",
        target: "/dev",
        flags: DEVICES,
        options: "mode=0755,size=1m",
        needed: true,
    },
    Entry {
        kind: "devpts",
        target: "/dev/pts",
        flags: DEVICES,
        options: "mode=0600,ptmxmode=0666,newinstance",
        needed: false,
    },
    // Shared memory by name: no app may open it, engines may.
    Entry {
        kind: "tmpfs",
        target: "/dev/shm",
        flags: NOTHING,
        options: "mode=1777,size=16m,nr_inodes=1k",
        needed: true,
    },
    // Sockets, pid-like files.
    Entry {
        kind: "tmpfs",
        target: "/run",
        flags: NOTHING,
        options: "mode=0755,size=16m,nr_inodes=4k",
        needed: true,
    },
    // Components on their way in: capabilities/control.rs MAX_COMPONENT is 64 MiB.
    Entry {
        kind: "tmpfs",
        target: "/tmp",
        flags: NOTHING,
        options: "mode=1777,size=96m,nr_inodes=4k",
        needed: true,
    },
    Entry {
        kind: "cgroup2",
        target: "/sys/fs/cgroup",
        flags: NOTHING,
        options: "nsdelegate,memory_recursiveprot",
        needed: true,
    },
    Entry {
        kind: "configfs",
        target: "/sys/kernel/config",
        flags: NOTHING,
        options: "",
        needed: false,
    },
];

/// Mounts all that is not mounted yet.
pub(super) fn mount_all() -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    for entry in &TABLE {
        // Read anew each time: mounting /proc is what makes it readable.
        if is_mounted(&mount_table(), entry.target) {
            continue;
        }
        // sysfs makes its own mount points and refuses others: without the directory the kernel has no such part.
        if fs::create_dir_all(entry.target).is_err() && !entry.needed {
            continue;
        }
        match mount_entry(entry) {
            Ok(()) => {}
            Err(Errno::ENODEV | Errno::ENOENT) if !entry.needed => {}
            Err(error) => notes.push(Note::warning(format!(
                "can't mount {} on {}: {error}",
                entry.kind, entry.target
            ))),
        }
    }
    notes.push(Note::new("mounts", describe(&mount_table())));
    notes
}

/// The same again, as a test that it changes nothing.
pub(super) fn mount_all_again() -> Vec<Note> {
    let before = mount_table();
    let mut notes = mount_all();
    notes.retain(|note| note.kind == "warning");
    let after = mount_table();
    notes.push(if before == after {
        Note::new(
            "mounts",
            format!(
                "second pass changed nothing: {} mounts",
                after.lines().count()
            ),
        )
    } else {
        Note::warning(format!(
            "second pass changed the mounts: {} became {}",
            describe(&before),
            describe(&after)
        ))
    });
    notes
}

fn mount_entry(entry: &Entry) -> Result<(), Errno> {
    let options = Some(entry.options).filter(|text| !text.is_empty());
    match mount(
        Some(entry.kind),
        entry.target,
        Some(entry.kind),
        entry.flags,
        options,
    ) {
        // A kernel that does not know an option is older, not worse.
        Err(Errno::EINVAL) => mount(
            Some(entry.kind),
            entry.target,
            Some(entry.kind),
            entry.flags,
            None::<&str>,
        ),
        other => other,
    }
}

/// Files in `dir` may be mapped as code though the data disk says noexec. The store holds compiled apps, only the
/// daemon writes there, and app processes get one of its files as a descriptor.
pub(super) fn allow_code_in(dir: &Path) -> Result<(), Note> {
    if is_mounted(&mount_table(), &dir.to_string_lossy()) {
        return Ok(());
    }
    let none = None::<&str>;
    mount(Some(dir), dir, none, MsFlags::MS_BIND, none)
        .and_then(|()| {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | NO_DEV | MsFlags::MS_NOATIME;
            mount(none, dir, none, flags, none)
        })
        .map_err(|error| {
            Note::warning(format!(
                "compiled apps in {} can't run: bind mount: {error}",
                dir.display()
            ))
        })
}

pub(super) fn mount_table() -> String {
    fs::read_to_string("/proc/self/mounts").unwrap_or_default()
}

/// The last mount on `target`, as `(kind, options)`.
pub(super) fn mounted<'a>(table: &'a str, target: &str) -> Option<(&'a str, &'a str)> {
    table.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        (words.nth(1)? == target).then_some((words.next()?, words.next()?))
    })
}

fn is_mounted(table: &str, target: &str) -> bool {
    mounted(table, target).is_some()
}

/// `/proc proc nosuid,nodev,noexec; ...`: what the kernel says of each mount of the table.
fn describe(table: &str) -> String {
    let one = |entry: &Entry| {
        let (kind, options) = mounted(table, entry.target)?;
        let tight: Vec<_> = options
            .split(',')
            .filter(|o| matches!(*o, "nosuid" | "nodev" | "noexec"))
            .collect();
        Some(format!("{} {kind} {}", entry.target, tight.join(",")))
    };
    TABLE.iter().filter_map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "rootfs / rootfs rw 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n\
                        tmpfs /run tmpfs rw,nosuid,nodev 0 0\n";

    #[test]
    fn the_mount_table_is_read_as_the_kernel_writes_it() {
        assert_eq!(
            mounted(SEEN, "/proc"),
            Some(("proc", "rw,nosuid,nodev,noexec,relatime"))
        );
        assert_eq!(mounted(SEEN, "/pro"), None);
        assert_eq!(mounted("", "/proc"), None);
        assert_eq!(
            describe(SEEN),
            "/proc proc nosuid,nodev,noexec; /run tmpfs nosuid,nodev"
        );
    }

    #[test]
    fn no_mount_lets_set_uid_programs_run_and_only_dev_holds_devices() {
        for entry in &TABLE {
            assert!(
                entry
                    .flags
                    .contains(MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC),
                "{}",
                entry.target
            );
            assert!(
                entry.flags.contains(MsFlags::MS_NODEV) || entry.target.starts_with("/dev"),
                "{}",
                entry.target
            );
        }
    }
}
