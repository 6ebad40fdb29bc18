//! For programs with `std`: waiting for several of its descriptors at once (sockets), with a limit in time. A thin cover of `poll(2)`,
//! which wasi-libc has over `wasi:io/poll`.

use core::ffi::c_int;

use crate::time::Duration;

/// A descriptor.
pub type RawFd = c_int;

#[cfg(target_os = "wasi")]
mod flags {
    // wasi-libc, <__header_poll.h>.
    pub(super) const IN: i16 = 0x1;
    pub(super) const OUT: i16 = 0x2;
    pub(super) type Count = usize;
}
#[cfg(not(target_os = "wasi"))]
mod flags {
    // Linux, <poll.h>.
    pub(super) const IN: i16 = 0x1;
    pub(super) const OUT: i16 = 0x4;
    pub(super) type Count = core::ffi::c_ulong;
}

/// What has a descriptor: a number is one; with the feature `std`, so is everything that `std` calls so.
pub trait Descriptor {
    /// The number.
    fn raw(&self) -> RawFd;
}

#[cfg(not(feature = "std"))]
impl Descriptor for RawFd {
    fn raw(&self) -> RawFd {
        *self
    }
}

#[cfg(feature = "std")]
impl<T: std::os::fd::AsRawFd> Descriptor for T {
    fn raw(&self) -> RawFd {
        self.as_raw_fd()
    }
}

/// One descriptor and what is awaited of it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    fd: RawFd,
    events: i16,
    revents: i16,
}

impl Wait {
    /// Until it can be read (data, a connection, its end or an error).
    pub fn to_read(source: &impl Descriptor) -> Self {
        Self::new(source, flags::IN)
    }

    /// Until it can be written (or has failed).
    pub fn to_write(sink: &impl Descriptor) -> Self {
        Self::new(sink, flags::OUT)
    }

    fn new(of: &impl Descriptor, events: i16) -> Self {
        Self {
            fd: of.raw(),
            events,
            revents: 0,
        }
    }

    /// After [`wait`]: something happened, so reading or writing won't block.
    pub fn is_ready(self) -> bool {
        self.revents != 0
    }
}

unsafe extern "C" {
    fn poll(fds: *mut Wait, count: flags::Count, timeout_ms: c_int) -> c_int;
}

/// Waiting failed: a descriptor is none, or there are too many. `std::io::Error::last_os_error` says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitError;

impl core::fmt::Display for WaitError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("waiting for descriptors failed")
    }
}

impl core::error::Error for WaitError {}

#[cfg(feature = "std")]
impl From<WaitError> for std::io::Error {
    fn from(_: WaitError) -> Self {
        Self::last_os_error()
    }
}

/// Waits until at least one is ready or `limit` is over (absent: for ever); tells how many are ready.
///
/// A limit is rounded up to whole milliseconds, so that a short one doesn't become a busy loop.
pub fn wait(waits: &mut [Wait], limit: Option<Duration>) -> Result<usize, WaitError> {
    let timeout = limit.map_or(-1, |limit| {
        c_int::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
    });
    // SAFETY: the pointer and the count describe one exclusively borrowed slice, and `Wait` has the layout of
    // `struct pollfd` (int, short, short) on wasi-libc and Linux. A stale descriptor is an error, not undefined.
    let ready = unsafe { poll(waits.as_mut_ptr(), waits.len() as flags::Count, timeout) };
    usize::try_from(ready).map_err(|_| WaitError)
}
