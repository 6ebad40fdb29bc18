//! `wasi:sockets/udp` and `udp-create-socket`: the functions. What they may do when is in [`super::udp_state`].

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};
use core::marker::PhantomData;

use super::tcp::{buffer_size, limit_hops};
use super::udp_state::{Receiving, Sending, Shared, State};
use super::{
    Answer, Background, ErrorCode, IpAddressFamily, IpSocketAddress, MAX_TRANSFER, Network, Socket,
    Sockets, Source, Udp,
};
use crate::abi::{Buffer, Bytes};
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface, ResourceType};
use crate::services::{Pollable, Services};
use crate::trap::Trap;
use crate::{function, resource};

/// Datagrams of one `receive` or `send`, as in wasmtime-wasi.
const MAX_DATAGRAMS: usize = 16;

// The words of `vyoma_runtime::trap`.
const SEND_BUDGET: &str = "sent more datagrams than `check-send` permitted";
const STREAMS_LIVE: &str = "UDP streams not dropped yet";

/// `incoming-datagram`
type IncomingDatagram = (Buffer, IpSocketAddress);

/// `outgoing-datagram`
type OutgoingDatagram = (Bytes, Option<IpSocketAddress>);

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

/// The resource `outgoing-datagram-stream`.
pub(super) struct Outgoing<S: Sockets> {
    stream: Rc<RefCell<Sending<S::Udp>>>,
    _alive: Rc<()>,
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
    let state = State::new(socket, family);
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
        stream: Receiving::new(&socket.state, state.remote),
        _alive: Rc::clone(&socket.streams),
    };
    let outgoing = Outgoing::<S> {
        stream: Sending::new(&socket.state),
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
