//! Pollables and streams of devices as wasmtime-wasi's, so that a guest waits for a pin and a timer in one `poll`.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use send_wrapper::SendWrapper;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use vyoma_component::services::{Pollable as Ours, StreamError as Theirs};
use vyoma_services::{Input as Source, Output as Sink, Wait};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Error, Result};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{
    DynPollable, InputStream, OutputStream, Pollable, StreamError, StreamResult, subscribe,
};

/// A pollable of ours in wasmtime-wasi's table.
pub(super) fn pollable(
    table: &mut ResourceTable,
    pollable: Ours<Wait>,
) -> Result<Resource<DynPollable>> {
    let event = table.push(Event(SendWrapper::new(pollable)))?;
    subscribe(table, event)
}

struct Event(SendWrapper<Ours<Wait>>);

#[async_trait]
impl Pollable for Event {
    async fn ready(&mut self) {
        wait(&self.0).await;
    }
}

/// Waits for an event. Only events of descriptors come from devices; what can't be waited for is ready, and the operation
/// says what is wrong.
async fn wait(pollable: &SendWrapper<Ours<Wait>>) {
    while !pollable_is_ready(pollable) {
        let Ok(descriptor) = descriptor(pollable) else {
            return;
        };
        let Some((descriptor, interest)) = descriptor else {
            continue;
        };
        // SAFETY: the watch owns this descriptor, a duplicate that nothing else knows: it stays open and the same until then.
        let Ok(watch) = (unsafe { AsyncFd::register_with_interest(descriptor, interest) }) else {
            return;
        };
        while !pollable_is_ready(pollable) {
            let Ok(mut guard) = watch.ready(interest).await else {
                return;
            };
            if pollable_is_ready(pollable) {
                return;
            }
            guard.clear_ready();
        }
        return;
    }
}

fn pollable_is_ready(pollable: &Ours<Wait>) -> bool {
    match pollable {
        Ours::Event(wait) => wait.is_ready(),
        Ours::Ready | Ours::At(_) => true,
    }
}

/// A descriptor of its own, which the event loop can watch beside others of the same file; none when it is ready.
fn descriptor(pollable: &Ours<Wait>) -> io::Result<Option<(OwnedFd, Interest)>> {
    let Ours::Event(wait) = pollable else {
        return Ok(None);
    };
    let Some((descriptor, writable)) = wait.descriptor() else {
        return Ok(None);
    };
    let interest = if writable {
        Interest::WRITABLE
    } else {
        Interest::READABLE
    };
    Ok(Some((descriptor.try_clone_to_owned()?, interest)))
}

fn failed(error: Theirs) -> StreamError {
    match error {
        Theirs::Closed => StreamError::Closed,
        Theirs::Failed(error) => StreamError::LastOperationFailed(Error::msg(error.message)),
        Theirs::Trap(rule) => StreamError::trap(rule),
    }
}

/// What comes from a serial port.
pub(super) struct Input(SendWrapper<Source>);

impl Input {
    pub(super) fn new(source: Source) -> Self {
        Self(SendWrapper::new(source))
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        let event = SendWrapper::new(self.0.ready());
        wait(&event).await;
    }
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.0.read(size).map(Bytes::from).map_err(failed)
    }
}

/// What goes to a serial port.
pub(super) struct Output(SendWrapper<Sink>);

impl Output {
    pub(super) fn new(sink: Sink) -> Self {
        Self(SendWrapper::new(sink))
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        let event = SendWrapper::new(self.0.ready());
        wait(&event).await;
    }
}

#[async_trait]
impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        let permit = self.0.check_write().map_err(failed)?;
        Ok(usize::try_from(permit).unwrap_or(usize::MAX))
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes).map_err(failed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush().map_err(failed)
    }
}
