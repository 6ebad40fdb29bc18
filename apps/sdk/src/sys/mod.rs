//! What the rest of the crate asks of the system: WASI 0.2 in an app, `std` where tests and programs of a developer's machine run.
//! All `unsafe` about hosts is in here.

#[cfg(target_os = "wasi")]
mod wasi;
#[cfg(target_os = "wasi")]
pub(crate) use wasi::*;

#[cfg(not(target_os = "wasi"))]
mod host;
#[cfg(not(target_os = "wasi"))]
pub(crate) use host::*;

/// Where printed text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: the line protocol.
    Out,
    /// Standard error: always log.
    Err,
}
