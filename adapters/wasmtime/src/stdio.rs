//! The guest's standard streams on the process's descriptors 0, 1 and 2.
//!
//! Reads and writes go straight to the descriptor: nothing is buffered here, so a full pipe stops the guest, and no
//! thread is needed. The descriptors stay in blocking mode (their other end may be shared); `poll` tells beforehand when
//! a call would wait, and waiting is done by the event loop, so a guest can wait for stdin and a timer at once.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use vyoma_capabilities::capability::Capability;
use vyoma_runtime::Activity;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Most bytes that a pipe which `poll` calls writable takes without blocking: PIPE_BUF of Linux, pipe(7).
const PIPE_BUF: usize = 4096;

/// Most bytes that one read hands over: what a pipe holds by default.
const MAX_READ: usize = 65536;

/// Descriptor 0, 1 or 2, and the event loop's registration of it.
pub(crate) struct Descriptor {
    fd: BorrowedFd<'static>,
    interest: Interest,
    /// Absent for regular files and /dev/null, which epoll refuses and which never make anyone wait.
    watch: Option<AsyncFd<BorrowedFd<'static>>>,
    /// Told of every read and write.
    activity: Arc<dyn Activity>,
}

impl Descriptor {
    /// Descriptor 0. Call it within the event loop's context.
    pub(crate) fn stdin(activity: &Arc<dyn Activity>) -> io::Result<Input> {
        Self::new(rustix::stdio::stdin(), Interest::READABLE, activity).map(Input)
    }

    /// Descriptor 1. Call it within the event loop's context.
    pub(crate) fn stdout(activity: &Arc<dyn Activity>) -> io::Result<Output> {
        Self::new(rustix::stdio::stdout(), Interest::WRITABLE, activity).map(Output)
    }

    /// Descriptor 2. Call it within the event loop's context.
    pub(crate) fn stderr(activity: &Arc<dyn Activity>) -> io::Result<Output> {
        Self::new(rustix::stdio::stderr(), Interest::WRITABLE, activity).map(Output)
    }

    fn new(
        fd: BorrowedFd<'static>,
        interest: Interest,
        activity: &Arc<dyn Activity>,
    ) -> io::Result<Arc<Self>> {
        // SAFETY: `fd` is one of 0, 1 and 2. They are open for the life of the process (Rust's start-up puts /dev/null in the
        // place of a closed one, and the type says 'static), and a borrowed descriptor always gives the same number.
        let watch = match unsafe { AsyncFd::register_with_interest(fd, interest) } {
            Ok(watch) => Some(watch),
            Err(refusal) => match refusal.into_parts() {
                (_, error) if error.kind() == io::ErrorKind::PermissionDenied => None,
                (_, error) => return Err(error),
            },
        };
        Ok(Arc::new(Self {
            fd,
            interest,
            watch,
            activity: Arc::clone(activity),
        }))
    }

    /// Whether a call would not wait; also true when it would fail.
    fn is_ready(&self) -> bool {
        self.poll(Some(&Timespec::default()))
    }

    fn poll(&self, timeout: Option<&Timespec>) -> bool {
        let events = if self.interest.is_readable() {
            PollFlags::IN
        } else {
            PollFlags::OUT
        };
        match rustix::event::poll(&mut [PollFd::new(&self.fd, events)], timeout) {
            Ok(ready) => ready > 0,
            Err(Errno::INTR) => false,
            Err(_) => true,
        }
    }

    async fn ready(&self) {
        let Some(watch) = &self.watch else { return };
        while !self.is_ready() {
            // What the event loop remembers can be stale, since `poll` and not an EAGAIN told us that there is nothing.
            let Ok(mut guard) = watch.ready(self.interest).await else {
                return;
            };
            if self.is_ready() {
                return;
            }
            guard.clear_ready();
        }
    }
}

fn failed(errno: Errno) -> StreamError {
    match errno {
        Errno::PIPE => StreamError::Closed,
        other => StreamError::LastOperationFailed(io::Error::from(other).into()),
    }
}

/// The guest's stdin.
#[derive(Clone)]
pub(crate) struct Input(Arc<Descriptor>);

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.0.activity.used(Capability::Stdio);
        if size == 0 || !self.0.is_ready() {
            return Ok(Bytes::new());
        }
        let mut buffer = vec![0; size.min(MAX_READ)];
        match rustix::io::read(self.0.fd, &mut buffer) {
            Ok(0) => Err(StreamError::Closed),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer.into())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Bytes::new()),
            Err(errno) => Err(failed(errno)),
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only WASI 0.3 asks for this one, and its interfaces are not linked.
        Box::new(tokio::io::empty())
    }
}

/// The guest's stdout or stderr.
#[derive(Clone)]
pub(crate) struct Output(Arc<Descriptor>);

impl Output {
    fn write_all(&self, mut bytes: &[u8]) -> StreamResult<()> {
        self.0.activity.used(Capability::Stdio);
        while !bytes.is_empty() {
            match rustix::io::write(self.0.fd, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                // Someone made the descriptor non-blocking: wait here instead of in the call.
                Err(Errno::AGAIN) => {
                    self.0.poll(None);
                }
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

#[async_trait]
impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.0.is_ready() { PIPE_BUF } else { 0 })
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > PIPE_BUF {
            return Err(StreamError::trap(
                "write of more bytes than `check-write` permitted",
            ));
        }
        self.write_all(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        self.0.ready().await;
        Ok(PIPE_BUF)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        for chunk in bytes.chunks(PIPE_BUF) {
            self.0.ready().await;
            self.write_all(chunk)?;
        }
        Ok(())
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and its interfaces are not linked.
        Box::new(tokio::io::sink())
    }
}

/// Most bytes that [`Refused`] takes at once: as much as wasmtime-wasi's own streams that discard.
const DISCARD_PERMIT: usize = 65536;

/// A standard stream without the grant: stdin is at its end, output is discarded, and both are counted as refused.
#[derive(Clone)]
pub(crate) struct Refused(Arc<dyn Activity>);

impl Refused {
    pub(crate) fn new(activity: &Arc<dyn Activity>) -> Self {
        Self(Arc::clone(activity))
    }

    fn count(&self) {
        self.0.used(Capability::Stdio);
        self.0.refused(Capability::Stdio);
    }
}

#[async_trait]
impl Pollable for Refused {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for Refused {
    fn read(&mut self, _: usize) -> StreamResult<Bytes> {
        self.count();
        Err(StreamError::Closed)
    }
}

#[async_trait]
impl OutputStream for Refused {
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(DISCARD_PERMIT)
    }

    fn write(&mut self, _: Bytes) -> StreamResult<()> {
        self.count();
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

impl IsTerminal for Refused {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Refused {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only WASI 0.3 asks for this one, and its interfaces are not linked.
        Box::new(tokio::io::empty())
    }
}

impl StdoutStream for Refused {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and its interfaces are not linked.
        Box::new(tokio::io::sink())
    }
}
