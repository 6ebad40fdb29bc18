//! The streams of a TCP connection, as streams of Linux.

use std::rc::{Rc, Weak};

use vyoma_component::services::{Pollable, StreamError};
use vyoma_component::wasi::sockets::{TcpReader, TcpWriter};

use super::{Inet, Meanwhile};
use crate::linux::clocks::Monotonic;
use crate::linux::poll::Wait;
use crate::linux::{Sink, Source};

pub(super) struct TcpSource(pub(super) TcpReader<Inet>);

impl Source for TcpSource {
    fn read(&mut self, most: usize) -> Result<Vec<u8>, StreamError> {
        self.0.read(most as u64)
    }

    fn ready(&self) -> Pollable<Wait> {
        self.0.ready()
    }
}

pub(super) struct TcpSink {
    writer: TcpWriter<Inet>,
    /// Gone when the run is over.
    meanwhile: Weak<Meanwhile>,
}

impl TcpSink {
    pub(super) fn new(writer: TcpWriter<Inet>, meanwhile: &Rc<Meanwhile>) -> Self {
        Self {
            writer,
            meanwhile: Rc::downgrade(meanwhile),
        }
    }
}

impl Sink for TcpSink {
    fn check_write(&mut self) -> Result<u64, StreamError> {
        self.writer.check_write()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.writer.write(bytes)?;
        if let (Some(work), Some(meanwhile)) = (self.writer.background(), self.meanwhile.upgrade())
        {
            meanwhile.0.borrow_mut().push(work);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.writer.flush()
    }

    fn ready(&self) -> Pollable<Wait> {
        self.writer.ready()
    }
}

/// A guest that drops a stream was told that its bytes are written: they are sent first. At the end of a run (services go
/// before handles) nothing is waited for: a peer that does not read must not keep an app from ending.
impl Drop for TcpSink {
    fn drop(&mut self) {
        if let (Some(event), Some(meanwhile)) = (self.writer.unsent(), self.meanwhile.upgrade()) {
            meanwhile.poll(&Monotonic::start(), &[Pollable::Event(event)]);
        }
    }
}
