//! The guest's standard streams on the process's descriptors 0, 1 and 2, and what is in their place without the `stdio` grant.
//!
//! Reads and writes go straight to the descriptor: nothing is buffered here, so a full pipe stops the guest. The descriptors
//! stay in blocking mode (their other end may be shared); `poll` tells beforehand when a call would wait.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use vyoma_capabilities::capability::Capability;
use vyoma_component::services::{Pollable, StreamError};
use vyoma_runtime::Activity;

use super::poll::{Event, Interest, Wait, Watch};
use super::{Sink, Source, io_error};

/// Most bytes that a pipe which `poll` calls writable takes without blocking: PIPE_BUF of Linux, pipe(7).
const PIPE_BUF: usize = 4096;

/// Most bytes that one read hands over: what a pipe holds by default.
const MAX_READ: usize = 65536;

/// What [`Discard`] permits at once: as much as under the Wasmtime adapter.
const DISCARD_PERMIT: u64 = 65536;

/// The words of `vyoma_runtime::trap`.
const WRITE_BUDGET: &str = vyoma_runtime::trap::WRITE_BUDGET;

/// Descriptor 0, 1 or 2. They are open for the life of the process: Rust's start-up puts /dev/null in the place of a closed one.
#[derive(Clone, Copy)]
pub(crate) struct Standard {
    fd: BorrowedFd<'static>,
    interest: Interest,
}

impl Standard {
    pub(crate) fn new(fd: BorrowedFd<'static>, interest: Interest) -> Self {
        Self { fd, interest }
    }

    pub(crate) fn stdin() -> Self {
        Self::new(rustix::stdio::stdin(), Interest::Read)
    }

    pub(crate) fn stdout() -> Self {
        Self::new(rustix::stdio::stdout(), Interest::Write)
    }

    pub(crate) fn stderr() -> Self {
        Self::new(rustix::stdio::stderr(), Interest::Write)
    }

    /// Whether a call would not wait; also true when it would fail.
    fn is_ready(self, timeout: Option<&Timespec>) -> bool {
        let events = match self.interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
        };
        match rustix::event::poll(&mut [PollFd::new(&self.fd, events)], timeout) {
            Ok(ready) => ready > 0,
            Err(Errno::INTR) => false,
            Err(_) => true,
        }
    }

    fn failed(errno: Errno) -> StreamError {
        match errno {
            Errno::PIPE => StreamError::Closed,
            other => StreamError::Failed(io_error(other)),
        }
    }
}

impl Event for Standard {
    fn watch(&self) -> Watch<'_> {
        Watch::Descriptor(self.fd, self.interest)
    }
}

impl Source for Standard {
    fn read(&mut self, most: usize) -> Result<Vec<u8>, StreamError> {
        if most == 0 || !self.is_ready(Some(&Timespec::default())) {
            return Ok(Vec::new());
        }
        let mut buffer = vec![0; most.min(MAX_READ)];
        match rustix::io::read(self.fd, &mut buffer) {
            Ok(0) => Err(StreamError::Closed),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(Self::failed(errno)),
        }
    }

    fn ready(&self) -> Pollable<Wait> {
        Wait::pollable(*self)
    }
}

impl Sink for Standard {
    fn check_write(&mut self) -> Result<u64, StreamError> {
        Ok(if self.is_ready(Some(&Timespec::default())) {
            PIPE_BUF as u64
        } else {
            0
        })
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), StreamError> {
        if bytes.len() > PIPE_BUF {
            return Err(StreamError::Trap(WRITE_BUDGET));
        }
        while !bytes.is_empty() {
            match rustix::io::write(self.fd, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                // Someone made the descriptor non-blocking: wait here instead of in the call.
                Err(Errno::AGAIN) => {
                    self.is_ready(None);
                }
                Err(errno) => return Err(Self::failed(errno)),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn ready(&self) -> Pollable<Wait> {
        Wait::pollable(*self)
    }

    fn is_unbuffered(&self) -> bool {
        true
    }
}

/// A standard stream that counts reads and writes.
pub(crate) struct Counted<T> {
    stream: T,
    activity: Arc<dyn Activity>,
    /// Whether there is the grant.
    granted: bool,
}

impl<T> Counted<T> {
    /// Counts uses with `activity`, as refused ones without the grant.
    pub(crate) fn new(stream: T, activity: &Arc<dyn Activity>, granted: bool) -> Self {
        Self {
            stream,
            activity: Arc::clone(activity),
            granted,
        }
    }

    fn count(&self) {
        self.activity.used(Capability::Stdio);
        if !self.granted {
            self.activity.refused(Capability::Stdio);
        }
    }
}

impl<T: Source> Source for Counted<T> {
    fn read(&mut self, most: usize) -> Result<Vec<u8>, StreamError> {
        self.count();
        self.stream.read(most)
    }

    fn ready(&self) -> Pollable<Wait> {
        self.stream.ready()
    }
}

impl<T: Sink> Sink for Counted<T> {
    fn check_write(&mut self) -> Result<u64, StreamError> {
        self.stream.check_write()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.count();
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.stream.flush()
    }

    fn ready(&self) -> Pollable<Wait> {
        self.stream.ready()
    }

    fn is_unbuffered(&self) -> bool {
        self.stream.is_unbuffered()
    }
}

/// A stdin without the grant: at its end.
pub(crate) struct End;

impl Source for End {
    fn read(&mut self, _: usize) -> Result<Vec<u8>, StreamError> {
        Err(StreamError::Closed)
    }

    fn ready(&self) -> Pollable<Wait> {
        Pollable::Ready
    }
}

/// A stdout or stderr without the grant: takes and forgets everything.
pub(crate) struct Discard;

impl Sink for Discard {
    fn check_write(&mut self) -> Result<u64, StreamError> {
        Ok(DISCARD_PERMIT)
    }

    fn write(&mut self, _: &[u8]) -> Result<(), StreamError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn ready(&self) -> Pollable<Wait> {
        Pollable::Ready
    }
}
