//! Counts what a guest does with its capabilities, where wasmtime-wasi provides them: its own bindings, linked once more with
//! accessors that count. Standard streams are counted where they are (`stdio`).
//!
//! What a use is and what a refusal is, is defined once for all engines: `vyoma_runtime::Activity`.

use vyoma_capabilities::capability::Capability;
use wasmtime::component::{Linker, Resource};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::filesystem::{
    Descriptor, WasiFilesystem, WasiFilesystemCtxView, WasiFilesystemView as _,
};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, ErrorCode, HostDescriptor, MetadataHashValue, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::bindings::{filesystem, sockets};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsCtxView, WasiSocketsView as _};

use crate::host::Host;

/// The interface whose functions take paths, as wasmtime-wasi links it. A test with files notices when its version moves on.
const FILES: &str = "wasi:filesystem/types@0.2.12";

/// Links files and sockets anew, counted.
pub(crate) fn add_to_linker(linker: &mut Linker<Host>) -> Result<()> {
    linker.allow_shadowing(true);
    filesystem::types::add_to_linker::<Host, WasiFilesystem>(linker, files)?;
    filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(linker, preopens)?;
    sockets::tcp::add_to_linker::<Host, WasiSockets>(linker, network)?;
    sockets::udp::add_to_linker::<Host, WasiSockets>(linker, network)?;
    sockets::tcp_create_socket::add_to_linker::<Host, WasiSockets>(linker, gate)?;
    sockets::udp_create_socket::add_to_linker::<Host, WasiSockets>(linker, gate)?;
    sockets::instance_network::add_to_linker::<Host, WasiSockets>(linker, network)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<Host, WasiSockets>(linker, &options, network)?;
    sockets::ip_name_lookup::add_to_linker::<Host, WasiSockets>(linker, network)?;
    paths(linker)
}

fn files(host: &mut Host) -> WasiFilesystemCtxView<'_> {
    host.activity.used(Capability::Filesystem);
    host.filesystem()
}

/// Without the grant there is no folder to be had.
fn preopens(host: &mut Host) -> WasiFilesystemCtxView<'_> {
    host.activity.used(Capability::Filesystem);
    if !host.grants.filesystem {
        host.activity.refused(Capability::Filesystem);
    }
    host.filesystem()
}

fn network(host: &mut Host) -> WasiSocketsCtxView<'_> {
    host.activity.used(Capability::Network);
    host.sockets()
}

/// Without the grant no socket is made.
fn gate(host: &mut Host) -> WasiSocketsCtxView<'_> {
    refuse_without_network(host);
    network(host)
}

pub(crate) fn refuse_without_network(host: &Host) {
    if host.grants.network.is_none() {
        host.activity.refused(Capability::Network);
    }
}

/// Counts `answer` if it says that the path led out of the folder.
fn judged<T>(host: &Host, answer: FsResult<T>) -> Result<(Result<T, ErrorCode>,)> {
    match answer {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => {
            let code = error.downcast()?;
            if matches!(code, ErrorCode::NotPermitted) {
                host.activity.refused(Capability::Filesystem);
            }
            Ok((Err(code),))
        }
    }
}

/// Links methods of descriptors that take paths: each one by wasmtime-wasi's, and its answer is looked at.
macro_rules! judged {
    ($instance:ident: $($name:literal $method:ident($($argument:ident: $type:ty),+) -> $answer:ty;)+) => {$(
        $instance.func_wrap_async(
            $name,
            |mut store: StoreContextMut<'_, Host>,
             (descriptor, $($argument,)+): (Resource<Descriptor>, $($type,)+)| {
                Box::new(async move {
                    let host = store.data_mut();
                    let answer: FsResult<$answer> =
                        HostDescriptor::$method(&mut files(host), descriptor, $($argument),+).await;
                    judged(host, answer)
                })
            },
        )?;
    )+};
}

fn paths(linker: &mut Linker<Host>) -> Result<()> {
    let mut instance = linker.instance(FILES)?;
    judged! { instance:
        "[method]descriptor.create-directory-at" create_directory_at(path: String) -> ();
        "[method]descriptor.stat-at" stat_at(flags: PathFlags, path: String) -> DescriptorStat;
        "[method]descriptor.set-times-at" set_times_at(
            flags: PathFlags, path: String, access: NewTimestamp, modification: NewTimestamp
        ) -> ();
        "[method]descriptor.link-at" link_at(
            flags: PathFlags, path: String, new: Resource<Descriptor>, new_path: String
        ) -> ();
        "[method]descriptor.open-at" open_at(
            path_flags: PathFlags, path: String, open_flags: OpenFlags, flags: DescriptorFlags
        ) -> Resource<Descriptor>;
        "[method]descriptor.readlink-at" readlink_at(path: String) -> String;
        "[method]descriptor.remove-directory-at" remove_directory_at(path: String) -> ();
        "[method]descriptor.rename-at" rename_at(
            path: String, new: Resource<Descriptor>, new_path: String
        ) -> ();
        "[method]descriptor.symlink-at" symlink_at(target: String, path: String) -> ();
        "[method]descriptor.unlink-file-at" unlink_file_at(path: String) -> ();
        "[method]descriptor.metadata-hash-at" metadata_hash_at(
            flags: PathFlags, path: String
        ) -> MetadataHashValue;
    }
    Ok(())
}
