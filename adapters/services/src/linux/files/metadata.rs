//! What the kernel knows of a file, in WASI's terms, and times in the other direction. Called by [`super`] only.

use std::fs::{File, FileTimes};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, FileType, StatxFlags, StatxTimestamp, Timespec, Timestamps, UTIME_OMIT, makedev, statx,
};
use rustix::path::Arg;
use vyoma_component::services::Datetime;
use vyoma_component::wasi::filesystem::{
    DescriptorStat, DescriptorType, ErrorCode, MetadataHash, NewTimestamp,
};

/// What is known of a file.
pub(super) struct Metadata {
    pub(super) stat: DescriptorStat,
    /// Device and inode.
    identity: (u64, u64),
}

impl Metadata {
    /// Of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            stat: DescriptorStat {
                kind: kind(FileType::from_raw_mode(metadata.mode())),
                link_count: metadata.nlink(),
                size: metadata.len(),
                data_access_timestamp: metadata.accessed().ok().and_then(datetime),
                data_modification_timestamp: metadata.modified().ok().and_then(datetime),
                // wasmtime-wasi gives the time of creation here, where the file system keeps one.
                status_change_timestamp: metadata.created().ok().and_then(datetime),
            },
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    /// Of a name in a directory, not followed.
    pub(super) fn of_name(directory: impl AsFd, name: impl Arg) -> io::Result<Self> {
        let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let found = statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, flags)?;
        let time = |flag: StatxFlags, time: StatxTimestamp| {
            (found.stx_mask & flag.bits() != 0)
                .then(|| timestamp(time))
                .flatten()
        };
        Ok(Self {
            stat: DescriptorStat {
                kind: kind(FileType::from_raw_mode(found.stx_mode.into())),
                link_count: found.stx_nlink.into(),
                size: found.stx_size,
                data_access_timestamp: time(StatxFlags::ATIME, found.stx_atime),
                data_modification_timestamp: time(StatxFlags::MTIME, found.stx_mtime),
                status_change_timestamp: time(StatxFlags::BTIME, found.stx_btime),
            },
            identity: (
                makedev(found.stx_dev_major, found.stx_dev_minor),
                found.stx_ino,
            ),
        })
    }

    /// Whether both are the same file.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// A number of the file's identity: the one that wasmtime-wasi gives, as long as both are made by the same Rust.
    pub(super) fn hash(&self) -> MetadataHash {
        let mut hasher = DefaultHasher::new();
        self.identity.hash(&mut hasher);
        let lower = hasher.finish();
        // There are 64 bits of it; the other half only has to differ.
        let upper = lower ^ std::f64::consts::PI.to_bits();
        MetadataHash { lower, upper }
    }
}

/// wasmtime-wasi tells neither pipes nor sockets from the unknown.
fn kind(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        _ => DescriptorType::Unknown,
    }
}

/// Times before 1970 are none: WASI 0.2 has no words for them.
fn datetime(time: SystemTime) -> Option<Datetime> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Datetime {
        seconds: since.as_secs(),
        nanoseconds: since.subsec_nanos(),
    })
}

fn timestamp(time: StatxTimestamp) -> Option<Datetime> {
    Some(Datetime {
        seconds: u64::try_from(time.tv_sec).ok()?,
        nanoseconds: time.tv_nsec,
    })
}

/// When; nothing: leave it.
pub(super) fn new_time(new: NewTimestamp) -> Result<Option<SystemTime>, ErrorCode> {
    let when = match new {
        NewTimestamp::NoChange => return Ok(None),
        NewTimestamp::Now => return Ok(Some(SystemTime::now())),
        NewTimestamp::Timestamp(when) => when,
    };
    // A guest may write more than a second into the nanoseconds.
    Duration::from_secs(when.seconds)
        .checked_add(Duration::from_nanos(when.nanoseconds.into()))
        .and_then(|since| UNIX_EPOCH.checked_add(since))
        .map(Some)
        .ok_or(ErrorCode::Overflow)
}

/// For [`File::set_times`].
pub(super) fn file_times(
    access: Option<SystemTime>,
    modification: Option<SystemTime>,
) -> FileTimes {
    let mut times = FileTimes::new();
    if let Some(access) = access {
        times = times.set_accessed(access);
    }
    if let Some(modification) = modification {
        times = times.set_modified(modification);
    }
    times
}

/// For `utimensat`.
pub(super) fn timestamps(
    access: Option<SystemTime>,
    modification: Option<SystemTime>,
) -> Timestamps {
    Timestamps {
        last_access: timespec(access),
        last_modification: timespec(modification),
    }
}

fn timespec(time: Option<SystemTime>) -> Timespec {
    let leave = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    // Times of a guest are none before 1970, and fit.
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(leave, |since| Timespec {
            tv_sec: since.as_secs().cast_signed(),
            tv_nsec: since.subsec_nanos().into(),
        })
}

/// The only component of `path`, when it is a name.
pub(super) fn only_name(path: &str) -> Option<&Path> {
    let mut components = Path::new(path).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) => Some(Path::new(name)),
        _ => None,
    }
}
