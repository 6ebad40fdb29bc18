//! Waiting for several descriptors at once, with a limit in time: what `std` lacks and a program without threads
//! needs. A thin cover of `poll(2)` (wasi-libc has it over `wasi:io/poll`).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

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
    pub(super) type Count = std::ffi::c_ulong;
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
    pub fn to_read(source: &impl AsRawFd) -> Self {
        Self::new(source, flags::IN)
    }

    /// Until it can be written (or has failed).
    pub fn to_write(sink: &impl AsRawFd) -> Self {
        Self::new(sink, flags::OUT)
    }

    fn new(of: &impl AsRawFd, events: i16) -> Self {
        Self {
            fd: of.as_raw_fd(),
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

/// Waits until at least one is ready or `limit` is over (absent: for ever); tells how many are ready.
///
/// A limit is rounded up to whole milliseconds, so that a short one doesn't become a busy loop.
pub fn wait(waits: &mut [Wait], limit: Option<Duration>) -> io::Result<usize> {
    let timeout = limit.map_or(-1, |limit| {
        c_int::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
    });
    // SAFETY: the pointer and the count describe one exclusively borrowed slice, and `Wait` has the layout of
    // `struct pollfd` (int, short, short) on wasi-libc and Linux. A stale descriptor is an error, not undefined.
    let ready = unsafe { poll(waits.as_mut_ptr(), waits.len() as flags::Count, timeout) };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}
