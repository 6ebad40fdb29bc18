//! Streams on files: each has its own position, and keeps the file open by itself.
//!
//! A file never makes its reader wait, but a guest must not see that: as with wasmtime-wasi, the first `read` of a stream that
//! nothing waited for gives no byte yet, and after a `write` nothing is permitted until the guest waited. What the disk said is
//! told then. Waiting takes no time: the operation is long over.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use rustix::io::{ReadWriteFlags, pwritev2};
use vyoma_component::services::{IoError, Pollable, StreamError};

use super::error::io_error;
use crate::linux::{Event, Sink, Source, Wait, Watch};

/// Most bytes that one read gives, and that one write may have: as much as wasmtime-wasi.
pub(super) const MOST: usize = 64 * 1024;

/// The words of wasmtime-wasi.
const WITHOUT_PERMIT: &str = "write not permitted: check_write not called first";

/// Whether somebody waited for the stream since its last operation. Always ready.
#[derive(Clone, Default)]
struct Waited(Rc<Cell<bool>>);

impl Event for Waited {
    fn watch(&self) -> Watch<'_> {
        self.0.set(true);
        Watch::Ready
    }
}

impl Waited {
    fn pollable(&self) -> Pollable<Wait> {
        Wait::pollable(self.clone())
    }
}

/// What `read-via-stream` gives.
pub(super) struct Reader {
    file: Rc<File>,
    /// Of the next byte that is to be read from the file.
    position: u64,
    /// Read and not handed over.
    bytes: Vec<u8>,
    state: Reading,
    waited: Waited,
}

enum Reading {
    Open,
    Failed(IoError),
    Closed,
}

impl Reader {
    pub(super) fn new(file: Rc<File>, position: u64) -> Self {
        Self {
            file,
            position,
            bytes: Vec::new(),
            state: Reading::Open,
            waited: Waited::default(),
        }
    }

    /// Reads ahead.
    fn fill(&mut self, most: usize) {
        let mut bytes = vec![0; most.min(MOST)];
        let read = loop {
            match self.file.read_at(&mut bytes, self.position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read {
            Ok(0) => self.state = Reading::Closed,
            Ok(count) => {
                bytes.truncate(count);
                self.position += count as u64;
                self.bytes = bytes;
            }
            Err(error) => self.state = Reading::Failed(io_error(error)),
        }
    }
}

impl Source for Reader {
    fn read(&mut self, most: usize) -> Result<Vec<u8>, StreamError> {
        if matches!(self.state, Reading::Open) && self.bytes.is_empty() && most > 0 {
            self.fill(most);
            if !self.waited.0.get() {
                return Ok(Vec::new());
            }
        }
        if most > 0 {
            self.waited.0.set(false);
        }
        match std::mem::replace(&mut self.state, Reading::Closed) {
            Reading::Open => {
                self.state = Reading::Open;
                let rest = self.bytes.split_off(most.min(self.bytes.len()));
                Ok(std::mem::replace(&mut self.bytes, rest))
            }
            Reading::Failed(error) => Err(StreamError::Failed(error)),
            Reading::Closed => Err(StreamError::Closed),
        }
    }

    fn ready(&self) -> Pollable<Wait> {
        self.waited.pollable()
    }
}

/// What `write-via-stream` and `append-via-stream` give.
pub(super) struct Writer {
    file: Rc<File>,
    /// Of the next byte; none: wherever the end is.
    position: Option<u64>,
    state: Writing,
    waited: Waited,
}

enum Writing {
    Open,
    /// A write is over, but the guest is not told yet.
    Written(Result<u64, IoError>),
    Failed(IoError),
    Closed,
}

impl Writer {
    pub(super) fn new(file: Rc<File>, position: Option<u64>) -> Self {
        Self {
            file,
            position,
            state: Writing::Open,
            waited: Waited::default(),
        }
    }

    /// Takes in what the last write gave, if the guest waited for it.
    fn settle(&mut self) {
        if !self.waited.0.get() {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, Writing::Closed) {
            Writing::Written(Ok(count)) => {
                self.position = self.position.map(|position| position + count);
                Writing::Open
            }
            Writing::Written(Err(error)) => Writing::Failed(error),
            other => other,
        };
    }

    /// The error, once; then the stream is closed.
    fn failure(&mut self) -> Option<StreamError> {
        match &self.state {
            Writing::Failed(_) => match std::mem::replace(&mut self.state, Writing::Closed) {
                Writing::Failed(error) => Some(StreamError::Failed(error)),
                _ => None,
            },
            Writing::Closed => Some(StreamError::Closed),
            Writing::Open | Writing::Written(_) => None,
        }
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<u64> {
        let mut written = 0;
        loop {
            let count = match self.position {
                Some(position) => self.file.write_at(bytes, position + written)?,
                None => append(&self.file, bytes)?,
            };
            written += count as u64;
            bytes = bytes.get(count..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(written);
            }
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
    }
}

impl Sink for Writer {
    fn check_write(&mut self) -> Result<u64, StreamError> {
        self.settle();
        match self.failure() {
            Some(error) => Err(error),
            None if matches!(self.state, Writing::Open) => Ok(MOST as u64),
            None => Ok(0),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.settle();
        match self.state {
            Writing::Open => {}
            Writing::Written(_) | Writing::Failed(_) => {
                return Err(StreamError::Trap(WITHOUT_PERMIT));
            }
            Writing::Closed => return Err(StreamError::Closed),
        }
        let outcome = self.write_all(bytes).map_err(io_error);
        self.state = Writing::Written(outcome);
        self.waited.0.set(false);
        Ok(())
    }

    /// Nothing is buffered: what is written is with the kernel, where every reader sees it.
    fn flush(&mut self) -> Result<(), StreamError> {
        self.settle();
        self.failure().map_or(Ok(()), Err)
    }

    fn ready(&self) -> Pollable<Wait> {
        self.waited.pollable()
    }
}

/// Writes at the end, wherever it is by then, without a change to the descriptor's flags, which other streams share.
fn append(file: &File, bytes: &[u8]) -> io::Result<usize> {
    let bytes = [io::IoSlice::new(bytes)];
    Ok(pwritev2(file, &bytes, 0, ReadWriteFlags::APPEND)?)
}
