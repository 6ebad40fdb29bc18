//! Finds the data disk and mounts it on /data, or a memory file system in its place.
//!
//! The rule is that a disk which is not surely ours is never written to: devices are opened read-only, a candidate is
//! mounted read-only without its journal first, and only what passed is mounted for writing. It formats and repairs
//! nothing: a device that formatted by itself would one day format the wrong disk. Called by [`super::start`].

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::statvfs;

use super::cmdline::DataChoice;
use super::mounts::{mount_table, mounted};
use super::superblock::{self, Content};
use super::{DataKind, Note};

/// Where the data disk, or its stand-in, is mounted.
pub(super) const DATA: &str = "/data";
/// Most devices that are looked at; a bus gone mad must not hold up the boot.
const MAX_DEVICES: usize = 64;
/// Entries of the root folder that are looked at before a disk is trusted.
const MAX_ENTRIES: usize = 64;
/// data=ordered: after a power cut a file holds its own bytes, never another file's old ones.
const OPTIONS: &str = "data=ordered,errors=remount-ro";
const FLAGS: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC)
    // Flash wears out by writing: reading a file must not write its date.
    .union(MsFlags::MS_NOATIME);

// The kernel's own lock against writing (linux/fs.h): holds whatever a mount tries.
nix::ioctl_write_ptr_bad!(blkroset, 0x125D, i32);

/// One block device and what it holds.
struct Disk {
    path: PathBuf,
    content: Content,
}

/// Mounts /data and says on what.
pub(super) fn mount_data(choice: &DataChoice, notes: &mut Vec<Note>) -> DataKind {
    if let Err(error) = fs::create_dir_all(DATA) {
        notes.push(Note::warning(format!("can't create {DATA}: {error}")));
    }
    let why = match choice {
        DataChoice::Tmpfs => "by wish of vyoma.data=tmpfs".to_owned(),
        DataChoice::Label(label) => {
            if let Some((kind, _)) = mounted(&mount_table(), DATA) {
                notes.push(Note::new(
                    "data",
                    format!("{DATA} was mounted already ({kind})"),
                ));
                return if kind == "tmpfs" {
                    DataKind::Tmpfs
                } else {
                    DataKind::Disk
                };
            }
            match mount_labelled(label, notes) {
                Ok(()) => return DataKind::Disk,
                Err(why) => why,
            }
        }
    };
    let kind = if *choice == DataChoice::Tmpfs {
        "data"
    } else {
        "warning"
    };
    notes.push(mount_tmpfs(kind, &why));
    DataKind::Tmpfs
}

/// Mounts the disk with this label, or says in one phrase why there is none.
fn mount_labelled(label: &str, notes: &mut Vec<Note>) -> Result<(), String> {
    let disks = disks(notes);
    if disks.is_empty() {
        return Err("no block device was found".to_owned());
    }
    let mut mounted_one = false;
    for disk in &disks {
        let name = disk.path.display();
        if let Content::Ext4 {
            label: found,
            clean,
        } = &disk.content
            && found == label
        {
            if mounted_one {
                notes.push(Note::warning(format!(
                    "{name} is labelled `{label}` too and is not used: remove or relabel it"
                )));
            } else {
                match mount_sound(&disk.path, *clean) {
                    Ok(()) => {
                        mounted_one = true;
                        notes.push(mounted_note(&disk.path));
                    }
                    Err(Refusal { why, replayed }) => {
                        let found = format!("an ext4 file system labelled `{label}`, but {why}");
                        let done = if replayed {
                            "its journal was replayed, nothing else was written"
                        } else {
                            UNTOUCHED
                        };
                        notes.push(report(disk, &found, done, REPAIR));
                    }
                }
            }
        } else if !matches!(disk.content, Content::Ext4 { .. } | Content::Other(_)) || !mounted_one
        {
            notes.push(describe(disk, label));
        }
    }
    if mounted_one {
        Ok(())
    } else {
        Err(format!(
            "no sound ext4 file system labelled `{label}` was found"
        ))
    }
}

const FORMAT: &str = "to use it, format it elsewhere: mke2fs -t ext4 -L";
const UNTOUCHED: &str = "left untouched";
const REPAIR: &str = "repair it elsewhere: e2fsck -f";

/// The note about a disk that is not used.
fn describe(disk: &Disk, label: &str) -> Note {
    let format = format!("{FORMAT} {label}");
    let untouched = |found: &str, advice: &str| report(disk, found, UNTOUCHED, advice);
    match &disk.content {
        Content::Blank => untouched("nothing (blank)", &format),
        Content::Unknown => match label_in_copy(&disk.path) {
            Some(found) => {
                let what = format!("no superblock, but a copy of one labelled `{found}`");
                untouched(&what, REPAIR)
            }
            None => untouched("data that is not recognised", &format),
        },
        Content::Other(name) => untouched(name, &format),
        Content::Ext4 { label: other, .. } => untouched(
            &format!("an ext4 file system labelled `{other}`, not `{label}`"),
            &format!("name it on the kernel command line: vyoma.data={other}, or {format}"),
        ),
        Content::DamagedExt4 { label: found, why } => untouched(
            &format!("a damaged ext4 file system labelled `{found}`: {why}"),
            REPAIR,
        ),
    }
}

fn report(disk: &Disk, found: &str, done: &str, advice: &str) -> Note {
    let name = disk.path.display();
    Note::new(
        "data-disk",
        format!("{name} holds {found}; {done}; {advice}"),
    )
}

/// Every block device that could be a data disk, by name, with what it holds.
fn disks(notes: &mut Vec<Note>) -> Vec<Disk> {
    let mut disks = Vec::new();
    for name in device_names(Path::new("/sys/block")) {
        let path = Path::new("/dev").join(&name);
        match read_content(&path) {
            Ok(Some(content)) => disks.push(Disk { path, content }),
            // No medium, or a device of no bytes.
            Ok(None) => {}
            Err(error) => notes.push(Note::new(
                "data-disk",
                format!(
                    "{} can't be read: {error}; left untouched; check the disk",
                    path.display()
                ),
            )),
        }
    }
    disks
}

/// Names of disks and partitions below `sys` (/sys/block), without devices that only exist in memory. A disk with
/// partitions stands for itself only through them.
fn device_names(sys: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for disk in entries(sys) {
        if ["loop", "ram", "zram", "fd", "sr"].iter().any(|kind| {
            disk.strip_prefix(kind)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        }) {
            continue;
        }
        let folder = sys.join(&disk);
        let parts: Vec<_> = entries(&folder)
            .into_iter()
            .filter(|part| folder.join(part).join("partition").exists())
            .collect();
        if parts.is_empty() {
            names.push(disk);
        } else {
            names.extend(parts);
        }
    }
    names.truncate(MAX_DEVICES);
    names
}

fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn read_content(path: &Path) -> std::io::Result<Option<Content>> {
    let mut device = File::open(path)?;
    let size = device.seek(SeekFrom::End(0))?;
    if size == 0 {
        return Ok(None);
    }
    device.rewind()?;
    let mut head = Vec::with_capacity(superblock::HEAD);
    device
        .take(superblock::HEAD as u64)
        .read_to_end(&mut head)?;
    Ok(Some(superblock::judge(&head, size)))
}

/// The label in the first copy of a superblock, where the superblock itself is gone.
fn label_in_copy(path: &Path) -> Option<String> {
    let mut device = File::open(path).ok()?;
    superblock::COPIES.iter().find_map(|at| {
        let mut block = [0; superblock::SIZE];
        device.seek(SeekFrom::Start(*at)).ok()?;
        device.read_exact(&mut block).ok()?;
        superblock::label_of_copy(&block)
    })
}

/// Why a disk of ours can't be used.
struct Refusal {
    why: String,
    /// Its journal was replayed before that came out; nothing else was written to it.
    replayed: bool,
}

/// Mounts a device for writing once it has passed a look that writes nothing.
fn mount_sound(device: &Path, clean: bool) -> Result<(), Refusal> {
    let untouched = |why| Refusal {
        why,
        replayed: false,
    };
    look(device, clean).map_err(untouched)?;
    // A clean file system is mounted already, read-only.
    let again = if clean {
        MsFlags::MS_REMOUNT
    } else {
        MsFlags::empty()
    };
    let flags = FLAGS | again;
    let mounted = lock(device, false)
        .map_err(|error| format!("it can't be unlocked: {error}"))
        .and_then(|()| {
            mount(Some(device), DATA, Some("ext4"), flags, Some(OPTIONS))
                .map_err(|error| format!("it can't be mounted for writing: {error}"))
        });
    if let Err(why) = mounted {
        if clean {
            let _ = umount2(DATA, MntFlags::empty());
        }
        let _ = lock(device, true);
        return Err(untouched(why));
    }
    if !clean && let Err(why) = root_is_sound() {
        let _ = umount2(DATA, MntFlags::empty());
        let _ = lock(device, true);
        return Err(Refusal {
            why,
            replayed: true,
        });
    }
    Ok(())
}

/// Mounts a device so that nothing can be written to it. A clean one stays mounted so; one whose journal holds
/// something is unmounted again, because only its replay makes it whole.
fn look(device: &Path, clean: bool) -> Result<(), String> {
    // With the lock on the device itself, nothing that the kernel does on a damaged file system reaches the disk. A
    // device that fails keeps the lock until the next boot.
    lock(device, true).map_err(|error| format!("it can't be locked for a look at it: {error}"))?;
    let flags = FLAGS | MsFlags::MS_RDONLY;
    let options = if clean { OPTIONS } else { "noload" };
    mount(Some(device), DATA, Some("ext4"), flags, Some(options))
        .map_err(|error| format!("it can't be mounted: {error}"))?;
    // Before its replay, a sound folder may name files that are only in the journal yet.
    let sound = if clean { root_is_sound() } else { Ok(()) };
    if sound.is_err() || !clean {
        umount2(DATA, MntFlags::empty())
            .map_err(|error| format!("it can't be unmounted after a look at it: {error}"))?;
    }
    sound
}

/// The root folder and what it names can be read: a coarse check, but it finds an inode table that is gone.
fn root_is_sound() -> Result<(), String> {
    fs::read_dir(DATA)
        .and_then(|entries| {
            entries
                .take(MAX_ENTRIES)
                .try_for_each(|entry| entry?.metadata().map(drop))
        })
        .map_err(|error| format!("its root folder can't be read: {error}"))
}

fn lock(device: &Path, on: bool) -> std::io::Result<()> {
    let file = File::open(device)?;
    let value = i32::from(on);
    // SAFETY: `value` is an int and valid for the call.
    unsafe { blkroset(file.as_raw_fd(), &raw const value) }?;
    Ok(())
}

fn mounted_note(device: &Path) -> Note {
    let table = mount_table();
    let (kind, options) = mounted(&table, DATA).unwrap_or(("nothing", ""));
    Note::new(
        "data",
        format!(
            "{} on {DATA} ({kind}, {options}), {}",
            device.display(),
            room()
        ),
    )
}

/// Memory in place of a disk.
fn mount_tmpfs(kind: &str, why: &str) -> Note {
    // A quarter of memory: the rest is the apps'. Inodes are memory too.
    let options = Some("mode=0755,size=25%,nr_inodes=16k");
    if let Err(error) = mount(Some("tmpfs"), DATA, Some("tmpfs"), FLAGS, options) {
        return Note::warning(format!(
            "{DATA} has no file system: {why}, and tmpfs can't be mounted: {error}"
        ));
    }
    Note::new(
        kind,
        format!(
            "{DATA} is in MEMORY and will be lost at the next reboot: {why}; tmpfs, {}",
            room()
        ),
    )
}

fn room() -> String {
    match statvfs(DATA) {
        Ok(all) => format!(
            "{} MiB, {} free",
            mib(all.blocks(), all.fragment_size()),
            mib(all.blocks_available(), all.fragment_size())
        ),
        Err(error) => format!("size unknown: {error}"),
    }
}

/// The types of the two numbers differ between C libraries.
fn mib(blocks: impl TryInto<u64>, size: impl TryInto<u64>) -> u64 {
    blocks
        .try_into()
        .unwrap_or(0)
        .saturating_mul(size.try_into().unwrap_or(0))
        >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_partitions_stands_for_itself_through_them() {
        let sys = tempfile::tempdir().unwrap();
        for path in [
            "vda",
            "vdb/vdb1",
            "vdb/vdb2",
            "vdb/queue",
            "loop0",
            "ram3",
            "zram0",
            "fdisk",
        ] {
            fs::create_dir_all(sys.path().join(path)).unwrap();
        }
        for part in ["vdb/vdb1", "vdb/vdb2"] {
            fs::write(sys.path().join(part).join("partition"), "1").unwrap();
        }
        assert_eq!(device_names(sys.path()), ["fdisk", "vda", "vdb1", "vdb2"]);
        assert_eq!(device_names(Path::new("/nonexistent")), [""; 0]);
    }

    #[test]
    fn an_unused_disk_is_reported_with_its_content_and_what_to_do() {
        let detail = |content| {
            describe(
                &Disk {
                    path: "/dev/vdx".into(),
                    content,
                },
                "vyoma-data",
            )
            .detail
        };
        assert_eq!(
            detail(Content::Blank),
            "/dev/vdx holds nothing (blank); left untouched; to use it, format it elsewhere: mke2fs -t ext4 -L vyoma-data"
        );
        assert!(
            detail(Content::Ext4 {
                label: "photos".into(),
                clean: true
            })
            .contains("labelled `photos`, not `vyoma-data`; left untouched; name it")
        );
        assert!(
            detail(Content::DamagedExt4 {
                label: "vyoma-data".into(),
                why: "x".into()
            })
            .ends_with("e2fsck -f")
        );
        assert!(detail(Content::Other("swap space")).contains("holds swap space; left untouched"));
        assert!(detail(Content::Unknown).contains("not recognised"));
    }

    #[test]
    fn a_file_stands_for_a_device_and_is_read_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(read_content(file.path()).unwrap(), None);
        file.as_file().set_len(1 << 20).unwrap();
        assert_eq!(read_content(file.path()).unwrap(), Some(Content::Blank));
    }
}
