//! `wasi:sockets/udp` and `udp-create-socket`: sockets, and the two datagram streams of one.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};
use core::marker::PhantomData;
use core::net::SocketAddr;

use super::network::is_remote;
use super::tcp::{buffer_size, limit_hops};
use super::{
    Answer, Background, Datagram, ErrorCode, IpAddressFamily, IpSocketAddress, MAX_TRANSFER,
    Missing, Network, Socket, Sockets, Source, Udp,
};
use crate::abi::{Buffer, Bytes};
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface, ResourceType};
use crate::services::{Pollable, Services};
use crate::trap::Trap;
use crate::{function, resource};

/// Datagrams of one `receive` or `send`, as in wasmtime-wasi.
const MAX_DATAGRAMS: usize = 16;

/// The length field of a datagram has 16 bits; how much less fits is the kernel's word.
const MAX_DATAGRAM: usize = u16::MAX as usize;

// The words of `vyoma_runtime::trap`.
const SEND_BUDGET: &str = "sent more datagrams than `check-send` permitted";
const STREAMS_LIVE: &str = "UDP streams not dropped yet";

/// `incoming-datagram`
type IncomingDatagram = (Buffer, IpSocketAddress);

/// `outgoing-datagram`
type OutgoingDatagram = (Bytes, Option<IpSocketAddress>);

/// What a socket and its streams share.
struct State<T> {
    socket: T,
    family: IpAddressFamily,
    /// Known to be bound: once is for ever, also when the kernel forgets the port after a disconnect.
    bound: bool,
    /// The peer, if there is one.
    remote: Option<SocketAddr>,
}

type Shared<T> = Rc<RefCell<State<T>>>;

impl<T: Udp> State<T> {
    fn is_bound(&mut self) -> bool {
        self.bound = self.bound
            || self
                .socket
                .local_address()
                .is_ok_and(|address| address != self.family.unspecified());
        self.bound
    }

    fn local_address(&mut self) -> Result<SocketAddr, ErrorCode> {
        if !self.is_bound() {
            return Err(ErrorCode::InvalidState);
        }
        self.socket.local_address()
    }

    fn bind(
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
    fn set_remote(&mut self, remote: Option<SocketAddr>) -> Result<(), ErrorCode> {
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

/// The resource `udp-socket`.
pub(super) struct UdpSocket<S: Sockets> {
    state: Shared<S::Udp>,
    /// `start-bind` was called and `finish-bind` was not.
    binding: bool,
    /// One more owner for each stream that lives.
    streams: Rc<()>,
}

/// The resource `incoming-datagram-stream`.
pub(super) struct Incoming<S: Sockets> {
    stream: Rc<RefCell<Receiving<S::Udp>>>,
    _alive: Rc<()>,
}

struct Receiving<T> {
    socket: Shared<T>,
    /// Datagrams of others are not for this stream: the kernel filters those only that arrive after the connect.
    from: Option<SocketAddr>,
    /// What a wait received.
    next: Option<Result<Datagram, ErrorCode>>,
}

impl<T: Udp> Receiving<T> {
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

    fn receive(&mut self) -> Result<Datagram, ErrorCode> {
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

/// The resource `outgoing-datagram-stream`.
pub(super) struct Outgoing<S: Sockets> {
    stream: Rc<RefCell<Sending<S::Udp>>>,
    _alive: Rc<()>,
}

struct Sending<T> {
    socket: Shared<T>,
    /// How many datagrams `check-send` permitted last.
    permit: usize,
    /// A datagram that was taken and for which there was no room, and its destination.
    unsent: Option<(Vec<u8>, Option<SocketAddr>)>,
    /// How the last such one ended, for the next `send` to tell.
    failed: Option<ErrorCode>,
    /// A [`Background`] of this stream is with the platform.
    in_background: bool,
}

impl<T: Udp> Sending<T> {
    /// Sends what is unsent; `false`: there is no room yet.
    fn progress(&mut self) -> bool {
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

    fn send(&mut self, data: &[u8], to: Option<SocketAddr>) -> Result<(), ErrorCode> {
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

/// The interfaces over services `S`.
pub struct UdpInterfaces<S>(PhantomData<S>);

impl<S: Sockets> UdpInterfaces<S> {
    /// `wasi:sockets/udp-create-socket`
    pub const CREATE: &'static Interface<S> = &Interface {
        name: "wasi:sockets/udp-create-socket",
        functions: &[function!("create-udp-socket", create::<S>)],
        resources: &[],
    };

    /// `wasi:sockets/udp`
    pub const UDP: &'static Interface<S> = &Interface {
        name: "wasi:sockets/udp",
        functions: &[
            function!("[method]udp-socket.start-bind", start_bind::<S>),
            function!("[method]udp-socket.finish-bind", finish_bind::<S>),
            function!("[method]udp-socket.stream", stream::<S>),
            function!("[method]udp-socket.local-address", local_address::<S>),
            function!("[method]udp-socket.remote-address", remote_address::<S>),
            function!("[method]udp-socket.address-family", address_family::<S>),
            function!("[method]udp-socket.unicast-hop-limit", hop_limit::<S>),
            function!(
                "[method]udp-socket.set-unicast-hop-limit",
                set_hop_limit::<S>
            ),
            function!(
                "[method]udp-socket.receive-buffer-size",
                receive_buffer_size::<S>
            ),
            function!(
                "[method]udp-socket.set-receive-buffer-size",
                set_receive_buffer_size::<S>
            ),
            function!("[method]udp-socket.send-buffer-size", send_buffer_size::<S>),
            function!(
                "[method]udp-socket.set-send-buffer-size",
                set_send_buffer_size::<S>
            ),
            function!("[method]udp-socket.subscribe", subscribe::<S>),
            function!("[method]incoming-datagram-stream.receive", receive::<S>),
            function!(
                "[method]incoming-datagram-stream.subscribe",
                subscribe_incoming::<S>
            ),
            function!(
                "[method]outgoing-datagram-stream.check-send",
                check_send::<S>
            ),
            function!("[method]outgoing-datagram-stream.send", send::<S>),
            function!(
                "[method]outgoing-datagram-stream.subscribe",
                subscribe_outgoing::<S>
            ),
        ],
        resources: &[
            resource!("udp-socket", UdpSocket<S>),
            resource!("incoming-datagram-stream", Incoming<S>),
            ResourceType {
                name: "outgoing-datagram-stream",
                drop: drop_outgoing::<S>,
            },
        ],
    };
}

fn create<S: Sockets>(
    cx: &mut Context<'_, S>,
    (family,): (IpAddressFamily,),
) -> Answer<Own<UdpSocket<S>>> {
    if !cx.services.network_granted() {
        return Ok(Err(ErrorCode::AccessDenied));
    }
    let socket = match cx.services.create_udp(family) {
        Ok(socket) => socket,
        Err(error) => return Ok(Err(error)),
    };
    let state = Rc::new(RefCell::new(State {
        socket,
        family,
        bound: false,
        remote: None,
    }));
    cx.handles
        .push(UdpSocket::<S> {
            state,
            binding: false,
            streams: Rc::new(()),
        })
        .map(Ok)
}

type This<S> = Borrow<UdpSocket<S>>;

fn state<'a, S: Sockets>(
    cx: &'a mut Context<'_, S>,
    this: This<S>,
) -> Result<RefMut<'a, State<S::Udp>>, Trap> {
    Ok(cx.handles.get(this)?.state.borrow_mut())
}

fn start_bind<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, _, address): (This<S>, Borrow<Network>, IpSocketAddress),
) -> Answer<()> {
    let address = address.into();
    let Context {
        services, handles, ..
    } = cx;
    let socket = handles.get(this)?;
    if socket.binding {
        return Ok(Err(ErrorCode::ConcurrencyConflict));
    }
    let outcome = socket
        .state
        .borrow_mut()
        .bind(address, || services.may_bind(address));
    socket.binding = outcome.is_ok();
    Ok(outcome)
}

fn finish_bind<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<()> {
    let socket = cx.handles.get(this)?;
    Ok(if core::mem::take(&mut socket.binding) {
        Ok(())
    } else {
        Err(ErrorCode::NotInProgress)
    })
}

type Streams<S> = (Own<Incoming<S>>, Own<Outgoing<S>>);

fn stream<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, remote): (This<S>, Option<IpSocketAddress>),
) -> Answer<Streams<S>> {
    let socket = cx.handles.get(this)?;
    if Rc::strong_count(&socket.streams) > 1 {
        return Err(Trap::Interface(STREAMS_LIVE.to_string()));
    }
    let mut state = socket.state.borrow_mut();
    if let Err(error) = state.set_remote(remote.map(Into::into)) {
        return Ok(Err(error));
    }
    let incoming = Incoming::<S> {
        stream: Rc::new(RefCell::new(Receiving {
            socket: Rc::clone(&socket.state),
            from: state.remote,
            next: None,
        })),
        _alive: Rc::clone(&socket.streams),
    };
    let outgoing = Outgoing::<S> {
        stream: Rc::new(RefCell::new(Sending {
            socket: Rc::clone(&socket.state),
            permit: 0,
            unsent: None,
            failed: None,
            in_background: false,
        })),
        _alive: Rc::clone(&socket.streams),
    };
    drop(state);
    let incoming = cx.handles.push_child(incoming, this)?;
    let outgoing = cx.handles.push_child(outgoing, this)?;
    Ok(Ok((incoming, outgoing)))
}

fn local_address<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (This<S>,),
) -> Answer<IpSocketAddress> {
    Ok(state(cx, this)?.local_address().map(Into::into))
}

fn remote_address<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (This<S>,),
) -> Answer<IpSocketAddress> {
    let remote = state(cx, this)?.remote;
    Ok(remote.map(Into::into).ok_or(ErrorCode::InvalidState))
}

fn address_family<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (This<S>,),
) -> Result<IpAddressFamily, Trap> {
    Ok(state(cx, this)?.family)
}

fn hop_limit<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u8> {
    Ok(state(cx, this)?.socket.hop_limit())
}

fn set_hop_limit<S: Sockets>(cx: &mut Context<'_, S>, (this, value): (This<S>, u8)) -> Answer<()> {
    Ok(limit_hops(&state(cx, this)?.socket, value))
}

fn receive_buffer_size<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u64> {
    Ok(state(cx, this)?.socket.receive_buffer_size())
}

fn set_receive_buffer_size<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, u64),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(buffer_size(value).and_then(|value| state.socket.set_receive_buffer_size(value)))
}

fn send_buffer_size<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u64> {
    Ok(state(cx, this)?.socket.send_buffer_size())
}

fn set_send_buffer_size<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, u64),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(buffer_size(value).and_then(|value| state.socket.set_send_buffer_size(value)))
}

type Events<S> = Pollable<<S as Services>::Wait>;

/// No operation of the socket itself takes time.
fn subscribe<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (This<S>,),
) -> Result<Own<Events<S>>, Trap> {
    cx.handles.push_child(Pollable::<S::Wait>::Ready, this)
}

fn receive<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, most): (Borrow<Incoming<S>>, u64),
) -> Answer<Vec<IncomingDatagram>> {
    let mut stream = cx.handles.get(this)?.stream.borrow_mut();
    let most = usize::try_from(most).map_or(MAX_DATAGRAMS, |most| most.min(MAX_DATAGRAMS));
    let mut datagrams = Vec::new();
    let mut size = 0;
    while datagrams.len() < most && size < MAX_TRANSFER {
        match stream.receive() {
            Ok((data, from)) => {
                // Empty ones count too.
                size += 1 + data.len();
                datagrams.push((Buffer(data), from.into()));
            }
            Err(ErrorCode::WouldBlock) => break,
            Err(_) if !datagrams.is_empty() => break,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(datagrams))
}

fn subscribe_incoming<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (Borrow<Incoming<S>>,),
) -> Result<Own<Events<S>>, Trap> {
    let stream = &cx.handles.get(this)?.stream;
    let event = event(&stream.borrow().socket, stream);
    cx.handles.push_child(Pollable::Event(event), this)
}

fn check_send<S: Sockets>(cx: &mut Context<'_, S>, (this,): (Borrow<Outgoing<S>>,)) -> Answer<u64> {
    let mut stream = cx.handles.get(this)?.stream.borrow_mut();
    stream.permit = if stream.progress() { MAX_DATAGRAMS } else { 0 };
    Ok(Ok(stream.permit as u64))
}

fn send<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, datagrams): (Borrow<Outgoing<S>>, Vec<OutgoingDatagram>),
) -> Answer<u64> {
    let Context {
        services,
        handles,
        guest,
    } = cx;
    let shared = &handles.get(this)?.stream;
    let mut stream = shared.borrow_mut();
    if datagrams.is_empty() {
        return Ok(Ok(0));
    }
    if datagrams.len() > stream.permit {
        return Err(Trap::Interface(SEND_BUDGET.to_string()));
    }
    stream.permit = 0;
    let mut count = 0;
    let mut failed = None;
    for (data, to) in datagrams {
        match stream.send(data.get(&mut **guest)?, to.map(Into::into)) {
            Ok(()) => count += 1,
            Err(error) => {
                failed = Some(error).filter(|&error| error != ErrorCode::WouldBlock);
                break;
            }
        }
    }
    if stream.unsent.is_some() && !core::mem::replace(&mut stream.in_background, true) {
        services.background(background(shared));
    }
    Ok(match failed {
        Some(error) if count == 0 => Err(error),
        _ => Ok(count),
    })
}

/// The event of a stream.
fn event<T: Udp>(socket: &Shared<T>, source: &Rc<impl Source + 'static>) -> T::Wait {
    let source = Rc::clone(source) as Rc<dyn Source>;
    socket.borrow().socket.event(source)
}

/// The event of a stream that has something unsent.
fn unsent<T: Udp>(stream: &Rc<RefCell<Sending<T>>>) -> Option<T::Wait> {
    let sending = stream.borrow();
    sending.unsent.as_ref()?;
    Some(event(&sending.socket, stream))
}

fn background<T: Udp>(stream: &Rc<RefCell<Sending<T>>>) -> Background<T::Wait> {
    let stream = Rc::downgrade(stream);
    Box::new(move || {
        let stream = stream.upgrade()?;
        let event = unsent(&stream);
        stream.borrow_mut().in_background = event.is_some();
        event
    })
}

fn subscribe_outgoing<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (Borrow<Outgoing<S>>,),
) -> Result<Own<Events<S>>, Trap> {
    let stream = &cx.handles.get(this)?.stream;
    let event = event(&stream.borrow().socket, stream);
    cx.handles.push_child(Pollable::Event(event), this)
}

/// A datagram that was taken is sent, also when the stream is dropped meanwhile.
fn drop_outgoing<S: Sockets>(cx: &mut Context<'_, S>, handle: u32) -> Result<(), Trap> {
    let dropped = cx.handles.remove::<Outgoing<S>>(handle)?;
    if let Some(event) = unsent(&dropped.stream) {
        cx.services.poll(&[Pollable::Event(event)]);
    }
    Ok(())
}
