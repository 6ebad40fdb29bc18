//! What a platform with files gives to the host functions of `wasi:filesystem`. The functions here are WIT's, on a
//! descriptor of the platform; that a directory is not a file, and the other way round, is the platform's to say, because
//! which error code it is differs from function to function.

use alloc::string::String;
use alloc::vec::Vec;

use super::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    MetadataHash, NewTimestamp, OpenFlags, PathFlags,
};
use crate::services::Services;

/// A platform with files. Paths are UTF-8, separated by `/`, relative to a directory, and never lead out of the directories
/// that [`Filesystem::preopens`] gives.
pub trait Filesystem: Services {
    /// An open file or directory. Clones are the same one; it is closed with the last of them and of its streams.
    type Descriptor: Clone + 'static;

    /// The directories that the guest starts with, and their names for it; none without the grant.
    fn preopens(&mut self) -> Vec<(Self::Descriptor, String)>;

    /// A stream that reads from `offset` on.
    fn read_via_stream(
        &mut self,
        file: &Self::Descriptor,
        offset: u64,
    ) -> Result<Self::Input, ErrorCode>;
    /// A stream that writes from `offset` on.
    fn write_via_stream(
        &mut self,
        file: &Self::Descriptor,
        offset: u64,
    ) -> Result<Self::Output, ErrorCode>;
    /// A stream each of whose writes goes to where the file's end is then.
    fn append_via_stream(&mut self, file: &Self::Descriptor) -> Result<Self::Output, ErrorCode>;
    /// How a range will be used; length 0: to the end.
    fn advise(
        &mut self,
        file: &Self::Descriptor,
        offset: u64,
        length: u64,
        advice: Advice,
    ) -> Result<(), ErrorCode>;
    /// Waits until the data is on the medium.
    fn sync_data(&mut self, descriptor: &Self::Descriptor) -> Result<(), ErrorCode>;
    /// What it may be used for.
    fn get_flags(&mut self, descriptor: &Self::Descriptor) -> Result<DescriptorFlags, ErrorCode>;
    /// What it is.
    fn get_type(&mut self, descriptor: &Self::Descriptor) -> Result<DescriptorType, ErrorCode>;
    /// Cuts the file, or fills it up with zeroes.
    fn set_size(&mut self, file: &Self::Descriptor, size: u64) -> Result<(), ErrorCode>;
    /// Sets timestamps.
    fn set_times(
        &mut self,
        descriptor: &Self::Descriptor,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> Result<(), ErrorCode>;
    /// At most `length` bytes from `offset` on; nothing: the end, or `length` is 0.
    fn read_at(
        &mut self,
        file: &Self::Descriptor,
        length: u64,
        offset: u64,
    ) -> Result<Vec<u8>, ErrorCode>;
    /// Writes at `offset`; how many bytes were.
    fn write_at(
        &mut self,
        file: &Self::Descriptor,
        bytes: &[u8],
        offset: u64,
    ) -> Result<u64, ErrorCode>;
    /// All entries without `.` and `..`, in the order of the platform; an error in the place of one that can't be told.
    fn read_directory(
        &mut self,
        directory: &Self::Descriptor,
    ) -> Result<Vec<Result<DirectoryEntry, ErrorCode>>, ErrorCode>;
    /// Waits until data and metadata are on the medium.
    fn sync(&mut self, descriptor: &Self::Descriptor) -> Result<(), ErrorCode>;
    /// Makes a directory.
    fn create_directory_at(
        &mut self,
        directory: &Self::Descriptor,
        path: &str,
    ) -> Result<(), ErrorCode>;
    /// What is known of an open file.
    fn stat(&mut self, descriptor: &Self::Descriptor) -> Result<DescriptorStat, ErrorCode>;
    /// What is known of a file by its path.
    fn stat_at(
        &mut self,
        directory: &Self::Descriptor,
        flags: PathFlags,
        path: &str,
    ) -> Result<DescriptorStat, ErrorCode>;
    /// Sets timestamps by path.
    fn set_times_at(
        &mut self,
        directory: &Self::Descriptor,
        flags: PathFlags,
        path: &str,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> Result<(), ErrorCode>;
    /// Makes a hard link.
    fn link_at(
        &mut self,
        old_directory: &Self::Descriptor,
        old_flags: PathFlags,
        old_path: &str,
        new_directory: &Self::Descriptor,
        new_path: &str,
    ) -> Result<(), ErrorCode>;
    /// Opens, or makes and opens.
    fn open_at(
        &mut self,
        directory: &Self::Descriptor,
        path_flags: PathFlags,
        path: &str,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Self::Descriptor, ErrorCode>;
    /// What a symbolic link says.
    fn readlink_at(
        &mut self,
        directory: &Self::Descriptor,
        path: &str,
    ) -> Result<String, ErrorCode>;
    /// Removes an empty directory.
    fn remove_directory_at(
        &mut self,
        directory: &Self::Descriptor,
        path: &str,
    ) -> Result<(), ErrorCode>;
    /// Renames, replacing what has the new name.
    fn rename_at(
        &mut self,
        old_directory: &Self::Descriptor,
        old_path: &str,
        new_directory: &Self::Descriptor,
        new_path: &str,
    ) -> Result<(), ErrorCode>;
    /// Makes a symbolic link at `new_path` that says `old_path`.
    fn symlink_at(
        &mut self,
        directory: &Self::Descriptor,
        old_path: &str,
        new_path: &str,
    ) -> Result<(), ErrorCode>;
    /// Removes a name that is not a directory's.
    fn unlink_file_at(&mut self, directory: &Self::Descriptor, path: &str)
    -> Result<(), ErrorCode>;
    /// Whether both are the same file.
    fn is_same_object(
        &mut self,
        one: &Self::Descriptor,
        other: &Self::Descriptor,
    ) -> Result<bool, ErrorCode>;
    /// The hash of an open file.
    fn metadata_hash(&mut self, descriptor: &Self::Descriptor) -> Result<MetadataHash, ErrorCode>;
    /// The hash of a file by its path.
    fn metadata_hash_at(
        &mut self,
        directory: &Self::Descriptor,
        flags: PathFlags,
        path: &str,
    ) -> Result<MetadataHash, ErrorCode>;
}
