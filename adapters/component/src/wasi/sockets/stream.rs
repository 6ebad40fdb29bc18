//! The two streams of a TCP connection. A platform's `Input` and `Output` hold one each and pass the calls of
//! [`Services`](crate::services::Services) on; the socket holds both too, for `shutdown`.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::{Background, ErrorCode, MAX_TRANSFER, Missing, Sent, Source, Tcp};
use crate::services::{IoError, Pollable, StreamError};

fn failed(message: String) -> StreamError {
    StreamError::Failed(IoError {
        message,
        filesystem_code: None,
    })
}

/// The receiving half of a connection.
pub struct TcpReader<T: Tcp>(Rc<Receiving<T>>);

/// Shared between stream and socket.
struct Receiving<T: Tcp> {
    socket: Rc<T>,
    /// `false` after the end, an error, or `shutdown`.
    open: Cell<bool>,
}

impl<T: Tcp> Clone for TcpReader<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Tcp> TcpReader<T> {
    pub(super) fn new(socket: Rc<T>) -> Self {
        Self(Rc::new(Receiving {
            socket,
            open: Cell::new(true),
        }))
    }

    /// As [`Services::read`](crate::services::Services::read).
    pub fn read(&self, most: u64) -> Result<Vec<u8>, StreamError> {
        if !self.0.open.get() {
            return Err(StreamError::Closed);
        }
        if most == 0 {
            return Ok(Vec::new());
        }
        let size = usize::try_from(most).map_or(MAX_TRANSFER, |most| most.min(MAX_TRANSFER));
        let mut buffer = alloc::vec![0; size];
        match self.0.socket.receive(&mut buffer) {
            Ok(0) => {
                self.shutdown();
                Err(StreamError::Closed)
            }
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Err(ErrorCode::WouldBlock) => Ok(Vec::new()),
            Err(error) => {
                self.shutdown();
                // The words of wasmtime-wasi, which a guest can print.
                Err(failed(match error {
                    ErrorCode::Unknown => String::from("Other"),
                    error => format!("{error:?}"),
                }))
            }
        }
    }

    /// What tells that there is something to read, or nothing more ever.
    pub fn ready(&self) -> Pollable<T::Wait> {
        let source = Rc::clone(&self.0) as Rc<dyn Source>;
        Pollable::Event(self.0.socket.event(source))
    }

    pub(super) fn shutdown(&self) {
        self.0.shutdown();
    }
}

impl<T: Tcp> Receiving<T> {
    fn shutdown(&self) {
        if self.open.replace(false) {
            self.socket.shutdown_receive();
        }
    }
}

impl<T: Tcp> Source for Receiving<T> {
    fn missing(&self) -> Missing {
        if self.open.get() {
            Missing::Readable
        } else {
            Missing::Nothing
        }
    }

    fn arrived(&self) -> bool {
        true
    }
}

impl<T: Tcp> Drop for Receiving<T> {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// The sending half of a connection. What the platform doesn't take at once is kept and sent while the guest waits.
pub struct TcpWriter<T: Tcp>(Rc<Shared<T>>);

struct Shared<T: Tcp> {
    state: RefCell<Writing<T>>,
    /// A [`Background`] of this stream is with the platform.
    in_background: Cell<bool>,
}

enum Writing<T> {
    Idle {
        socket: Rc<T>,
        /// What `check-write` permitted last.
        permit: usize,
        /// The platform had room when last asked.
        room: bool,
    },
    Busy {
        socket: Rc<T>,
        /// What remains to be sent.
        rest: Vec<u8>,
        /// How many of them were sent.
        sent: usize,
        /// Close when all is sent.
        closing: bool,
    },
    Closed(Option<ErrorCode>),
}

impl<T: Tcp> Clone for TcpWriter<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Tcp> TcpWriter<T> {
    pub(super) fn new(socket: Rc<T>) -> Self {
        Self(Rc::new(Shared {
            state: RefCell::new(Writing::Idle {
                socket,
                permit: 0,
                room: false,
            }),
            in_background: Cell::new(false),
        }))
    }

    /// As [`Services::check_write`](crate::services::Services::check_write).
    pub fn check_write(&self) -> Result<u64, StreamError> {
        let mut state = self.0.state.borrow_mut();
        let ready = state.progress();
        match &mut *state {
            Writing::Closed(error) => Err(closed(*error)),
            Writing::Idle { permit, .. } if ready => {
                *permit = MAX_TRANSFER;
                Ok(MAX_TRANSFER as u64)
            }
            _ => Ok(0),
        }
    }

    /// As [`Services::write`](crate::services::Services::write). Then see [`TcpWriter::background`].
    pub fn write(&self, bytes: &[u8]) -> Result<(), StreamError> {
        let mut state = self.0.state.borrow_mut();
        match &mut *state {
            Writing::Idle { socket, permit, .. } if bytes.len() <= *permit => {
                if bytes.is_empty() {
                    return Ok(());
                }
                let socket = Rc::clone(socket);
                // Straight from the guest's memory; only what remains is copied.
                match send(&*socket, bytes) {
                    Ok(sent) if sent == bytes.len() => {
                        *state = Writing::Idle {
                            socket,
                            permit: 0,
                            room: true,
                        };
                    }
                    Ok(sent) => {
                        *state = Writing::Busy {
                            socket,
                            rest: bytes[sent..].to_vec(),
                            sent: 0,
                            closing: false,
                        };
                    }
                    Err(error) => {
                        socket.shutdown_send();
                        *state = Writing::Closed(error);
                        return Err(closed(error));
                    }
                }
                Ok(())
            }
            Writing::Closed(error) => Err(closed(*error)),
            _ => Err(StreamError::Trap(
                "write of more bytes than `check-write` permitted",
            )),
        }
    }

    /// As [`Services::flush`](crate::services::Services::flush): bytes are always on their way as soon as can be.
    pub fn flush(&self) -> Result<(), StreamError> {
        match *self.0.state.borrow() {
            Writing::Closed(error) => Err(closed(error)),
            _ => Ok(()),
        }
    }

    /// What was written and could not be sent yet: an event to be waited for before the stream is dropped.
    pub fn unsent(&self) -> Option<T::Wait> {
        self.0.unsent()
    }

    /// The work of sending it, if nobody has it yet: for [`Sockets::background`](super::Sockets::background).
    pub fn background(&self) -> Option<Background<T::Wait>> {
        self.unsent()?;
        if self.0.in_background.replace(true) {
            return None;
        }
        let stream = Rc::downgrade(&self.0);
        Some(Box::new(move || {
            let stream = stream.upgrade()?;
            let event = stream.unsent();
            stream.in_background.set(event.is_some());
            event
        }))
    }

    /// What tells that `check_write` permits something or has an error.
    pub fn ready(&self) -> Pollable<T::Wait> {
        match &*self.0.state.borrow() {
            Writing::Closed(_) => Pollable::Ready,
            Writing::Idle { socket, .. } | Writing::Busy { socket, .. } => {
                Pollable::Event(socket.event(Rc::clone(&self.0) as Rc<dyn Source>))
            }
        }
    }

    pub(super) fn shutdown(&self) {
        let mut state = self.0.state.borrow_mut();
        match &mut *state {
            Writing::Idle { socket, .. } => {
                socket.shutdown_send();
                *state = Writing::Closed(None);
            }
            Writing::Busy { closing, .. } => *closing = true,
            Writing::Closed(_) => {}
        }
    }
}

/// No code: closed in good order, or by the peer.
fn closed(error: Option<ErrorCode>) -> StreamError {
    match error {
        None => StreamError::Closed,
        Some(code) => failed(format!("{code} (error {})", code as u8)),
    }
}

/// Sends until there is no room. How many bytes, or why the connection is closed.
fn send<T: Tcp>(socket: &T, bytes: &[u8]) -> Result<usize, Option<ErrorCode>> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.send(&bytes[sent..]) {
            Sent::Bytes(count) => sent += count,
            Sent::Later => break,
            Sent::Broken => return Err(None),
            Sent::Failed(error) => return Err(Some(error)),
        }
    }
    Ok(sent)
}

impl<T: Tcp> Writing<T> {
    /// Sends what can be sent; whether there is nothing to wait for.
    fn progress(&mut self) -> bool {
        match self {
            Self::Closed(_) => true,
            Self::Idle { socket, room, .. } => {
                *room = *room || socket.is_writable();
                *room
            }
            Self::Busy {
                socket,
                rest,
                sent,
                closing,
            } => {
                let after = match send(&**socket, &rest[*sent..]) {
                    Ok(count) => {
                        *sent += count;
                        if *sent < rest.len() {
                            return false;
                        }
                        if *closing {
                            Self::Closed(None)
                        } else {
                            Self::Idle {
                                socket: Rc::clone(socket),
                                permit: 0,
                                room: true,
                            }
                        }
                    }
                    Err(error) => Self::Closed(error),
                };
                if let Self::Closed(_) = after {
                    socket.shutdown_send();
                }
                *self = after;
                true
            }
        }
    }
}

impl<T: Tcp> Shared<T> {
    fn unsent(self: &Rc<Self>) -> Option<T::Wait> {
        match &*self.state.borrow() {
            Writing::Busy { socket, .. } => Some(socket.event(Rc::clone(self) as Rc<dyn Source>)),
            _ => None,
        }
    }
}

impl<T: Tcp> Source for Shared<T> {
    fn missing(&self) -> Missing {
        if self.state.borrow_mut().progress() {
            Missing::Nothing
        } else {
            Missing::Writable
        }
    }
}

/// The peer reads to the end of what was sent, even when the guest leaves bytes of the peer unread: a mere close would be a
/// reset then.
impl<T: Tcp> Drop for Shared<T> {
    fn drop(&mut self) {
        match self.state.get_mut() {
            Writing::Idle { socket, .. } | Writing::Busy { socket, .. } => socket.shutdown_send(),
            Writing::Closed(_) => {}
        }
    }
}
