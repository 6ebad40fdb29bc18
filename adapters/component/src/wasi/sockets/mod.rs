//! `wasi:sockets@0.2`: network, instance-network, tcp, tcp-create-socket, udp, udp-create-socket, ip-name-lookup, with the
//! states, checks and error codes that wasmtime-wasi has on Linux, over a platform's sockets.
//!
//! A platform gives sockets that never wait ([`Sockets`], [`Tcp`], [`Udp`]); which call is allowed in which state, which
//! address is valid, and what a pollable waits for is decided here. `network-error-code` is an unstable function, which
//! no engine here links.

mod name_lookup;
mod network;
mod stream;
mod tcp;
mod tcp_state;
mod udp;
mod udp_state;

pub use name_lookup::NameLookup;
pub use network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
    Network, NetworkInterfaces,
};
pub use stream::{TcpReader, TcpWriter};
pub use tcp::{ShutdownType, TcpInterfaces, TcpSocket};
pub use udp::UdpInterfaces;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::net::{IpAddr, SocketAddr};

use crate::host::Interface;
use crate::services::{Pollable, Services};
use crate::trap::Trap;

/// The interfaces over services `S`.
pub struct AllSockets<S>(PhantomData<S>);

impl<S: Sockets> AllSockets<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[
        NetworkInterfaces::<S>::NETWORK,
        NetworkInterfaces::<S>::INSTANCE_NETWORK,
        NameLookup::<S>::IP_NAME_LOOKUP,
        TcpInterfaces::<S>::CREATE,
        TcpInterfaces::<S>::TCP,
        UdpInterfaces::<S>::CREATE,
        UdpInterfaces::<S>::UDP,
    ];
}

/// The most bytes of one read, write or batch of datagrams, as in wasmtime-wasi.
pub const MAX_TRANSFER: usize = 64 * 1024;

/// What the functions of these interfaces return: a trap, or the interface's own result.
type Answer<T> = Result<Result<T, ErrorCode>, Trap>;

/// A platform with sockets.
pub trait Sockets: Services {
    /// A TCP socket.
    type Tcp: Tcp<Wait = Self::Wait>;
    /// A UDP socket.
    type Udp: Udp<Wait = Self::Wait>;
    /// A name look-up under way, and its answer.
    type Lookup: 'static;

    /// Whether the app may use the network at all; without, creating sockets and looking up names is refused.
    fn network_granted(&mut self) -> bool;
    /// Whether the app may bind a socket to this address. Port 0 is the platform's choice, which every app may have.
    fn may_bind(&mut self, address: SocketAddr) -> bool;
    /// A new TCP socket; an IPv6 one is not dual-stack.
    fn create_tcp(&mut self, family: IpAddressFamily) -> Result<Self::Tcp, ErrorCode>;
    /// A new UDP socket; likewise.
    fn create_udp(&mut self, family: IpAddressFamily) -> Result<Self::Udp, ErrorCode>;
    /// The two streams of a connection.
    fn streams(
        &mut self,
        reader: TcpReader<Self::Tcp>,
        writer: TcpWriter<Self::Tcp>,
    ) -> (Self::Input, Self::Output);

    /// Takes up what goes on while the guest waits for something else.
    fn background(&mut self, work: Background<Self::Wait>);

    /// Begins to look up a name; what is no name nor address is [`ErrorCode::InvalidArgument`]. Addresses are answered
    /// without a look-up.
    fn resolve(&mut self, name: String) -> Result<Self::Lookup, ErrorCode>;
    /// The next address, none after the last; [`ErrorCode::WouldBlock`] while the look-up is under way.
    fn next_address(&mut self, lookup: &mut Self::Lookup) -> Result<Option<IpAddr>, ErrorCode>;
    /// What tells that `next_address` has an answer.
    fn lookup_ready(&mut self, lookup: &Self::Lookup) -> Pollable<Self::Wait>;
}

/// Sending what a guest was told is sent. Asked at the beginning of every wait: an event to be waited for beside the guest's
/// own, or `None` when there is nothing more to do, or nobody left to do it for.
pub type Background<W> = Box<dyn Fn() -> Option<W>>;

/// What a socket waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: it is ready.
    Nothing,
    /// Something to receive, or the end, or an error.
    Readable,
    /// Room to send, or the end of a connection attempt, or an error.
    Writable,
}

/// Something whose readiness depends on its state at the moment of the question: a guest may subscribe to a socket before it
/// begins to connect.
pub trait Source {
    /// Makes what progress can be made without waiting and says what to wait for. Asked at the beginning of every wait.
    fn missing(&self) -> Missing;
    /// What was missing is there: makes progress, and says whether it is ready now.
    fn arrived(&self) -> bool {
        self.missing() == Missing::Nothing
    }
}

/// What TCP and UDP sockets of a platform have in common. No call waits.
pub trait Socket: 'static {
    /// The platform's events.
    type Wait: Clone + 'static;

    /// The event of a source that waits for this socket.
    fn event(&self, source: Rc<dyn Source>) -> Self::Wait;
    /// Unspecified address and port 0: not bound.
    fn local_address(&self) -> Result<SocketAddr, ErrorCode>;
    /// The peer's address.
    fn remote_address(&self) -> Result<SocketAddr, ErrorCode>;
    /// Time to live of outgoing packets (IPv4) or their hop limit (IPv6).
    fn hop_limit(&self) -> Result<u8, ErrorCode>;
    /// At least 1.
    fn set_hop_limit(&self, value: u8) -> Result<(), ErrorCode>;
    /// In bytes, in the measure of the setter.
    fn receive_buffer_size(&self) -> Result<u64, ErrorCode>;
    /// A hint: 1 to `i32::MAX`.
    fn set_receive_buffer_size(&self, value: u32) -> Result<(), ErrorCode>;
    /// In bytes, in the measure of the setter.
    fn send_buffer_size(&self) -> Result<u64, ErrorCode>;
    /// A hint: 1 to `i32::MAX`.
    fn set_send_buffer_size(&self, value: u32) -> Result<(), ErrorCode>;
}

/// How an attempt to send on a connection went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes, at least one.
    Bytes(usize),
    /// There is no room now.
    Later,
    /// The connection takes no more bytes.
    Broken,
    /// It failed.
    Failed(ErrorCode),
}

/// A TCP socket of a platform.
pub trait Tcp: Socket + Sized {
    /// Binds, also while old connections of the same address are in TIME_WAIT.
    fn bind(&self, address: SocketAddr) -> Result<(), ErrorCode>;
    /// Begins to connect; [`ErrorCode::WouldBlock`]: under way.
    fn connect(&self, address: SocketAddr) -> Result<(), ErrorCode>;
    /// How connecting ended; [`ErrorCode::WouldBlock`]: under way.
    fn connected(&self) -> Result<(), ErrorCode>;
    /// Begins to listen, or changes the backlog of a listener.
    fn listen(&self, backlog: u32) -> Result<(), ErrorCode>;
    /// The next client; [`ErrorCode::WouldBlock`]: none yet.
    fn accept(&self) -> Result<Self, ErrorCode>;
    /// Receives into `buffer`, which has room: 0 at the end, [`ErrorCode::WouldBlock`]: nothing yet.
    fn receive(&self, buffer: &mut [u8]) -> Result<usize, ErrorCode>;
    /// Sends some of `bytes`, which are at least one.
    fn send(&self, bytes: &[u8]) -> Sent;
    /// Whether there is room to send, or an error to be found by sending.
    fn is_writable(&self) -> bool;
    /// Receives no more.
    fn shutdown_receive(&self);
    /// Sends no more: the peer reads to the end.
    fn shutdown_send(&self);
    /// Whether keep-alive probes are sent.
    fn keep_alive_enabled(&self) -> Result<bool, ErrorCode>;
    /// Switches keep-alive probes.
    fn set_keep_alive_enabled(&self, value: bool) -> Result<(), ErrorCode>;
    /// Nanoseconds.
    fn keep_alive_idle_time(&self) -> Result<u64, ErrorCode>;
    /// Nanoseconds, 1 s to 32767 s; rounded up to seconds.
    fn set_keep_alive_idle_time(&self, value: u64) -> Result<(), ErrorCode>;
    /// Nanoseconds.
    fn keep_alive_interval(&self) -> Result<u64, ErrorCode>;
    /// Nanoseconds, 1 s to 32767 s; rounded up to seconds.
    fn set_keep_alive_interval(&self, value: u64) -> Result<(), ErrorCode>;
    /// Probes before the connection is given up.
    fn keep_alive_count(&self) -> Result<u32, ErrorCode>;
    /// 1 to 127.
    fn set_keep_alive_count(&self, value: u32) -> Result<(), ErrorCode>;
}

/// A datagram, and where it came from.
pub type Datagram = (Vec<u8>, SocketAddr);

/// A UDP socket of a platform.
pub trait Udp: Socket {
    /// Binds.
    fn bind(&self, address: SocketAddr) -> Result<(), ErrorCode>;
    /// Sets the peer.
    fn connect(&self, address: SocketAddr) -> Result<(), ErrorCode>;
    /// Forgets the peer; stays bound.
    fn disconnect(&self) -> Result<(), ErrorCode>;
    /// The next datagram; [`ErrorCode::WouldBlock`]: none yet.
    fn receive(&self) -> Result<Datagram, ErrorCode>;
    /// Sends a datagram, to the peer when no address is given; [`ErrorCode::WouldBlock`]: there is no room now.
    fn send(&self, bytes: &[u8], to: Option<SocketAddr>) -> Result<(), ErrorCode>;
}
