//! `wasi:sockets/tcp` and `tcp-create-socket`: the functions. What they may do when is in [`super::tcp_state`].

use alloc::rc::Rc;
use core::cell::{RefCell, RefMut};
use core::marker::PhantomData;

use super::tcp_state::State;
use super::{Answer, ErrorCode, IpAddressFamily, IpSocketAddress, Network, Socket, Sockets, Tcp};
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::services::Pollable;
use crate::trap::Trap;
use crate::{enumeration, function, resource};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// Keep-alive times that Linux takes: a time below a second would be rounded to none.
const KEEP_ALIVE_TIMES: (u64, u64) = (SECOND, i16::MAX as u64 * SECOND);

/// Keep-alive probes that Linux takes.
const KEEP_ALIVE_COUNTS: (u32, u32) = (1, i8::MAX as u32);

/// The largest buffer that can be asked for: the kernel's type is an `int`.
const MOST_BUFFER: u32 = i32::MAX as u32;

/// The resource `tcp-socket`. Shared with the pollables that wait for it.
pub struct TcpSocket<S: Sockets>(Rc<RefCell<State<S::Tcp>>>);

enumeration! {
    /// `shutdown-type`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[allow(missing_docs, reason = "WIT documents them")]
    pub enum ShutdownType {
        Receive,
        Send,
        Both,
    }
}

/// The interfaces over services `S`.
pub struct TcpInterfaces<S>(PhantomData<S>);

impl<S: Sockets> TcpInterfaces<S> {
    /// `wasi:sockets/tcp-create-socket`
    pub const CREATE: &'static Interface<S> = &Interface {
        name: "wasi:sockets/tcp-create-socket",
        functions: &[function!("create-tcp-socket", create::<S>)],
        resources: &[],
    };

    /// `wasi:sockets/tcp`
    pub const TCP: &'static Interface<S> = &Interface {
        name: "wasi:sockets/tcp",
        functions: &[
            function!("[method]tcp-socket.start-bind", start_bind::<S>),
            function!("[method]tcp-socket.finish-bind", finish_bind::<S>),
            function!("[method]tcp-socket.start-connect", start_connect::<S>),
            function!("[method]tcp-socket.finish-connect", finish_connect::<S>),
            function!("[method]tcp-socket.start-listen", start_listen::<S>),
            function!("[method]tcp-socket.finish-listen", finish_listen::<S>),
            function!("[method]tcp-socket.accept", accept::<S>),
            function!("[method]tcp-socket.local-address", local_address::<S>),
            function!("[method]tcp-socket.remote-address", remote_address::<S>),
            function!("[method]tcp-socket.is-listening", is_listening::<S>),
            function!("[method]tcp-socket.address-family", address_family::<S>),
            function!(
                "[method]tcp-socket.set-listen-backlog-size",
                set_backlog::<S>
            ),
            function!(
                "[method]tcp-socket.keep-alive-enabled",
                keep_alive_enabled::<S>
            ),
            function!(
                "[method]tcp-socket.set-keep-alive-enabled",
                set_keep_alive_enabled::<S>
            ),
            function!(
                "[method]tcp-socket.keep-alive-idle-time",
                keep_alive_idle_time::<S>
            ),
            function!(
                "[method]tcp-socket.set-keep-alive-idle-time",
                set_keep_alive_idle_time::<S>
            ),
            function!(
                "[method]tcp-socket.keep-alive-interval",
                keep_alive_interval::<S>
            ),
            function!(
                "[method]tcp-socket.set-keep-alive-interval",
                set_keep_alive_interval::<S>
            ),
            function!("[method]tcp-socket.keep-alive-count", keep_alive_count::<S>),
            function!(
                "[method]tcp-socket.set-keep-alive-count",
                set_keep_alive_count::<S>
            ),
            function!("[method]tcp-socket.hop-limit", hop_limit::<S>),
            function!("[method]tcp-socket.set-hop-limit", set_hop_limit::<S>),
            function!(
                "[method]tcp-socket.receive-buffer-size",
                receive_buffer_size::<S>
            ),
            function!(
                "[method]tcp-socket.set-receive-buffer-size",
                set_receive_buffer_size::<S>
            ),
            function!("[method]tcp-socket.send-buffer-size", send_buffer_size::<S>),
            function!(
                "[method]tcp-socket.set-send-buffer-size",
                set_send_buffer_size::<S>
            ),
            function!("[method]tcp-socket.subscribe", subscribe::<S>),
            function!("[method]tcp-socket.shutdown", shutdown::<S>),
        ],
        resources: &[resource!("tcp-socket", TcpSocket<S>)],
    };
}

fn create<S: Sockets>(
    cx: &mut Context<'_, S>,
    (family,): (IpAddressFamily,),
) -> Answer<Own<TcpSocket<S>>> {
    if !cx.services.network_granted() {
        return Ok(Err(ErrorCode::AccessDenied));
    }
    match cx.services.create_tcp(family) {
        Ok(socket) => push(cx, State::new(socket, family)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn push<S: Sockets>(
    cx: &mut Context<'_, S>,
    state: State<S::Tcp>,
) -> Result<Own<TcpSocket<S>>, Trap> {
    cx.handles
        .push(TcpSocket::<S>(Rc::new(RefCell::new(state))))
}

type This<S> = Borrow<TcpSocket<S>>;

fn state<'a, S: Sockets>(
    cx: &'a mut Context<'_, S>,
    this: This<S>,
) -> Result<RefMut<'a, State<S::Tcp>>, Trap> {
    Ok(cx.handles.get(this)?.0.borrow_mut())
}

fn start_bind<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, _, address): (This<S>, Borrow<Network>, IpSocketAddress),
) -> Answer<()> {
    let address = address.into();
    let Context {
        services, handles, ..
    } = cx;
    let mut state = handles.get(this)?.0.borrow_mut();
    Ok(state.start_bind(address, || services.may_bind(address)))
}

fn finish_bind<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<()> {
    Ok(state(cx, this)?.finish_bind())
}

fn start_connect<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, _, address): (This<S>, Borrow<Network>, IpSocketAddress),
) -> Answer<()> {
    Ok(state(cx, this)?.start_connect(address.into()))
}

type Streams<S> = (
    Own<<S as crate::services::Services>::Input>,
    Own<<S as crate::services::Services>::Output>,
);

fn finish_connect<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<Streams<S>> {
    let outcome = state(cx, this)?.finish_connect();
    let (reader, writer) = match outcome {
        Ok(streams) => streams,
        Err(error) => return Ok(Err(error)),
    };
    let (input, output) = cx.services.streams(reader, writer);
    let input = cx.handles.push_child(input, this)?;
    let output = cx.handles.push_child(output, this)?;
    Ok(Ok((input, output)))
}

fn start_listen<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<()> {
    Ok(state(cx, this)?.start_listen())
}

fn finish_listen<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<()> {
    Ok(state(cx, this)?.finish_listen())
}

type Accepted<S> = (
    Own<TcpSocket<S>>,
    Own<<S as crate::services::Services>::Input>,
    Own<<S as crate::services::Services>::Output>,
);

fn accept<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<Accepted<S>> {
    let outcome = state(cx, this)?.accept();
    let (client, (reader, writer)) = match outcome {
        Ok(accepted) => accepted,
        Err(error) => return Ok(Err(error)),
    };
    let (input, output) = cx.services.streams(reader, writer);
    let client = push(cx, client)?;
    let parent = cx.handles.check::<TcpSocket<S>>(client.0)?;
    let input = cx.handles.push_child(input, parent)?;
    let output = cx.handles.push_child(output, parent)?;
    Ok(Ok((client, input, output)))
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
    Ok(state(cx, this)?.remote_address().map(Into::into))
}

fn is_listening<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Result<bool, Trap> {
    Ok(state(cx, this)?.is_listening())
}

fn address_family<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (This<S>,),
) -> Result<IpAddressFamily, Trap> {
    Ok(state(cx, this)?.family())
}

fn set_backlog<S: Sockets>(cx: &mut Context<'_, S>, (this, value): (This<S>, u64)) -> Answer<()> {
    Ok(state(cx, this)?.set_backlog(value))
}

fn keep_alive_enabled<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<bool> {
    Ok(state(cx, this)?.usable().and_then(Tcp::keep_alive_enabled))
}

fn set_keep_alive_enabled<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, bool),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(state
        .usable()
        .and_then(|socket| socket.set_keep_alive_enabled(value)))
}

fn keep_alive_idle_time<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u64> {
    Ok(state(cx, this)?
        .usable()
        .and_then(Tcp::keep_alive_idle_time))
}

fn set_keep_alive_idle_time<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, u64),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(not_zero(value).and_then(|()| {
        let value = value.clamp(KEEP_ALIVE_TIMES.0, KEEP_ALIVE_TIMES.1);
        state.usable()?.set_keep_alive_idle_time(value)
    }))
}

fn keep_alive_interval<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u64> {
    Ok(state(cx, this)?.usable().and_then(Tcp::keep_alive_interval))
}

fn set_keep_alive_interval<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, u64),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(not_zero(value).and_then(|()| {
        let value = value.clamp(KEEP_ALIVE_TIMES.0, KEEP_ALIVE_TIMES.1);
        state.usable()?.set_keep_alive_interval(value)
    }))
}

fn keep_alive_count<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u32> {
    Ok(state(cx, this)?.usable().and_then(Tcp::keep_alive_count))
}

fn set_keep_alive_count<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, u32),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(not_zero(value.into()).and_then(|()| {
        let value = value.clamp(KEEP_ALIVE_COUNTS.0, KEEP_ALIVE_COUNTS.1);
        state.usable()?.set_keep_alive_count(value)
    }))
}

fn hop_limit<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u8> {
    Ok(state(cx, this)?.usable().and_then(Socket::hop_limit))
}

fn set_hop_limit<S: Sockets>(cx: &mut Context<'_, S>, (this, value): (This<S>, u8)) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(state.usable().and_then(|socket| limit_hops(socket, value)))
}

fn receive_buffer_size<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u64> {
    Ok(state(cx, this)?
        .usable()
        .and_then(Socket::receive_buffer_size))
}

fn set_receive_buffer_size<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, u64),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(state
        .usable()
        .and_then(|socket| socket.set_receive_buffer_size(buffer_size(value)?)))
}

fn send_buffer_size<S: Sockets>(cx: &mut Context<'_, S>, (this,): (This<S>,)) -> Answer<u64> {
    Ok(state(cx, this)?.usable().and_then(Socket::send_buffer_size))
}

fn set_send_buffer_size<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, value): (This<S>, u64),
) -> Answer<()> {
    let state = state(cx, this)?;
    Ok(state
        .usable()
        .and_then(|socket| socket.set_send_buffer_size(buffer_size(value)?)))
}

fn subscribe<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (This<S>,),
) -> Result<Own<Pollable<S::Wait>>, Trap> {
    let event = State::event(&cx.handles.get(this)?.0);
    cx.handles.push_child(Pollable::Event(event), this)
}

fn shutdown<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this, what): (This<S>, ShutdownType),
) -> Answer<()> {
    let receive = what != ShutdownType::Send;
    let send = what != ShutdownType::Receive;
    Ok(state(cx, this)?.shutdown(receive, send))
}

fn not_zero(value: u64) -> Result<(), ErrorCode> {
    if value == 0 {
        return Err(ErrorCode::InvalidArgument);
    }
    Ok(())
}

/// A buffer size as the platform takes it.
pub(super) fn buffer_size(value: u64) -> Result<u32, ErrorCode> {
    not_zero(value)?;
    Ok(u32::try_from(value).map_or(MOST_BUFFER, |value| value.min(MOST_BUFFER)))
}

/// No packet is ever sent with a limit of 0.
pub(super) fn limit_hops(socket: &impl Socket, value: u8) -> Result<(), ErrorCode> {
    not_zero(value.into())?;
    socket.set_hop_limit(value)
}
