//! What a UDP socket and its datagram streams may do when. In WASI 0.2 a socket is bound explicitly before it has streams, and
//! streams with a peer are streams of a connected socket. Called by [`super::udp`] and, for readiness, by the platform's
//! wait.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::SocketAddr;

use super::network::is_remote;
use super::{Datagram, ErrorCode, IpAddressFamily, Missing, Source, Udp};

/// The length field of a datagram has 16 bits; how much less fits is the kernel's word.
const MAX_DATAGRAM: usize = u16::MAX as usize;

/// What a socket and its streams share.
pub(super) struct State<T> {
    pub(super) socket: T,
    pub(super) family: IpAddressFamily,
    /// Known to be bound: once is for ever, also when the kernel forgets the port after a disconnect.
    bound: bool,
    /// The peer, if there is one.
    pub(super) remote: Option<SocketAddr>,
}

pub(super) type Shared<T> = Rc<RefCell<State<T>>>;

impl<T: Udp> State<T> {
    pub(super) fn new(socket: T, family: IpAddressFamily) -> Shared<T> {
        Rc::new(RefCell::new(Self {
            socket,
            family,
            bound: false,
            remote: None,
        }))
    }

    fn is_bound(&mut self) -> bool {
        self.bound = self.bound
            || self
                .socket
                .local_address()
                .is_ok_and(|address| address != self.family.unspecified());
        self.bound
    }

    pub(super) fn local_address(&mut self) -> Result<SocketAddr, ErrorCode> {
        if !self.is_bound() {
            return Err(ErrorCode::InvalidState);
        }
        self.socket.local_address()
    }

    pub(super) fn bind(
        &mut self,
        address: SocketAddr,
        may_bind: impl FnOnce() -> bool,
    ) -> Result<(), ErrorCode> {
        if self.is_bound() {
            return Err(ErrorCode::InvalidState);
        }
        if !self.family.takes(address) {
            return Err(ErrorCode::InvalidArgument);
        }
        if !may_bind() {
            return Err(ErrorCode::AccessDenied);
        }
        self.socket.bind(address)
    }

    /// Sets or forgets the peer. In WASI 0.2 only for a socket that is bound.
    pub(super) fn set_remote(&mut self, remote: Option<SocketAddr>) -> Result<(), ErrorCode> {
        if !self.is_bound() {
            return Err(ErrorCode::InvalidState);
        }
        let outcome = match remote {
            Some(address) if !self.family.takes(address) || !is_remote(address) => {
                return Err(ErrorCode::InvalidArgument);
            }
            Some(address) => self.socket.connect(address),
            None if self.remote.is_some() => self.socket.disconnect(),
            None => return Ok(()),
        };
        self.remote = self
            .socket
            .remote_address()
            .ok()
            .filter(|address| *address != self.family.unspecified());
        outcome
    }

    /// Where a datagram goes: `None` to the peer, so that the kernel needs no look at the route.
    fn destination(&self, to: Option<SocketAddr>) -> Result<Option<SocketAddr>, ErrorCode> {
        match (to, self.remote) {
            (None, Some(_)) => Ok(None),
            (Some(to), _) if !is_remote(to) || !self.family.takes(to) => {
                Err(ErrorCode::InvalidArgument)
            }
            (Some(to), Some(remote)) if to == remote => Ok(None),
            (Some(to), None) => Ok(Some(to)),
            (None, None) | (Some(_), Some(_)) => Err(ErrorCode::InvalidArgument),
        }
    }
}

/// What an `incoming-datagram-stream` holds.
pub(super) struct Receiving<T> {
    pub(super) socket: Shared<T>,
    /// Datagrams of others are not for this stream: the kernel filters those only that arrive after the connect.
    from: Option<SocketAddr>,
    /// What a wait received.
    next: Option<Result<Datagram, ErrorCode>>,
}

impl<T: Udp> Receiving<T> {
    pub(super) fn new(socket: &Shared<T>, from: Option<SocketAddr>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            socket: Rc::clone(socket),
            from,
            next: None,
        }))
    }

    /// Receives one unless there is one; `false`: nothing yet.
    fn fill(&mut self) -> bool {
        while self.next.is_none() {
            match self.socket.borrow().socket.receive() {
                Err(ErrorCode::WouldBlock) => return false,
                Ok((_, from)) if self.from.is_some_and(|expected| expected != from) => {}
                outcome => self.next = Some(outcome),
            }
        }
        true
    }

    pub(super) fn receive(&mut self) -> Result<Datagram, ErrorCode> {
        self.fill();
        self.next.take().unwrap_or(Err(ErrorCode::WouldBlock))
    }
}

impl<T: Udp> Source for RefCell<Receiving<T>> {
    fn missing(&self) -> Missing {
        if self.borrow_mut().fill() {
            Missing::Nothing
        } else {
            Missing::Readable
        }
    }
}

/// What an `outgoing-datagram-stream` holds.
pub(super) struct Sending<T> {
    pub(super) socket: Shared<T>,
    /// How many datagrams `check-send` permitted last.
    pub(super) permit: usize,
    /// A datagram that was taken and for which there was no room, and its destination.
    pub(super) unsent: Option<(Vec<u8>, Option<SocketAddr>)>,
    /// How the last such one ended, for the next `send` to tell.
    failed: Option<ErrorCode>,
    /// The platform has the work of sending it.
    pub(super) in_background: bool,
}

impl<T: Udp> Sending<T> {
    pub(super) fn new(socket: &Shared<T>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            socket: Rc::clone(socket),
            permit: 0,
            unsent: None,
            failed: None,
            in_background: false,
        }))
    }

    /// Sends what is unsent; `false`: there is no room yet.
    pub(super) fn progress(&mut self) -> bool {
        let Some((data, to)) = &self.unsent else {
            return true;
        };
        match self.socket.borrow().socket.send(data, *to) {
            Err(ErrorCode::WouldBlock) => return false,
            outcome => self.failed = outcome.err(),
        }
        self.unsent = None;
        true
    }

    pub(super) fn send(&mut self, data: &[u8], to: Option<SocketAddr>) -> Result<(), ErrorCode> {
        if !self.progress() {
            return Err(ErrorCode::WouldBlock);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if data.len() > MAX_DATAGRAM {
            return Err(ErrorCode::DatagramTooLarge);
        }
        let state = self.socket.borrow();
        let to = state.destination(to)?;
        match state.socket.send(data, to) {
            Err(ErrorCode::WouldBlock) => {
                self.unsent = Some((data.to_vec(), to));
                Ok(())
            }
            outcome => outcome,
        }
    }
}

impl<T: Udp> Source for RefCell<Sending<T>> {
    fn missing(&self) -> Missing {
        if self.borrow_mut().progress() {
            Missing::Nothing
        } else {
            Missing::Writable
        }
    }
}
