//! The packages of WASI 0.2 that a platform lacks, as small as they can be: what a Rust program imports without using it is
//! there, and says so. No directory is preopened, sockets and look-ups are refused with the error that their interface has
//! for it (the one of an app without `network` on Linux), and no other resource is ever made: their methods are not here
//! at all ([`Platform::is_absent`](crate::host::Platform::is_absent) links them).

use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use super::sockets::{ErrorCode, IpAddressFamily, Network};
use crate::function;
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::resource;
use crate::services::{DeviceError, IoError, Services, SpiError};
use crate::trap::Trap;

/// Interfaces without what they are about, over services `S`.
pub struct Without<S>(PhantomData<S>);

/// A resource that is never made.
enum Never {}

/// What a refused call answers.
type Refused = Result<Result<Own<Never>, ErrorCode>, Trap>;

/// Resources that are never made, by their interface.
const NEVER: [(&str, &[&str]); 6] = [
    (
        "wasi:filesystem/types",
        &["descriptor", "directory-entry-stream"],
    ),
    ("wasi:sockets/tcp", &["tcp-socket"]),
    (
        "wasi:sockets/udp",
        &[
            "udp-socket",
            "incoming-datagram-stream",
            "outgoing-datagram-stream",
        ],
    ),
    ("wasi:sockets/ip-name-lookup", &["resolve-address-stream"]),
    ("wasi:i2c/i2c@0.2.0-draft", &["i2c"]),
    ("wasi:spi/spi@0.2.0-draft", &["spi-device"]),
];

/// For a platform's [`is_absent`](crate::host::Platform::is_absent), when it has the packages from here.
pub fn is_absent(interface: &str, resource: &str) -> bool {
    NEVER
        .iter()
        .any(|(name, resources)| *name == interface && resources.contains(&resource))
}

/// An interface in which everything is a method of what is never made.
macro_rules! empty {
    ($name:literal) => {
        &Interface {
            name: $name,
            functions: &[],
            resources: &[],
        }
    };
}

impl<S: Services> Without<S> {
    /// `wasi:filesystem`
    pub const FILES: &'static [&'static Interface<S>] = &[
        &Interface {
            name: "wasi:filesystem/preopens",
            functions: &[function!("get-directories", no_directories::<S>)],
            resources: &[],
        },
        &Interface {
            name: "wasi:filesystem/types",
            functions: &[function!("filesystem-error-code", no_code::<S>)],
            resources: &[],
        },
    ];

    /// `wasi:sockets`
    pub const SOCKETS: &'static [&'static Interface<S>] = &[
        &Interface {
            name: "wasi:sockets/network",
            functions: &[],
            resources: &[resource!("network", Network)],
        },
        &Interface {
            name: "wasi:sockets/instance-network",
            functions: &[function!("instance-network", network::<S>)],
            resources: &[],
        },
        &Interface {
            name: "wasi:sockets/ip-name-lookup",
            functions: &[function!("resolve-addresses", no_lookup::<S>)],
            resources: &[],
        },
        &Interface {
            name: "wasi:sockets/tcp-create-socket",
            functions: &[function!("create-tcp-socket", no_socket::<S>)],
            resources: &[],
        },
        empty!("wasi:sockets/tcp"),
        &Interface {
            name: "wasi:sockets/udp-create-socket",
            functions: &[function!("create-udp-socket", no_socket::<S>)],
            resources: &[],
        },
        empty!("wasi:sockets/udp"),
    ];

    /// `wasi:i2c` and `wasi:spi`; what opens one says that it is not supported, as `vyoma:device/buses` does.
    pub const BUSES: &'static [&'static Interface<S>] = &[
        empty!("wasi:i2c/i2c@0.2.0-draft"),
        &Interface {
            name: "wasi:spi/spi@0.2.0-draft",
            functions: &[function!("open", no_device::<S>)],
            resources: &[],
        },
    ];
}

fn no_directories<S>(_: &mut Context<'_, S>, (): ()) -> Result<Vec<(Own<Never>, String)>, Trap> {
    Ok(Vec::new())
}

/// `filesystem-error-code`: no error here is one of a file's.
fn no_code<S>(
    cx: &mut Context<'_, S>,
    (error,): (Borrow<IoError>,),
) -> Result<Option<super::filesystem::ErrorCode>, Trap> {
    cx.handles.get(error).map(|_| None)
}

fn network<S>(cx: &mut Context<'_, S>, (): ()) -> Result<Own<Network>, Trap> {
    cx.handles.push(Network)
}

fn no_socket<S>(_: &mut Context<'_, S>, (_,): (IpAddressFamily,)) -> Refused {
    Ok(Err(ErrorCode::AccessDenied))
}

fn no_device<S>(
    _: &mut Context<'_, S>,
    (_,): (String,),
) -> Result<Result<Own<Never>, SpiError>, Trap> {
    let name = DeviceError::NotSupported.name();
    Ok(Err(SpiError::Other(String::from(name))))
}

fn no_lookup<S>(_: &mut Context<'_, S>, (_, _): (Borrow<Network>, String)) -> Refused {
    Ok(Err(ErrorCode::AccessDenied))
}
