//! Files of the app's data folder, which is the guest's `/`, as the grant `filesystem` allows.
//!
//! What every function gives, down to the error code, is what wasmtime-wasi 48 gives on Linux, so that an app behaves the same on
//! every engine. Paths are looked up with `openat2` and `RESOLVE_BENEATH` ([`path`]), which is also what wasmtime-wasi does: the kernel
//! itself keeps the guest in its folder, also while somebody renames directories or swaps links meanwhile. The library
//! cap-std would add only the walk by hand for kernels without `openat2` (before Linux 5.6), at which Vyoma does not aim; on such
//! a kernel an app with the grant does not start. All calls are in the list that the daemon's system call filter allows with
//! the grant. Disk I/O is done on the calling thread, the only one. Who is allowed what on the host is not checked here:
//! that is up to the process's uid and its Landlock rules.

mod error;
mod filesystem;
mod metadata;
mod path;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use vyoma_component::wasi::filesystem::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    MetadataHash, NewTimestamp, OpenFlags, PathFlags,
};

use vyoma_runtime::{EngineError, RunConfig};

pub(crate) use self::error::io_error;
use self::metadata::Metadata;
use self::path::Place;
use self::stream::{Reader, Writer};
use super::{Input, Output};

type Result<T> = std::result::Result<T, ErrorCode>;

/// The name of the data folder for the guest.
const ROOT: &str = "/";

/// The files of one app: its data folder, or none.
pub(crate) struct Files(Option<Descriptor>);

impl Files {
    /// As the grants of `config` have it.
    pub(crate) fn new(config: &RunConfig) -> std::result::Result<Self, EngineError> {
        if !config.grants.filesystem {
            return Ok(Self(None));
        }
        let refused = |why: &str| EngineError::Refused(format!("the data folder: {why}"));
        let folder = config
            .data
            .as_ref()
            .ok_or_else(|| refused("the filesystem grant needs one"))?;
        // A description of its own, for looking up only, whatever the given one is good for; as under wasmtime-wasi.
        let root =
            path::open(folder, ".", OFlags::PATH | OFlags::DIRECTORY).map_err(
                |errno| match errno {
                    Errno::NOSYS => refused("needs a kernel with openat2 (Linux 5.6 or later)"),
                    errno => refused(&io::Error::from(errno).to_string()),
                },
            )?;
        Ok(Self(Some(Descriptor {
            file: Rc::new(root.into()),
            is_directory: true,
            flags: DescriptorFlags::READ.with(DescriptorFlags::MUTATE_DIRECTORY),
        })))
    }

    /// `get-directories`
    fn preopens(&self) -> Vec<(Descriptor, String)> {
        self.0
            .iter()
            .map(|root| (root.clone(), ROOT.to_string()))
            .collect()
    }
}

/// An open file or directory.
#[derive(Clone)]
pub struct Descriptor {
    file: Rc<File>,
    is_directory: bool,
    flags: DescriptorFlags,
}

fn failed(error: impl Into<io::Error>) -> ErrorCode {
    error::code(&error.into())
}

/// Operations on what is open.
impl Descriptor {
    fn file(&self) -> Result<&Rc<File>> {
        if self.is_directory {
            Err(ErrorCode::BadDescriptor)
        } else {
            Ok(&self.file)
        }
    }

    fn directory(&self) -> Result<&File> {
        if self.is_directory {
            Ok(&self.file)
        } else {
            Err(ErrorCode::NotDirectory)
        }
    }

    fn read_via_stream(&self, offset: u64) -> Result<Input> {
        if self.is_directory {
            return Err(ErrorCode::IsDirectory);
        }
        Ok(Input::new(Reader::new(Rc::clone(&self.file), offset)))
    }

    /// At the end when there is no offset.
    fn write_via_stream(&self, offset: Option<u64>) -> Result<Output> {
        let file = Rc::clone(self.file()?);
        Ok(Output::new(Writer::new(file, offset)))
    }

    fn advise(&self, offset: u64, length: u64, advice: Advice) -> Result<()> {
        let advice = match advice {
            Advice::Normal => rustix::fs::Advice::Normal,
            Advice::Sequential => rustix::fs::Advice::Sequential,
            Advice::Random => rustix::fs::Advice::Random,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
            Advice::NoReuse => rustix::fs::Advice::NoReuse,
        };
        rustix::fs::fadvise(self.file()?, offset, NonZeroU64::new(length), advice).map_err(failed)
    }

    /// What to give to the kernel for writing back: a directory may be open for looking up only.
    fn syncable(&self) -> Result<Rc<File>> {
        if !self.is_directory {
            return Ok(Rc::clone(&self.file));
        }
        let directory = path::open(&self.file, ".", OFlags::RDONLY).map_err(path::code)?;
        Ok(Rc::new(directory.into()))
    }

    fn sync_data(&self) -> Result<()> {
        self.syncable()?.sync_data().map_err(failed)
    }

    fn sync(&self) -> Result<()> {
        self.syncable()?.sync_all().map_err(failed)
    }

    fn get_type(&self) -> Result<DescriptorType> {
        Ok(self.stat()?.kind)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.file()?.set_len(size).map_err(failed)
    }

    fn set_times(&self, access: NewTimestamp, modification: NewTimestamp) -> Result<()> {
        let access = metadata::new_time(access)?;
        let modification = metadata::new_time(modification)?;
        self.file
            .set_times(metadata::file_times(access, modification))
            .map_err(failed)
    }

    fn read_at(&self, length: u64, offset: u64) -> Result<Vec<u8>> {
        let file = self.file()?;
        let most = usize::try_from(length).map_or(stream::MOST, |length| length.min(stream::MOST));
        let mut bytes = vec![0; most];
        let count = file.read_at(&mut bytes, offset).map_err(failed)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<u64> {
        let count = self.file()?.write_at(bytes, offset).map_err(failed)?;
        Ok(count as u64)
    }

    fn metadata(&self) -> Result<Metadata> {
        Metadata::of(&self.file).map_err(failed)
    }

    fn stat(&self) -> Result<DescriptorStat> {
        Ok(self.metadata()?.stat)
    }

    fn metadata_hash(&self) -> Result<MetadataHash> {
        Ok(self.metadata()?.hash())
    }

    fn is_same_object(&self, other: &Self) -> Result<bool> {
        Ok(self.metadata()?.is_same(&other.metadata()?))
    }

    fn read_directory(&self) -> Result<Vec<Result<DirectoryEntry>>> {
        // A description of its own: its position is the listing's.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(self.directory()?, ".", flags, Mode::empty())
            .and_then(Dir::new)
            .map_err(failed)?;
        let entry = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
            let entry = entry.map_err(failed)?;
            let found = Metadata::of_name(&*self.file, entry.file_name()).map_err(failed)?;
            let name = entry.file_name().to_str();
            Ok(DirectoryEntry {
                kind: found.stat.kind,
                name: name
                    .map_err(|_| ErrorCode::IllegalByteSequence)?
                    .to_string(),
            })
        };
        Ok(listed
            .filter(|entry| {
                let name = entry.as_ref().map(|entry| entry.file_name().to_bytes());
                !matches!(name, Ok(b"." | b".."))
            })
            .map(entry)
            .collect())
    }
}

/// Operations on paths.
impl Descriptor {
    fn create_directory_at(&self, path: &str) -> Result<()> {
        let start = self.directory()?;
        let place = Place::find(start, path::without_slashes(path))?;
        // As for `mkdir`: the process's umask takes from it.
        rustix::fs::mkdirat(&place, place.name, Mode::from_raw_mode(0o777)).map_err(failed)
    }

    fn metadata_at(&self, flags: PathFlags, path: &str) -> Result<Metadata> {
        let start = self.directory()?;
        let mut how = OFlags::PATH;
        if !flags.contains(PathFlags::SYMLINK_FOLLOW) {
            // One call instead of three. (A slash at the end then says nothing, as under wasmtime-wasi.)
            if let Some(name) = metadata::only_name(path) {
                return Metadata::of_name(start, name).map_err(failed);
            }
            how |= OFlags::NOFOLLOW;
        }
        let found = path::open(start, path, how).map_err(path::code)?;
        Metadata::of(&found.into()).map_err(failed)
    }

    fn stat_at(&self, flags: PathFlags, path: &str) -> Result<DescriptorStat> {
        Ok(self.metadata_at(flags, path)?.stat)
    }

    fn metadata_hash_at(&self, flags: PathFlags, path: &str) -> Result<MetadataHash> {
        Ok(self.metadata_at(flags, path)?.hash())
    }

    fn set_times_at(
        &self,
        flags: PathFlags,
        path: &str,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> Result<()> {
        let start = self.directory()?;
        let access = metadata::new_time(access)?;
        let modification = metadata::new_time(modification)?;
        if !flags.contains(PathFlags::SYMLINK_FOLLOW) {
            let place = Place::find(start, path)?;
            let times = metadata::timestamps(access, modification);
            return rustix::fs::utimensat(&place, place.name, &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed);
        }
        // The path's own look-up has to be the kernel's guarded one, so the file is opened: for whatever it lets itself be
        // opened for.
        let unopenable = |errno| matches!(errno, Errno::ACCESS | Errno::ISDIR);
        let opened = match path::open(start, path, OFlags::WRONLY) {
            Err(errno) if unopenable(errno) => path::open(start, path, OFlags::RDONLY),
            other => other,
        };
        match opened {
            Ok(opened) => File::from(opened)
                .set_times(metadata::file_times(access, modification))
                .map_err(failed),
            Err(Errno::ACCESS) => {
                let found = path::open(start, path, OFlags::PATH).map_err(path::code)?;
                let times = metadata::timestamps(access, modification);
                rustix::fs::utimensat(&found, "", &times, AtFlags::EMPTY_PATH).map_err(failed)
            }
            Err(errno) => Err(path::code(errno)),
        }
    }

    fn link_at(&self, flags: PathFlags, path: &str, to: &Self, to_path: &str) -> Result<()> {
        let (old, new) = (self.directory()?, to.directory()?);
        if flags.contains(PathFlags::SYMLINK_FOLLOW) {
            return Err(ErrorCode::Invalid);
        }
        let old = Place::find(old, path)?;
        let new = Place::find(new, to_path)?;
        rustix::fs::linkat(&old, old.name, &new, new.name, AtFlags::empty()).map_err(failed)
    }

    fn open_at(
        &self,
        path_flags: PathFlags,
        path: &str,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Self> {
        let start = self.directory()?;
        let synchronised = DescriptorFlags::FILE_INTEGRITY_SYNC
            .with(DescriptorFlags::DATA_INTEGRITY_SYNC)
            .with(DescriptorFlags::REQUESTED_WRITE_SYNC);
        if flags.0 & synchronised.0 != 0 {
            return Err(ErrorCode::Unsupported);
        }
        let has = |flag| open_flags.contains(flag);
        let directory_wanted = has(OpenFlags::DIRECTORY);
        if directory_wanted && open_flags != OpenFlags::DIRECTORY {
            return Err(ErrorCode::Invalid);
        }
        // A file is opened for reading when it is not for writing, whatever the guest asked for. Making and truncating
        // take writing.
        let writes = flags.contains(DescriptorFlags::WRITE);
        let read = flags.contains(DescriptorFlags::READ) || !writes;
        let write = writes || has(OpenFlags::CREATE) || has(OpenFlags::TRUNCATE);
        let mut how = match (read, write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        if has(OpenFlags::CREATE) && has(OpenFlags::EXCLUSIVE) {
            how |= OFlags::CREATE | OFlags::EXCL;
        } else {
            how.set(OFlags::CREATE, has(OpenFlags::CREATE));
            how.set(OFlags::TRUNC, has(OpenFlags::TRUNCATE));
        }
        how.set(
            OFlags::NOFOLLOW,
            !path_flags.contains(PathFlags::SYMLINK_FOLLOW),
        );
        let opened: OwnedFd = path::open(start, path, how).map_err(path::code)?;
        let file = File::from(opened);
        let is_directory = file.metadata().map_err(failed)?.is_dir();
        if directory_wanted && !is_directory {
            return Err(ErrorCode::NotDirectory);
        }
        let mut flags = DescriptorFlags::default();
        if read {
            flags = flags.with(DescriptorFlags::READ);
        }
        if write {
            // No directory can be opened for writing; nor does a guest need it to change what is in one.
            flags = flags.with(DescriptorFlags::WRITE);
        }
        Ok(Self {
            file: Rc::new(file),
            is_directory,
            flags,
        })
    }

    fn readlink_at(&self, path: &str) -> Result<String> {
        let start = self.directory()?;
        let place = Place::find(start, path)?;
        let target = rustix::fs::readlinkat(&place, place.name, Vec::new()).map_err(failed)?;
        if target.to_bytes().starts_with(b"/") {
            // Leads out of the guest's world, which has no name for it.
            return Err(ErrorCode::NotPermitted);
        }
        target
            .into_string()
            .map_err(|_| ErrorCode::IllegalByteSequence)
    }

    fn remove_directory_at(&self, path: &str) -> Result<()> {
        let start = self.directory()?;
        let place = Place::find(start, path)?;
        rustix::fs::unlinkat(&place, place.name, AtFlags::REMOVEDIR).map_err(failed)
    }

    fn rename_at(&self, path: &str, to: &Self, to_path: &str) -> Result<()> {
        let (old, new) = (self.directory()?, to.directory()?);
        // A slash at the end of either is no part of a name, but wants a directory: the kernel checks that when the old name
        // has one.
        let directory_wanted = path.ends_with('/') || to_path.ends_with('/');
        let old = Place::find(old, path::without_slashes(path))?;
        let new = Place::find(new, path::without_slashes(to_path))?;
        let mut old_name = old.name.to_os_string();
        if directory_wanted {
            old_name.push("/");
        }
        rustix::fs::renameat(&old, old_name, &new, new.name).map_err(failed)
    }

    fn symlink_at(&self, target: &str, path: &str) -> Result<()> {
        let start = self.directory()?;
        if target.starts_with('/') {
            return Err(ErrorCode::NotPermitted);
        }
        let place = Place::find(start, path)?;
        rustix::fs::symlinkat(target, &place, place.name).map_err(failed)
    }

    fn unlink_file_at(&self, path: &str) -> Result<()> {
        let start = self.directory()?;
        let place = Place::find(start, path)?;
        rustix::fs::unlinkat(&place, place.name, AtFlags::empty()).map_err(failed)
    }
}
