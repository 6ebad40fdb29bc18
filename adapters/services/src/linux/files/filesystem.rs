//! The trait of `wasi:filesystem` for [`Linux`]: each function is the one of [`Descriptor`] that has its name.

use vyoma_capabilities::capability::Capability;
use vyoma_component::wasi::filesystem::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, Filesystem,
    MetadataHash, NewTimestamp, OpenFlags, PathFlags,
};

use super::{Descriptor, Result};
use crate::linux::{Input, Linux, Output};

impl Linux {
    /// A path that leads out of the data folder is a refusal.
    fn judged<T>(&self, answer: Result<T>) -> Result<T> {
        self.judge(Capability::Filesystem, answer, |error| {
            *error == ErrorCode::NotPermitted
        })
    }
}

impl Filesystem for Linux {
    type Descriptor = Descriptor;

    fn preopens(&mut self) -> Vec<(Descriptor, String)> {
        let preopens = self.files.preopens();
        if preopens.is_empty() {
            self.config.activity.refused(Capability::Filesystem);
        }
        preopens
    }

    fn read_via_stream(&mut self, file: &Descriptor, offset: u64) -> Result<Input> {
        file.read_via_stream(offset)
    }

    fn write_via_stream(&mut self, file: &Descriptor, offset: u64) -> Result<Output> {
        file.write_via_stream(Some(offset))
    }

    fn append_via_stream(&mut self, file: &Descriptor) -> Result<Output> {
        file.write_via_stream(None)
    }

    fn advise(
        &mut self,
        file: &Descriptor,
        offset: u64,
        length: u64,
        advice: Advice,
    ) -> Result<()> {
        file.advise(offset, length, advice)
    }

    fn sync_data(&mut self, descriptor: &Descriptor) -> Result<()> {
        descriptor.sync_data()
    }

    fn get_flags(&mut self, descriptor: &Descriptor) -> Result<DescriptorFlags> {
        Ok(descriptor.flags)
    }

    fn get_type(&mut self, descriptor: &Descriptor) -> Result<DescriptorType> {
        descriptor.get_type()
    }

    fn set_size(&mut self, file: &Descriptor, size: u64) -> Result<()> {
        file.set_size(size)
    }

    fn set_times(
        &mut self,
        descriptor: &Descriptor,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> Result<()> {
        descriptor.set_times(access, modification)
    }

    fn read_at(&mut self, file: &Descriptor, length: u64, offset: u64) -> Result<Vec<u8>> {
        file.read_at(length, offset)
    }

    fn write_at(&mut self, file: &Descriptor, bytes: &[u8], offset: u64) -> Result<u64> {
        file.write_at(bytes, offset)
    }

    fn read_directory(&mut self, directory: &Descriptor) -> Result<Vec<Result<DirectoryEntry>>> {
        directory.read_directory()
    }

    fn sync(&mut self, descriptor: &Descriptor) -> Result<()> {
        descriptor.sync()
    }

    fn create_directory_at(&mut self, directory: &Descriptor, path: &str) -> Result<()> {
        self.judged(directory.create_directory_at(path))
    }

    fn stat(&mut self, descriptor: &Descriptor) -> Result<DescriptorStat> {
        descriptor.stat()
    }

    fn stat_at(
        &mut self,
        directory: &Descriptor,
        flags: PathFlags,
        path: &str,
    ) -> Result<DescriptorStat> {
        self.judged(directory.stat_at(flags, path))
    }

    fn set_times_at(
        &mut self,
        directory: &Descriptor,
        flags: PathFlags,
        path: &str,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> Result<()> {
        self.judged(directory.set_times_at(flags, path, access, modification))
    }

    fn link_at(
        &mut self,
        old: &Descriptor,
        flags: PathFlags,
        path: &str,
        new: &Descriptor,
        new_path: &str,
    ) -> Result<()> {
        self.judged(old.link_at(flags, path, new, new_path))
    }

    fn open_at(
        &mut self,
        directory: &Descriptor,
        path_flags: PathFlags,
        path: &str,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Descriptor> {
        self.judged(directory.open_at(path_flags, path, open_flags, flags))
    }

    fn readlink_at(&mut self, directory: &Descriptor, path: &str) -> Result<String> {
        self.judged(directory.readlink_at(path))
    }

    fn remove_directory_at(&mut self, directory: &Descriptor, path: &str) -> Result<()> {
        self.judged(directory.remove_directory_at(path))
    }

    fn rename_at(
        &mut self,
        old: &Descriptor,
        path: &str,
        new: &Descriptor,
        new_path: &str,
    ) -> Result<()> {
        self.judged(old.rename_at(path, new, new_path))
    }

    fn symlink_at(&mut self, directory: &Descriptor, target: &str, path: &str) -> Result<()> {
        self.judged(directory.symlink_at(target, path))
    }

    fn unlink_file_at(&mut self, directory: &Descriptor, path: &str) -> Result<()> {
        self.judged(directory.unlink_file_at(path))
    }

    fn is_same_object(&mut self, one: &Descriptor, other: &Descriptor) -> Result<bool> {
        one.is_same_object(other)
    }

    fn metadata_hash(&mut self, descriptor: &Descriptor) -> Result<MetadataHash> {
        descriptor.metadata_hash()
    }

    fn metadata_hash_at(
        &mut self,
        directory: &Descriptor,
        flags: PathFlags,
        path: &str,
    ) -> Result<MetadataHash> {
        self.judged(directory.metadata_hash_at(flags, path))
    }
}
