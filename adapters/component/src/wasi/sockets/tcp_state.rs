//! What a TCP socket may do when: the states of `wasi:sockets/tcp`.
//!
//! ```text
//!                 start-connect               (connection made)
//!   Idle  ───────────────────────> Connecting ─────────────────> Connected
//!    │ start-listen                    │ (attempt failed)
//!    v                                 v
//!   Listening                        Closed
//! ```
//!
//! Binding changes no state: the platform's socket knows its address. Beside the state there is the operation that was
//! started and not finished. Called by [`super::tcp`] and, for readiness, by the platform's wait.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::net::SocketAddr;

use super::network::{is_remote, is_unicast};
use super::{ErrorCode, IpAddressFamily, Missing, Source, Tcp, TcpReader, TcpWriter};

/// Clients that wait to be accepted, unless the guest says otherwise: what Rust's standard library has, and wasmtime-wasi.
const DEFAULT_BACKLOG: u32 = 128;

/// Started and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Bind,
    Connect,
    Listen,
}

enum Progress<T: Tcp> {
    Idle,
    /// The address, until the platform was asked for the connection: that happens when the guest waits or finishes.
    Connecting(Option<SocketAddr>),
    Listening,
    Connected(Option<(TcpReader<T>, TcpWriter<T>)>),
    /// An attempt failed; everything fails alike from now on.
    Closed(ErrorCode),
}

/// A socket and its state.
pub(super) struct State<T: Tcp> {
    socket: Rc<T>,
    family: IpAddressFamily,
    progress: Progress<T>,
    operation: Option<Operation>,
    backlog: u32,
    /// Known to be bound: once is for ever.
    bound: bool,
}

type Shared<T> = Rc<RefCell<State<T>>>;
type Streams<T> = (TcpReader<T>, TcpWriter<T>);

impl<T: Tcp> State<T> {
    pub(super) fn new(socket: T, family: IpAddressFamily) -> Self {
        Self {
            socket: Rc::new(socket),
            family,
            progress: Progress::Idle,
            operation: None,
            backlog: DEFAULT_BACKLOG,
            bound: false,
        }
    }

    /// Of a client that was accepted.
    fn accepted(socket: T, family: IpAddressFamily) -> Self {
        Self {
            progress: Progress::Connected(None),
            bound: true,
            ..Self::new(socket, family)
        }
    }

    /// The event of a subscription: see [`Source`] below.
    pub(super) fn event(this: &Shared<T>) -> T::Wait {
        let socket = Rc::clone(&this.borrow().socket);
        socket.event(Rc::clone(this) as Rc<dyn Source>)
    }

    pub(super) fn family(&self) -> IpAddressFamily {
        self.family
    }

    pub(super) fn is_listening(&self) -> bool {
        matches!(self.progress, Progress::Listening)
    }

    fn is_bound(&mut self) -> bool {
        self.bound = self.bound
            || !matches!(self.progress, Progress::Idle)
            || self
                .socket
                .local_address()
                .is_ok_and(|address| address != self.family.unspecified());
        self.bound
    }

    /// The socket, when its options can be read and set.
    pub(super) fn usable(&self) -> Result<&T, ErrorCode> {
        match self.progress {
            Progress::Idle | Progress::Listening | Progress::Connected(_) => Ok(&self.socket),
            Progress::Connecting(_) => Err(ErrorCode::InvalidState),
            Progress::Closed(error) => Err(error),
        }
    }

    /// No two operations at a time.
    fn begin(&self) -> Result<(), ErrorCode> {
        match self.operation {
            None => Ok(()),
            Some(_) => Err(ErrorCode::ConcurrencyConflict),
        }
    }

    fn in_progress(&self, operation: Operation) -> Result<(), ErrorCode> {
        if self.operation == Some(operation) {
            Ok(())
        } else {
            Err(ErrorCode::NotInProgress)
        }
    }

    fn finish(&mut self, operation: Operation) -> Result<(), ErrorCode> {
        self.in_progress(operation)?;
        self.operation = None;
        Ok(())
    }

    pub(super) fn start_bind(
        &mut self,
        address: SocketAddr,
        may_bind: impl FnOnce() -> bool,
    ) -> Result<(), ErrorCode> {
        self.begin()?;
        if self.is_bound() || !matches!(self.progress, Progress::Idle) {
            return Err(ErrorCode::InvalidState);
        }
        if !is_unicast(address) || !self.family.takes(address) {
            return Err(ErrorCode::InvalidArgument);
        }
        if !may_bind() {
            return Err(ErrorCode::AccessDenied);
        }
        self.socket.bind(address)?;
        self.operation = Some(Operation::Bind);
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        self.finish(Operation::Bind)
    }

    pub(super) fn start_connect(&mut self, address: SocketAddr) -> Result<(), ErrorCode> {
        self.begin()?;
        if !matches!(self.progress, Progress::Idle) {
            return Err(ErrorCode::InvalidState);
        }
        if !is_unicast(address) || !is_remote(address) || !self.family.takes(address) {
            return Err(ErrorCode::InvalidArgument);
        }
        self.progress = Progress::Connecting(Some(address));
        self.operation = Some(Operation::Connect);
        Ok(())
    }

    /// Makes progress with a connection; whether the attempt ended.
    fn connect(&mut self) -> bool {
        let Progress::Connecting(address) = &mut self.progress else {
            return true;
        };
        let outcome = match address.take() {
            Some(address) => self.socket.connect(address),
            None => self.socket.connected(),
        };
        self.progress = match outcome {
            Err(ErrorCode::WouldBlock) => return false,
            Ok(()) => Progress::Connected(None),
            Err(error) => Progress::Closed(error),
        };
        true
    }

    pub(super) fn finish_connect(&mut self) -> Result<Streams<T>, ErrorCode> {
        self.in_progress(Operation::Connect)?;
        if !self.connect() {
            return Err(ErrorCode::WouldBlock);
        }
        self.operation = None;
        self.take_streams()
    }

    fn take_streams(&mut self) -> Result<Streams<T>, ErrorCode> {
        match &mut self.progress {
            Progress::Connected(streams @ None) => {
                let reader = TcpReader::new(Rc::clone(&self.socket));
                let writer = TcpWriter::new(Rc::clone(&self.socket));
                *streams = Some((reader.clone(), writer.clone()));
                Ok((reader, writer))
            }
            Progress::Closed(error) => Err(*error),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn start_listen(&mut self) -> Result<(), ErrorCode> {
        self.begin()?;
        if !self.is_bound() || !matches!(self.progress, Progress::Idle) {
            return Err(ErrorCode::InvalidState);
        }
        if let Err(error) = self.socket.listen(self.backlog) {
            // As in wasmtime-wasi, where a socket that could not listen is no longer of use.
            self.progress = Progress::Closed(ErrorCode::Unknown);
            return Err(error);
        }
        self.progress = Progress::Listening;
        self.operation = Some(Operation::Listen);
        Ok(())
    }

    pub(super) fn finish_listen(&mut self) -> Result<(), ErrorCode> {
        self.finish(Operation::Listen)
    }

    pub(super) fn accept(&mut self) -> Result<(Self, Streams<T>), ErrorCode> {
        if !self.is_listening() {
            return Err(ErrorCode::InvalidState);
        }
        let mut client = Self::accepted(self.socket.accept()?, self.family);
        let streams = client.take_streams()?;
        Ok((client, streams))
    }

    pub(super) fn local_address(&mut self) -> Result<SocketAddr, ErrorCode> {
        if !self.is_bound() {
            return Err(ErrorCode::InvalidState);
        }
        self.usable()?.local_address()
    }

    pub(super) fn remote_address(&self) -> Result<SocketAddr, ErrorCode> {
        match self.progress {
            Progress::Connected(_) => self.socket.remote_address(),
            Progress::Closed(error) => Err(error),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn set_backlog(&mut self, value: u64) -> Result<(), ErrorCode> {
        // The kernel's type; it lowers it further to its own limit.
        const MOST: u32 = i32::MAX as u32;
        if value == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let value = u32::try_from(value).map_or(MOST, |value| value.min(MOST));
        match self.progress {
            Progress::Idle => {}
            Progress::Listening => self
                .socket
                .listen(value)
                .map_err(|_| ErrorCode::NotSupported)?,
            Progress::Closed(error) => return Err(error),
            _ => return Err(ErrorCode::InvalidState),
        }
        self.backlog = value;
        Ok(())
    }

    pub(super) fn shutdown(&self, receive: bool, send: bool) -> Result<(), ErrorCode> {
        let Progress::Connected(Some((reader, writer))) = &self.progress else {
            return Err(ErrorCode::InvalidState);
        };
        if receive {
            reader.shutdown();
        }
        if send {
            writer.shutdown();
        }
        Ok(())
    }
}

impl<T: Tcp> Source for RefCell<State<T>> {
    fn missing(&self) -> Missing {
        let mut state = self.borrow_mut();
        if state.operation == Some(Operation::Connect) && !state.connect() {
            Missing::Writable
        } else if state.operation.is_none() && state.is_listening() {
            Missing::Readable
        } else {
            Missing::Nothing
        }
    }

    fn arrived(&self) -> bool {
        match self.missing() {
            // A client: there is nothing to be done before `accept`.
            Missing::Nothing | Missing::Readable => true,
            Missing::Writable => false,
        }
    }
}
