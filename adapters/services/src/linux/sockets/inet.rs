//! TCP and UDP sockets over IPv4 and IPv6: the system calls, never waiting, and what their errors mean in WASI. The meanings are
//! wasmtime-wasi's, so that a guest sees the same code on every engine.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags, SocketType,
    sockopt,
};
use vyoma_component::wasi::sockets::{
    Datagram, ErrorCode, IpAddressFamily, Missing, Sent, Socket, Source, Tcp, Udp,
};

use crate::linux::poll::{Event, Interest, Wait, Watch};

/// Never waits, and stays in this process.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// No datagram is longer: its length field has 16 bits.
const MAX_DATAGRAM: usize = u16::MAX as usize;

/// Linux counts its own overhead in a buffer and reports twice the size that was asked for: socket(7).
const BUFFER_FACTOR: u64 = 2;

/// An open socket.
pub struct Inet {
    fd: Rc<OwnedFd>,
    family: IpAddressFamily,
}

/// What an error number means.
pub(super) fn code(errno: Errno) -> ErrorCode {
    match errno {
        Errno::AGAIN | Errno::INTR => ErrorCode::WouldBlock,
        Errno::PERM | Errno::ACCESS => ErrorCode::AccessDenied,
        Errno::ADDRINUSE => ErrorCode::AddressInUse,
        Errno::ADDRNOTAVAIL => ErrorCode::AddressNotBindable,
        Errno::TIMEDOUT => ErrorCode::Timeout,
        Errno::CONNREFUSED => ErrorCode::ConnectionRefused,
        Errno::CONNRESET => ErrorCode::ConnectionReset,
        Errno::CONNABORTED => ErrorCode::ConnectionAborted,
        Errno::INVAL => ErrorCode::InvalidArgument,
        Errno::HOSTUNREACH
        | Errno::HOSTDOWN
        | Errno::NETDOWN
        | Errno::NETUNREACH
        | Errno::NONET => ErrorCode::RemoteUnreachable,
        Errno::ISCONN | Errno::NOTCONN | Errno::DESTADDRREQ => ErrorCode::InvalidState,
        Errno::MSGSIZE => ErrorCode::DatagramTooLarge,
        Errno::NOMEM | Errno::NOBUFS => ErrorCode::OutOfMemory,
        Errno::OPNOTSUPP
        | Errno::NOPROTOOPT
        | Errno::PFNOSUPPORT
        | Errno::PROTONOSUPPORT
        | Errno::PROTOTYPE
        | Errno::SOCKTNOSUPPORT
        | Errno::AFNOSUPPORT => ErrorCode::NotSupported,
        // Among them EPIPE, and EMFILE: wasmtime-wasi has no use for `new-socket-limit`.
        _ => ErrorCode::Unknown,
    }
}

/// An address that the kernel calls of the wrong family is a wrong argument.
fn address_code(errno: Errno) -> ErrorCode {
    match errno {
        Errno::AFNOSUPPORT => ErrorCode::InvalidArgument,
        other => code(other),
    }
}

fn address(any: SocketAddrAny) -> Result<SocketAddr, ErrorCode> {
    any.try_into().map_err(code)
}

/// Calls again when a signal interrupted it.
fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(&mut call)
}

impl Inet {
    pub(super) fn tcp(family: IpAddressFamily) -> Result<Self, ErrorCode> {
        Self::open(family, SocketType::STREAM)
    }

    pub(super) fn udp(family: IpAddressFamily) -> Result<Self, ErrorCode> {
        Self::open(family, SocketType::DGRAM)
    }

    fn open(family: IpAddressFamily, kind: SocketType) -> Result<Self, ErrorCode> {
        let domain = match family {
            IpAddressFamily::Ipv4 => AddressFamily::INET,
            IpAddressFamily::Ipv6 => AddressFamily::INET6,
        };
        let fd = net::socket_with(domain, kind, FLAGS, None).map_err(code)?;
        if family == IpAddressFamily::Ipv6 {
            sockopt::set_ipv6_v6only(&fd, true).map_err(code)?;
        }
        Ok(Self {
            fd: Rc::new(fd),
            family,
        })
    }

    /// Whether something happens without waiting; an error counts.
    fn is(&self, what: PollFlags) -> bool {
        let mut fds = [PollFd::new(&self.fd, what)];
        match uninterrupted(|| rustix::event::poll(&mut fds, Some(&Timespec::default()))) {
            Ok(count) => count > 0,
            Err(_) => true,
        }
    }
}

/// What a socket waits for, asked of its state each time anew.
struct Follow {
    fd: Rc<OwnedFd>,
    source: Rc<dyn Source>,
}

impl Event for Follow {
    fn watch(&self) -> Watch<'_> {
        let fd: BorrowedFd<'_> = self.fd.as_fd();
        match self.source.missing() {
            Missing::Nothing => Watch::Ready,
            Missing::Readable => Watch::Descriptor(fd, Interest::Read),
            Missing::Writable => Watch::Descriptor(fd, Interest::Write),
        }
    }

    fn arrived(&self) -> bool {
        self.source.arrived()
    }
}

impl Socket for Inet {
    type Wait = Wait;

    fn event(&self, source: Rc<dyn Source>) -> Wait {
        Wait::new(Follow {
            fd: Rc::clone(&self.fd),
            source,
        })
    }

    fn local_address(&self) -> Result<SocketAddr, ErrorCode> {
        net::getsockname(&self.fd).map_err(code).and_then(address)
    }

    fn remote_address(&self) -> Result<SocketAddr, ErrorCode> {
        let peer = net::getpeername(&self.fd).map_err(code)?;
        peer.ok_or(ErrorCode::InvalidState).and_then(address)
    }

    fn hop_limit(&self) -> Result<u8, ErrorCode> {
        match self.family {
            IpAddressFamily::Ipv4 => {
                let limit = sockopt::ip_ttl(&self.fd).map_err(code)?;
                u8::try_from(limit).map_err(|_| ErrorCode::NotSupported)
            }
            IpAddressFamily::Ipv6 => sockopt::ipv6_unicast_hops(&self.fd).map_err(code),
        }
    }

    fn set_hop_limit(&self, value: u8) -> Result<(), ErrorCode> {
        match self.family {
            IpAddressFamily::Ipv4 => sockopt::set_ip_ttl(&self.fd, value.into()),
            IpAddressFamily::Ipv6 => sockopt::set_ipv6_unicast_hops(&self.fd, Some(value)),
        }
        .map_err(code)
    }

    fn receive_buffer_size(&self) -> Result<u64, ErrorCode> {
        let size = sockopt::socket_recv_buffer_size(&self.fd).map_err(code)?;
        Ok(size as u64 / BUFFER_FACTOR)
    }

    fn set_receive_buffer_size(&self, value: u32) -> Result<(), ErrorCode> {
        sockopt::set_socket_recv_buffer_size(&self.fd, value as usize).map_err(code)
    }

    fn send_buffer_size(&self) -> Result<u64, ErrorCode> {
        let size = sockopt::socket_send_buffer_size(&self.fd).map_err(code)?;
        Ok(size as u64 / BUFFER_FACTOR)
    }

    fn set_send_buffer_size(&self, value: u32) -> Result<(), ErrorCode> {
        sockopt::set_socket_send_buffer_size(&self.fd, value as usize).map_err(code)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Tcp for Inet {
    fn bind(&self, address: SocketAddr) -> Result<(), ErrorCode> {
        // Without it the address is in use for a minute after the last connection. `bind` says what is wrong, if anything.
        let _ = sockopt::set_socket_reuseaddr(&self.fd, true);
        net::bind(&self.fd, &address).map_err(address_code)
    }

    fn connect(&self, address: SocketAddr) -> Result<(), ErrorCode> {
        match net::connect(&self.fd, &address) {
            Ok(()) => Ok(()),
            // An interrupted attempt goes on by itself.
            Err(Errno::INPROGRESS | Errno::INTR) => Err(ErrorCode::WouldBlock),
            Err(errno) => Err(code(errno)),
        }
    }

    fn connected(&self) -> Result<(), ErrorCode> {
        if !self.is(PollFlags::OUT) {
            return Err(ErrorCode::WouldBlock);
        }
        match sockopt::socket_error(&self.fd) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(errno)) | Err(errno) => Err(code(errno)),
        }
    }

    fn listen(&self, backlog: u32) -> Result<(), ErrorCode> {
        net::listen(&self.fd, i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(code)
    }

    fn accept(&self) -> Result<Self, ErrorCode> {
        match uninterrupted(|| net::accept_with(&self.fd, FLAGS)) {
            Ok(fd) => Ok(Self {
                fd: Rc::new(fd),
                family: self.family,
            }),
            // accept(2): errors of the new connection; it was lost before it could be accepted.
            Err(
                Errno::CONNRESET
                | Errno::NETRESET
                | Errno::HOSTUNREACH
                | Errno::HOSTDOWN
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::NONET
                | Errno::OPNOTSUPP,
            ) => Err(ErrorCode::ConnectionAborted),
            Err(errno) => Err(code(errno)),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, ErrorCode> {
        uninterrupted(|| net::recv(&self.fd, &mut *buffer, RecvFlags::empty()))
            .map(|(count, _)| count)
            .map_err(code)
    }

    fn send(&self, bytes: &[u8]) -> Sent {
        match uninterrupted(|| net::send(&self.fd, bytes, SendFlags::NOSIGNAL)) {
            Ok(count) => Sent::Bytes(count),
            Err(Errno::AGAIN) => Sent::Later,
            Err(Errno::PIPE) => Sent::Broken,
            Err(errno) => Sent::Failed(code(errno)),
        }
    }

    fn is_writable(&self) -> bool {
        self.is(PollFlags::OUT)
    }

    fn shutdown_receive(&self) {
        // Fails for a connection that is gone, and then there is nothing to shut down.
        let _ = net::shutdown(&self.fd, Shutdown::Read);
    }

    fn shutdown_send(&self) {
        // Likewise.
        let _ = net::shutdown(&self.fd, Shutdown::Write);
    }

    fn keep_alive_enabled(&self) -> Result<bool, ErrorCode> {
        sockopt::socket_keepalive(&self.fd).map_err(code)
    }

    fn set_keep_alive_enabled(&self, value: bool) -> Result<(), ErrorCode> {
        sockopt::set_socket_keepalive(&self.fd, value).map_err(code)
    }

    fn keep_alive_idle_time(&self) -> Result<u64, ErrorCode> {
        sockopt::tcp_keepidle(&self.fd)
            .map(nanoseconds)
            .map_err(code)
    }

    fn set_keep_alive_idle_time(&self, value: u64) -> Result<(), ErrorCode> {
        sockopt::set_tcp_keepidle(&self.fd, Duration::from_nanos(value)).map_err(code)
    }

    fn keep_alive_interval(&self) -> Result<u64, ErrorCode> {
        sockopt::tcp_keepintvl(&self.fd)
            .map(nanoseconds)
            .map_err(code)
    }

    fn set_keep_alive_interval(&self, value: u64) -> Result<(), ErrorCode> {
        sockopt::set_tcp_keepintvl(&self.fd, Duration::from_nanos(value)).map_err(code)
    }

    fn keep_alive_count(&self) -> Result<u32, ErrorCode> {
        sockopt::tcp_keepcnt(&self.fd).map_err(code)
    }

    fn set_keep_alive_count(&self, value: u32) -> Result<(), ErrorCode> {
        sockopt::set_tcp_keepcnt(&self.fd, value).map_err(code)
    }
}

impl Udp for Inet {
    fn bind(&self, address: SocketAddr) -> Result<(), ErrorCode> {
        net::bind(&self.fd, &address).map_err(address_code)
    }

    fn connect(&self, address: SocketAddr) -> Result<(), ErrorCode> {
        match net::connect(&self.fd, &address) {
            // The route to the new peer leaves by another interface, which Linux takes only from the start.
            Err(Errno::INVAL) => {
                let _ = net::connect_unspec(&self.fd);
                net::connect(&self.fd, &address).map_err(code)
            }
            outcome => outcome.map_err(address_code),
        }
    }

    fn disconnect(&self) -> Result<(), ErrorCode> {
        net::connect_unspec(&self.fd).map_err(code)
    }

    fn receive(&self) -> Result<Datagram, ErrorCode> {
        let mut data = Vec::with_capacity(MAX_DATAGRAM);
        let (_, _, from) = uninterrupted(|| {
            net::recvfrom(&self.fd, spare_capacity(&mut data), RecvFlags::empty())
        })
        .map_err(code)?;
        let from = from.ok_or(ErrorCode::Unknown).and_then(address)?;
        data.shrink_to_fit();
        Ok((data, from))
    }

    fn send(&self, bytes: &[u8], to: Option<SocketAddr>) -> Result<(), ErrorCode> {
        uninterrupted(|| match to {
            None => net::send(&self.fd, bytes, SendFlags::NOSIGNAL),
            Some(to) => net::sendto(&self.fd, bytes, SendFlags::NOSIGNAL, &to),
        })
        .map(drop)
        .map_err(code)
    }
}
