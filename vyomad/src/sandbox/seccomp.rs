//! The seccomp part of the sandbox: an allow-list of system calls per role and per grant, with their arguments checked
//! where the argument is what matters. Called by [`super::Sandbox`] only.
//!
//! A refused call fails with `EPERM` rather than killing the process: libraries probe for calls and have a second
//! way, and a guest must get its interface's error, never an ending. (`clone3` fails with `ENOSYS`, because its flags
//! are behind a pointer that a filter can't follow; C libraries then fall back to `clone`, whose flags are checked.)
//! A call of another architecture's table, which no honest library makes, kills.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use vyoma_capabilities::board::Kind;
use vyoma_capabilities::resolve::Grants;
use vyoma_runtime::devices::{Devices, Handle};

use super::{Report, Role, SandboxError, failed};

/// The table whose numbers `libc::SYS_*` are.
#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
/// The table whose numbers `libc::SYS_*` are.
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// What every role needs to run at all: memory, its own descriptors, time, randomness, threads' locks, its end.
const ALWAYS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The older calls that only x86-64 has, for which C libraries still use them.
#[cfg(target_arch = "x86_64")]
const ALWAYS_LEGACY: &[i64] = &[libc::SYS_poll, libc::SYS_epoll_wait];
/// aarch64 started without them.
#[cfg(target_arch = "aarch64")]
const ALWAYS_LEGACY: &[i64] = &[];

/// Work on files and folders. Which ones is decided by the uid and by Landlock.
const FILESYSTEM: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_utimensat,
    libc::SYS_faccessat,
];

/// See [`ALWAYS_LEGACY`].
#[cfg(target_arch = "x86_64")]
const FILESYSTEM_LEGACY: &[i64] = &[libc::SYS_open, libc::SYS_stat, libc::SYS_lstat];
/// See [`ALWAYS_LEGACY`].
#[cfg(target_arch = "aarch64")]
const FILESYSTEM_LEGACY: &[i64] = &[];

/// Work on sockets that exist. Making one and setting its options are checked by argument.
const NETWORK: &[i64] = &[
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
];

/// Reading, writing and ending sockets that were handed over, for SSH: no new one, no address, no option is set.
const CONNECTED: &[i64] = &[
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
];

/// (level, option) that WASI 0.2 sockets and the C libraries' resolvers set. `setsockopt` is the widest door into the
/// kernel's network code; these are all that is needed.
const SOCKET_OPTIONS: &[(i32, i32)] = &[
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IP, libc::IP_RECVERR),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
];

/// Non-blocking mode, bytes waiting, "is it a terminal": all that Rust's std, mio and WASI ask of a descriptor.
#[allow(
    clippy::unnecessary_cast,
    reason = "they are `c_int` with musl and `c_ulong` with glibc"
)]
const IOCTLS: &[u64] = &[
    libc::FIONBIO as u64,
    libc::FIONREAD as u64,
    libc::TCGETS as u64,
];

/// Reading flags and duplicating; no locks, leases, seals or owner signals.
const FCNTLS: &[i32] = &[
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_DUPFD_CLOEXEC,
];

/// Flags that make a new task a thread of this process and not a process.
const THREAD: i32 = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
/// Flags that make namespaces.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Two filters; the stricter answer of the two wins.
pub(super) struct Filters {
    not_implemented: BpfProgram,
    allowed: BpfProgram,
}

impl Filters {
    pub(super) fn new(role: &Role<'_>) -> Result<Self, SandboxError> {
        Self::build(role).map_err(failed("seccomp filter"))
    }

    fn build(role: &Role<'_>) -> Result<Self, seccompiler::BackendError> {
        let errno = |errno: i32| SeccompAction::Errno(errno as u32);
        let mut rules = always()?;
        if let Some(grants) = role.grants() {
            of_grants(&mut rules, grants)?;
        }
        if let Some(devices) = role.devices() {
            of_devices(&mut rules, devices)?;
        }
        if matches!(role, Role::Ssh) {
            rules.extend(CONNECTED.iter().map(|&call| (call, vec![])));
        }
        // `clone3` passes the allow-list only to meet the other filter's ENOSYS: of two errnos the newer filter's wins.
        rules.insert(libc::SYS_clone3, vec![]);
        let allowed = SeccompFilter::new(rules, errno(libc::EPERM), SeccompAction::Allow, ARCH)?;
        let clone3 = [(libc::SYS_clone3, vec![])].into();
        let not_implemented =
            SeccompFilter::new(clone3, SeccompAction::Allow, errno(libc::ENOSYS), ARCH)?;
        Ok(Self {
            not_implemented: not_implemented.try_into()?,
            allowed: allowed.try_into()?,
        })
    }

    pub(super) fn apply(self, required: bool, report: &mut Report) -> Result<(), SandboxError> {
        // In this order: the second filter has no `seccomp` call in it.
        match apply_filter(&self.not_implemented).and_then(|()| apply_filter(&self.allowed)) {
            Ok(()) => Ok(()),
            Err(error) if required => Err(failed("seccomp")(error)),
            Err(error) => {
                report.notes.push(format!("no system call filter: {error}"));
                Ok(())
            }
        }
    }
}

fn always() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = [ALWAYS, ALWAYS_LEGACY]
        .concat()
        .into_iter()
        .map(|call| (call, vec![]))
        .collect();
    // The code is mapped by now; from here on, memory is data. Argument 2 is the protection.
    let not_executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule([(2, not_executable.clone(), 0)])?]);
    }
    rules.insert(
        libc::SYS_fcntl,
        FCNTLS
            .iter()
            .map(|&command| rule([(1, SeccompCmpOp::Eq, command as u64)]))
            .collect::<Result<_, _>>()?,
    );
    rules.insert(
        libc::SYS_ioctl,
        IOCTLS
            .iter()
            .map(|&request| rule([(1, SeccompCmpOp::Eq, request)]))
            .collect::<Result<_, _>>()?,
    );
    // `abort` raises SIGABRT. A thread id of another process is not one of ours, so only our own group's id will do.
    let own = u64::from(std::process::id());
    for call in [libc::SYS_tgkill, libc::SYS_tkill] {
        rules.insert(call, vec![rule([(0, SeccompCmpOp::Eq, own)])?]);
    }
    rules.insert(
        libc::SYS_prctl,
        vec![rule([(0, SeccompCmpOp::Eq, libc::PR_SET_NAME as u64)])?],
    );
    // Process 0 is oneself. Without privileges a limit can only be lowered.
    rules.insert(libc::SYS_prlimit64, vec![rule([(0, SeccompCmpOp::Eq, 0)])?]);
    Ok(rules)
}

/// Threads for the engine's blocking work: name look-up, and file reads that a guest polls. They inherit every lock.
fn threads(rules: &mut Rules) -> Result<(), seccompiler::BackendError> {
    let mask = SeccompCmpOp::MaskedEq(u64::from((THREAD | NAMESPACES) as u32));
    rules.insert(libc::SYS_clone, vec![rule([(0, mask, THREAD as u64)])?]);
    Ok(())
}

fn of_grants(rules: &mut Rules, grants: &Grants) -> Result<(), seccompiler::BackendError> {
    if grants.network.is_some() || grants.filesystem {
        threads(rules)?;
    }
    if grants.network.is_some() {
        rules.extend(NETWORK.iter().map(|&call| (call, vec![])));
        sockets(rules)?;
        // glibc's resolver (hosted, and tests) asks for the size and time of its files and gives up without.
        #[cfg(target_env = "gnu")]
        rules.insert(libc::SYS_newfstatat, vec![]);
        // The resolver reads two files; Landlock says which.
        let writing = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_PATH) as u64;
        rules.insert(
            libc::SYS_openat,
            vec![rule([(2, SeccompCmpOp::MaskedEq(writing), 0)])?],
        );
        #[cfg(target_arch = "x86_64")]
        rules.insert(
            libc::SYS_open,
            vec![rule([(1, SeccompCmpOp::MaskedEq(writing), 0)])?],
        );
    }
    if grants.filesystem {
        rules.extend(
            [FILESYSTEM, FILESYSTEM_LEGACY]
                .concat()
                .into_iter()
                .map(|call| (call, vec![])),
        );
    }
    Ok(())
}

/// What may be asked of the kernel about a device, by its kind.
#[allow(
    clippy::unnecessary_cast,
    reason = "they are `c_int` with musl and `c_ulong` with glibc"
)]
fn device_ioctls(kind: Kind) -> &'static [u64] {
    match kind {
        // GPIO_V2_LINE_SET_CONFIG, _GET_VALUES, _SET_VALUES of linux/gpio.h
        Kind::Gpio => &[0xc110_b40d, 0xc010_b40e, 0xc010_b40f],
        // I2C_RDWR of linux/i2c-dev.h
        Kind::I2c => &[0x0707],
        // SPI_IOC_MESSAGE(0) of linux/spi/spidev.h; see below
        Kind::Spi => &[SPI_MESSAGE],
        // TIOCGICOUNT: what was lost
        Kind::Uart => &[
            libc::TCSETS as u64,
            libc::TCGETS2 as u64,
            libc::TCSETS2 as u64,
            libc::TCFLSH as u64,
            0x545d,
        ],
        // Read like a file.
        Kind::Adc => &[],
    }
}

/// The request of a transfer without its size, which is in bits 16 to 29 and depends on the number of parts.
const SPI_MESSAGE: u64 = 0x4000_6b00;
const WITHOUT_SIZE: u64 = !0x3fff_0000 & 0xffff_ffff;

/// Requests to the app's own devices, each to its own descriptor only. A simulated one is a socket and needs none.
fn of_devices(rules: &mut Rules, devices: &Devices) -> Result<(), seccompiler::BackendError> {
    for (device, handle) in devices.list.iter().zip(&devices.handles) {
        let Some(Handle::Kernel(file)) = handle else {
            continue;
        };
        let descriptor = file.as_raw_fd() as u64;
        for &request in device_ioctls(device.kind) {
            let matches = if request == SPI_MESSAGE {
                SeccompCmpOp::MaskedEq(WITHOUT_SIZE)
            } else {
                SeccompCmpOp::Eq
            };
            let allowed = rule([(0, SeccompCmpOp::Eq, descriptor), (1, matches, request)])?;
            rules.entry(libc::SYS_ioctl).or_default().push(allowed);
        }
    }
    Ok(())
}

/// TCP and UDP over IPv4 and IPv6. No raw, packet, netlink, Unix, vsock, ICMP, SCTP or MPTCP socket.
fn sockets(rules: &mut Rules) -> Result<(), seccompiler::BackendError> {
    const KINDS: [(i32, i32); 4] = [
        (libc::SOCK_STREAM, 0),
        (libc::SOCK_STREAM, libc::IPPROTO_TCP),
        (libc::SOCK_DGRAM, 0),
        (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    ];
    // Bits outside are SOCK_NONBLOCK and SOCK_CLOEXEC.
    let kind_mask = u64::from(!((libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u32));
    let mut allowed = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for (kind, protocol) in KINDS {
            allowed.push(rule([
                (0, SeccompCmpOp::Eq, family as u64),
                (1, SeccompCmpOp::MaskedEq(kind_mask), kind as u64),
                (2, SeccompCmpOp::Eq, protocol as u64),
            ])?);
        }
    }
    rules.insert(libc::SYS_socket, allowed);
    let options = SOCKET_OPTIONS
        .iter()
        .map(|&(level, option)| {
            rule([
                (1, SeccompCmpOp::Eq, level as u64),
                (2, SeccompCmpOp::Eq, option as u64),
            ])
        })
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_setsockopt, options);
    Ok(())
}

/// One way for a call to be allowed: all of (argument, comparison, value) hold. The kernel takes these arguments as
/// 32-bit values (or, `mmap`'s and `clone`'s, has no meaning for the upper half), so only that half is compared.
fn rule<const N: usize>(
    conditions: [(u8, SeccompCmpOp, u64); N],
) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions
        .into_iter()
        .map(|(index, operator, value)| {
            SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
        })
        .collect::<Result<_, _>>()?;
    SeccompRule::new(conditions)
}
