//! The types of `wasi:filesystem/types@0.2`, in WIT's order and words.

use alloc::string::String;

use crate::services::Datetime;
use crate::{enumeration, flags, record, variant};

enumeration! {
    /// What a descriptor or a directory entry is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of WASI 0.2 filesystem/types")]
    pub enum DescriptorType {
        Unknown,
        BlockDevice,
        CharacterDevice,
        Directory,
        Fifo,
        SymbolicLink,
        RegularFile,
        Socket,
    }
}

/// What a descriptor may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DescriptorFlags(pub u8);

flags!(DescriptorFlags, 6);

impl DescriptorFlags {
    /// Data can be read; entries can be listed.
    pub const READ: Self = Self(1);
    /// Data can be written.
    pub const WRITE: Self = Self(1 << 1);
    /// Like `O_SYNC`.
    pub const FILE_INTEGRITY_SYNC: Self = Self(1 << 2);
    /// Like `O_DSYNC`.
    pub const DATA_INTEGRITY_SYNC: Self = Self(1 << 3);
    /// Like `O_RSYNC`.
    pub const REQUESTED_WRITE_SYNC: Self = Self(1 << 4);
    /// Entries can be made, renamed and removed.
    pub const MUTATE_DIRECTORY: Self = Self(1 << 5);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How a path is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathFlags(pub u8);

flags!(PathFlags, 1);

impl PathFlags {
    /// The last component is followed when it is a symbolic link. (Those before it always are.)
    pub const SYMLINK_FOLLOW: Self = Self(1);
}

/// How `open-at` opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenFlags(pub u8);

flags!(OpenFlags, 4);

impl OpenFlags {
    /// Like `O_CREAT`.
    pub const CREATE: Self = Self(1);
    /// Like `O_DIRECTORY`.
    pub const DIRECTORY: Self = Self(1 << 1);
    /// Like `O_EXCL`.
    pub const EXCLUSIVE: Self = Self(1 << 2);
    /// Like `O_TRUNC`.
    pub const TRUNCATE: Self = Self(1 << 3);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorStat {
    /// What it is.
    pub kind: DescriptorType,
    /// Hard links to it.
    pub link_count: u64,
    /// Bytes of a regular file; of a symbolic link, those of its target's path.
    pub size: u64,
    /// Last read.
    pub data_access_timestamp: Option<Datetime>,
    /// Last write.
    pub data_modification_timestamp: Option<Datetime>,
    /// Last change of its status.
    pub status_change_timestamp: Option<Datetime>,
}

record!(DescriptorStat {
    kind: DescriptorType,
    link_count: u64,
    size: u64,
    data_access_timestamp: Option<Datetime>,
    data_modification_timestamp: Option<Datetime>,
    status_change_timestamp: Option<Datetime>,
});

/// What to do with a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewTimestamp {
    /// Leave it.
    NoChange,
    /// The time of the call.
    Now,
    /// This one.
    Timestamp(Datetime),
}

variant!(NewTimestamp {
    0 NoChange,
    1 Now,
    2 Timestamp(Datetime),
});

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// What it names.
    pub kind: DescriptorType,
    /// The name, without any path.
    pub name: String,
}

record!(DirectoryEntry {
    kind: DescriptorType,
    name: String,
});

enumeration! {
    /// Why an operation failed, as errno would say it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of WASI 0.2 filesystem/types")]
    pub enum ErrorCode {
        Access,
        WouldBlock,
        Already,
        BadDescriptor,
        Busy,
        Deadlock,
        Quota,
        Exist,
        FileTooLarge,
        IllegalByteSequence,
        InProgress,
        Interrupted,
        Invalid,
        Io,
        IsDirectory,
        Loop,
        TooManyLinks,
        MessageSize,
        NameTooLong,
        NoDevice,
        NoEntry,
        NoLock,
        InsufficientMemory,
        InsufficientSpace,
        NotDirectory,
        NotEmpty,
        NotRecoverable,
        Unsupported,
        NoTty,
        NoSuchDevice,
        Overflow,
        NotPermitted,
        Pipe,
        ReadOnly,
        InvalidSeek,
        TextFileBusy,
        CrossDevice,
    }
}

impl ErrorCode {
    /// The case of this number, as [`IoError::filesystem_code`](crate::services::IoError::filesystem_code) holds it.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::CASES.get(usize::from(number)).copied()
    }
}

enumeration! {
    /// How the guest is about to use a range of a file.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of WASI 0.2 filesystem/types")]
    pub enum Advice {
        Normal,
        Sequential,
        Random,
        WillNeed,
        DontNeed,
        NoReuse,
    }
}

/// Equal for the same file, most likely different for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataHash {
    /// 64 bits of it.
    pub lower: u64,
    /// The other 64.
    pub upper: u64,
}

record!(MetadataHash {
    lower: u64,
    upper: u64,
});
