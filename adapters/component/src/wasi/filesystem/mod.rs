//! `wasi:filesystem@0.2`: types and preopens, over the trait [`Filesystem`]. What a path means and which error code an
//! operation gives is the platform's; here are the handles, the lists and the streams. Listed by platforms that have files in
//! their [`packages`](crate::host::Platform::packages).

mod service;
mod types;

pub use service::Filesystem;
pub use types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    MetadataHash, NewTimestamp, OpenFlags, PathFlags,
};

use alloc::format;
use alloc::string::String;
use alloc::vec::{IntoIter, Vec};
use core::marker::PhantomData;

use crate::abi::{Buffer, Bytes};
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::services::IoError;
use crate::trap::Trap;
use crate::{function, resource};

/// The interfaces over services `S`.
pub struct Files<S>(PhantomData<S>);

impl<S: Filesystem> Files<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[Self::PREOPENS, Self::TYPES];

    /// `wasi:filesystem/preopens`
    pub const PREOPENS: &'static Interface<S> = &Interface {
        name: "wasi:filesystem/preopens",
        functions: &[function!("get-directories", get_directories::<S>)],
        resources: &[],
    };

    /// `wasi:filesystem/types`
    pub const TYPES: &'static Interface<S> = &Interface {
        name: "wasi:filesystem/types",
        functions: &[
            function!("[method]descriptor.read-via-stream", read_via_stream::<S>),
            function!("[method]descriptor.write-via-stream", write_via_stream::<S>),
            function!(
                "[method]descriptor.append-via-stream",
                append_via_stream::<S>
            ),
            function!("[method]descriptor.advise", advise::<S>),
            function!("[method]descriptor.sync-data", sync_data::<S>),
            function!("[method]descriptor.get-flags", get_flags::<S>),
            function!("[method]descriptor.get-type", get_type::<S>),
            function!("[method]descriptor.set-size", set_size::<S>),
            function!("[method]descriptor.set-times", set_times::<S>),
            function!("[method]descriptor.read", read::<S>),
            function!("[method]descriptor.write", write::<S>),
            function!("[method]descriptor.read-directory", read_directory::<S>),
            function!("[method]descriptor.sync", sync::<S>),
            function!(
                "[method]descriptor.create-directory-at",
                create_directory_at::<S>
            ),
            function!("[method]descriptor.stat", stat::<S>),
            function!("[method]descriptor.stat-at", stat_at::<S>),
            function!("[method]descriptor.set-times-at", set_times_at::<S>),
            function!("[method]descriptor.link-at", link_at::<S>),
            function!("[method]descriptor.open-at", open_at::<S>),
            function!("[method]descriptor.readlink-at", readlink_at::<S>),
            function!(
                "[method]descriptor.remove-directory-at",
                remove_directory_at::<S>
            ),
            function!("[method]descriptor.rename-at", rename_at::<S>),
            function!("[method]descriptor.symlink-at", symlink_at::<S>),
            function!("[method]descriptor.unlink-file-at", unlink_file_at::<S>),
            function!("[method]descriptor.is-same-object", is_same_object::<S>),
            function!("[method]descriptor.metadata-hash", metadata_hash::<S>),
            function!("[method]descriptor.metadata-hash-at", metadata_hash_at::<S>),
            function!(
                "[method]directory-entry-stream.read-directory-entry",
                read_directory_entry::<S>
            ),
            function!("filesystem-error-code", filesystem_error_code::<S>),
        ],
        resources: &[
            resource!("descriptor", S::Descriptor),
            resource!("directory-entry-stream", DirectoryEntries),
        ],
    };
}

/// What a `directory-entry-stream` holds: the entries as they were when it was made.
struct DirectoryEntries(IntoIter<Result<DirectoryEntry, ErrorCode>>);

/// What a function answers that has no trap of its own.
type Answer<T> = Result<Result<T, ErrorCode>, Trap>;

/// A handle for what an operation made, if it did.
fn give<S, T: 'static>(cx: &mut Context<'_, S>, made: Result<T, ErrorCode>) -> Answer<Own<T>> {
    match made {
        Ok(made) => Ok(Ok(cx.handles.push(made)?)),
        Err(why) => Ok(Err(why)),
    }
}

/// Directories and the guest's names for them.
type Named<S> = Vec<(Own<<S as Filesystem>::Descriptor>, String)>;

type Descriptor<S> = Borrow<<S as Filesystem>::Descriptor>;

fn get_directories<S: Filesystem>(cx: &mut Context<'_, S>, (): ()) -> Result<Named<S>, Trap> {
    cx.services
        .preopens()
        .into_iter()
        .map(|(directory, name)| Ok((cx.handles.push(directory)?, name)))
        .collect()
}

fn read_via_stream<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (file, offset): (Descriptor<S>, u64),
) -> Answer<Own<S::Input>> {
    let file = cx.handles.get(file)?;
    let stream = cx.services.read_via_stream(file, offset);
    give(cx, stream)
}

fn write_via_stream<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (file, offset): (Descriptor<S>, u64),
) -> Answer<Own<S::Output>> {
    let file = cx.handles.get(file)?;
    let stream = cx.services.write_via_stream(file, offset);
    give(cx, stream)
}

fn append_via_stream<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (file,): (Descriptor<S>,),
) -> Answer<Own<S::Output>> {
    let file = cx.handles.get(file)?;
    let stream = cx.services.append_via_stream(file);
    give(cx, stream)
}

fn advise<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (file, offset, length, advice): (Descriptor<S>, u64, u64, Advice),
) -> Answer<()> {
    let file = cx.handles.get(file)?;
    Ok(cx.services.advise(file, offset, length, advice))
}

fn sync_data<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (descriptor,): (Descriptor<S>,),
) -> Answer<()> {
    let descriptor = cx.handles.get(descriptor)?;
    Ok(cx.services.sync_data(descriptor))
}

fn get_flags<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (descriptor,): (Descriptor<S>,),
) -> Answer<DescriptorFlags> {
    let descriptor = cx.handles.get(descriptor)?;
    Ok(cx.services.get_flags(descriptor))
}

fn get_type<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (descriptor,): (Descriptor<S>,),
) -> Answer<DescriptorType> {
    let descriptor = cx.handles.get(descriptor)?;
    Ok(cx.services.get_type(descriptor))
}

fn set_size<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (file, size): (Descriptor<S>, u64),
) -> Answer<()> {
    let file = cx.handles.get(file)?;
    Ok(cx.services.set_size(file, size))
}

fn set_times<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (descriptor, access, modification): (Descriptor<S>, NewTimestamp, NewTimestamp),
) -> Answer<()> {
    let descriptor = cx.handles.get(descriptor)?;
    Ok(cx.services.set_times(descriptor, access, modification))
}

fn read<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (file, length, offset): (Descriptor<S>, u64, u64),
) -> Answer<(Buffer, bool)> {
    let file = cx.handles.get(file)?;
    let bytes = cx.services.read_at(file, length, offset);
    // No byte is the end, even when the guest asked for none.
    Ok(bytes.map(|bytes| {
        let end = bytes.is_empty();
        (Buffer(bytes), end)
    }))
}

fn write<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (file, bytes, offset): (Descriptor<S>, Bytes, u64),
) -> Answer<u64> {
    let file = cx.handles.get(file)?;
    Ok(cx.services.write_at(file, bytes.get(cx.guest)?, offset))
}

fn read_directory<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory,): (Descriptor<S>,),
) -> Answer<Own<DirectoryEntries>> {
    let directory = cx.handles.get(directory)?;
    let entries = cx.services.read_directory(directory);
    let entries = entries.map(|entries| DirectoryEntries(entries.into_iter()));
    give(cx, entries)
}

fn sync<S: Filesystem>(cx: &mut Context<'_, S>, (descriptor,): (Descriptor<S>,)) -> Answer<()> {
    let descriptor = cx.handles.get(descriptor)?;
    Ok(cx.services.sync(descriptor))
}

fn create_directory_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, path): (Descriptor<S>, String),
) -> Answer<()> {
    let directory = cx.handles.get(directory)?;
    Ok(cx.services.create_directory_at(directory, &path))
}

fn stat<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (descriptor,): (Descriptor<S>,),
) -> Answer<DescriptorStat> {
    let descriptor = cx.handles.get(descriptor)?;
    Ok(cx.services.stat(descriptor))
}

fn stat_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, flags, path): (Descriptor<S>, PathFlags, String),
) -> Answer<DescriptorStat> {
    let directory = cx.handles.get(directory)?;
    Ok(cx.services.stat_at(directory, flags, &path))
}

type SetTimesAt<S> = (Descriptor<S>, PathFlags, String, NewTimestamp, NewTimestamp);

fn set_times_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, flags, path, access, modification): SetTimesAt<S>,
) -> Answer<()> {
    let directory = cx.handles.get(directory)?;
    Ok(cx
        .services
        .set_times_at(directory, flags, &path, access, modification))
}

fn link_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (old, flags, old_path, new, new_path): (
        Descriptor<S>,
        PathFlags,
        String,
        Descriptor<S>,
        String,
    ),
) -> Answer<()> {
    // Both may be the same handle.
    let new = cx.handles.get(new)?.clone();
    let old = cx.handles.get(old)?;
    Ok(cx.services.link_at(old, flags, &old_path, &new, &new_path))
}

fn open_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, path_flags, path, open_flags, flags): (
        Descriptor<S>,
        PathFlags,
        String,
        OpenFlags,
        DescriptorFlags,
    ),
) -> Answer<Own<S::Descriptor>> {
    let directory = cx.handles.get(directory)?;
    let opened = cx
        .services
        .open_at(directory, path_flags, &path, open_flags, flags);
    give(cx, opened)
}

fn readlink_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, path): (Descriptor<S>, String),
) -> Answer<String> {
    let directory = cx.handles.get(directory)?;
    Ok(cx.services.readlink_at(directory, &path))
}

fn remove_directory_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, path): (Descriptor<S>, String),
) -> Answer<()> {
    let directory = cx.handles.get(directory)?;
    Ok(cx.services.remove_directory_at(directory, &path))
}

fn rename_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (old, old_path, new, new_path): (Descriptor<S>, String, Descriptor<S>, String),
) -> Answer<()> {
    // Both may be the same handle.
    let new = cx.handles.get(new)?.clone();
    let old = cx.handles.get(old)?;
    Ok(cx.services.rename_at(old, &old_path, &new, &new_path))
}

fn symlink_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, old_path, new_path): (Descriptor<S>, String, String),
) -> Answer<()> {
    let directory = cx.handles.get(directory)?;
    Ok(cx.services.symlink_at(directory, &old_path, &new_path))
}

fn unlink_file_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, path): (Descriptor<S>, String),
) -> Answer<()> {
    let directory = cx.handles.get(directory)?;
    Ok(cx.services.unlink_file_at(directory, &path))
}

fn is_same_object<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (one, other): (Descriptor<S>, Descriptor<S>),
) -> Result<bool, Trap> {
    let other = cx.handles.get(other)?.clone();
    let one = cx.handles.get(one)?;
    // The function has no error value.
    cx.services
        .is_same_object(one, &other)
        .map_err(|why| Trap::Interface(format!("is-same-object: {why:?}")))
}

fn metadata_hash<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (descriptor,): (Descriptor<S>,),
) -> Answer<MetadataHash> {
    let descriptor = cx.handles.get(descriptor)?;
    Ok(cx.services.metadata_hash(descriptor))
}

fn metadata_hash_at<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (directory, flags, path): (Descriptor<S>, PathFlags, String),
) -> Answer<MetadataHash> {
    let directory = cx.handles.get(directory)?;
    Ok(cx.services.metadata_hash_at(directory, flags, &path))
}

fn read_directory_entry<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (stream,): (Borrow<DirectoryEntries>,),
) -> Answer<Option<DirectoryEntry>> {
    Ok(cx.handles.get(stream)?.0.next().transpose())
}

fn filesystem_error_code<S: Filesystem>(
    cx: &mut Context<'_, S>,
    (error,): (Borrow<IoError>,),
) -> Result<Option<ErrorCode>, Trap> {
    let error = cx.handles.get(error)?;
    Ok(error.filesystem_code.and_then(ErrorCode::of_number))
}
