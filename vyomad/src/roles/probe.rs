//! Tries to get out. Runs in the place of a guest, in a process that was locked in exactly as an app's is, makes the
//! system calls that a guest would make that has taken over its engine, and prints one JSON object: attempt -> errno, 0
//! being success. What each must be is for the test to say; this says only what happened.
//!
//! Only with the Cargo feature `probe`, only when the app's environment has `VYOMA_PROBE=1`. It reads its arguments
//! (`other=PATH`: a file of another app; `port=N`: a TCP port to bind), and at last waits for the end of stdin, so that
//! a test can look at the process from the outside. On a device it is an app like any other: its manifest sets the variable.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use vyoma_capabilities::lifecycle::Ending;

use crate::spec::AppSpec;

/// The attempts so far, in order.
struct Table(serde_json::Map<String, serde_json::Value>);

impl Table {
    /// Makes a raw call and notes its errno.
    fn call(&mut self, name: &str, number: i64, arguments: &[usize]) {
        let errno = raw(number, arguments).map_or_else(|errno| errno, |_| 0);
        self.note(name, errno);
    }

    fn note(&mut self, name: &str, errno: i32) {
        self.0.insert(name.to_owned(), errno.into());
    }
}

/// One system call with up to six arguments, the others being 0.
fn raw(number: i64, arguments: &[usize]) -> Result<usize, i32> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: every pointer that the callers pass is null or to memory that outlives the call, and the calls that would
    // change this process itself (fork, exec, unmapping) either fail or are looked after by the caller.
    let result = unsafe { libc::syscall(number, all[0], all[1], all[2], all[3], all[4], all[5]) };
    if result >= 0 {
        Ok(result as usize)
    } else {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(-1))
    }
}

/// `-1` and the like as an argument.
const fn minus(value: isize) -> usize {
    value.wrapping_neg() as usize
}

const AT_FDCWD: usize = libc::AT_FDCWD as usize;

/// All attempts, then the end of stdin.
pub(super) fn run(spec: &AppSpec, data: Option<&File>) -> Ending {
    let argument = |key: &str| {
        spec.args
            .iter()
            .find_map(|word| word.strip_prefix(key))
            .unwrap_or_default()
    };
    let mut table = Table(serde_json::Map::new());
    // First, while nothing of its own is open.
    descriptors(&mut table);
    files(&mut table, data, argument("other="));
    processes(&mut table);
    privileges(&mut table);
    memory(&mut table);
    kernel(&mut table);
    sockets(&mut table, argument("port=").parse().unwrap_or(0));
    let line = serde_json::Value::Object(table.0).to_string();
    let mut stdout = std::io::stdout();
    let _ = stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ending::Exited(0)
}

fn files(table: &mut Table, data: Option<&File>, other: &str) {
    let mut open = |name: &str, folder: usize, path: &str, flags: i32| {
        let path = format!("{path}\0");
        table.call(
            name,
            libc::SYS_openat,
            &[folder, path.as_ptr() as usize, flags as usize, 0o600],
        );
    };
    open("open /etc/passwd", AT_FDCWD, "/etc/passwd", libc::O_RDONLY);
    open(
        "open /etc/resolv.conf",
        AT_FDCWD,
        "/etc/resolv.conf",
        libc::O_RDONLY,
    );
    open(
        "write /etc/resolv.conf",
        AT_FDCWD,
        "/etc/resolv.conf",
        libc::O_WRONLY,
    );
    open("open /", AT_FDCWD, "/", libc::O_RDONLY | libc::O_DIRECTORY);
    open(
        "open /proc/1/environ",
        AT_FDCWD,
        "/proc/1/environ",
        libc::O_RDONLY,
    );
    open(
        "open /proc/self/mem",
        AT_FDCWD,
        "/proc/self/mem",
        libc::O_RDWR,
    );
    open(
        "open /proc/self/exe",
        AT_FDCWD,
        "/proc/self/exe",
        libc::O_RDONLY,
    );
    open("open /dev/null", AT_FDCWD, "/dev/null", libc::O_RDWR);
    open(
        "create in /tmp",
        AT_FDCWD,
        "/tmp/vyoma-probe",
        libc::O_RDWR | libc::O_CREAT,
    );
    open("open other app's data", AT_FDCWD, other, libc::O_RDONLY);
    if let Some(data) = data {
        let folder = data.as_raw_fd() as usize;
        open(
            "create own data",
            folder,
            "probe",
            libc::O_RDWR | libc::O_CREAT,
        );
        open("open own data", folder, "probe", libc::O_RDONLY);
        open(
            "list own data",
            folder,
            ".",
            libc::O_RDONLY | libc::O_DIRECTORY,
        );
        open(
            "open parent of own data",
            folder,
            "..",
            libc::O_RDONLY | libc::O_DIRECTORY,
        );
        let name = other.rsplit('/').take(2).collect::<Vec<_>>();
        if let [file, app] = name[..] {
            open(
                "open other app's data by ..",
                folder,
                &format!("../{app}/{file}"),
                libc::O_RDONLY,
            );
        }
        table.call(
            "mkdir own data",
            libc::SYS_mkdirat,
            &[folder, c"folder".as_ptr() as usize, 0o700],
        );
        table.call(
            "symlink own data",
            libc::SYS_symlinkat,
            &[
                c"/etc/passwd".as_ptr() as usize,
                folder,
                c"link".as_ptr() as usize,
            ],
        );
        let link = c"link".as_ptr() as usize;
        table.call(
            "open through symlink",
            libc::SYS_openat,
            &[folder, link, libc::O_RDONLY as usize],
        );
        table.call(
            "mknod own data",
            libc::SYS_mknodat,
            &[
                folder,
                c"device".as_ptr() as usize,
                libc::S_IFCHR as usize | 0o600,
                0x103,
            ],
        );
        table.call(
            "mkfifo own data",
            libc::SYS_mknodat,
            &[
                folder,
                c"pipe".as_ptr() as usize,
                libc::S_IFIFO as usize | 0o600,
            ],
        );
        table.call(
            "chmod setuid own data",
            libc::SYS_fchmodat,
            &[folder, c"probe".as_ptr() as usize, 0o4755],
        );
        table.call(
            "chown own data",
            libc::SYS_fchownat,
            &[folder, c"probe".as_ptr() as usize, 0, 0, 0],
        );
        table.call("fchdir own data", libc::SYS_fchdir, &[folder]);
    }
    table.call("chroot", libc::SYS_chroot, &[c"/".as_ptr() as usize]);
    table.call("chdir", libc::SYS_chdir, &[c"/".as_ptr() as usize]);
    let mut handle = [0_u8; 136];
    handle[0] = 8;
    table.call(
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        &[0, handle.as_mut_ptr() as usize, 0],
    );
    table.call(
        "name_to_handle_at",
        libc::SYS_name_to_handle_at,
        &[
            AT_FDCWD,
            c"/".as_ptr() as usize,
            handle.as_mut_ptr() as usize,
        ],
    );
    table.call("inotify_init1", libc::SYS_inotify_init1, &[]);
    table.call("fanotify_init", libc::SYS_fanotify_init, &[]);
    table.call(
        "statfs",
        libc::SYS_statfs,
        &[c"/".as_ptr() as usize, handle.as_mut_ptr() as usize],
    );
}

fn processes(table: &mut Table) {
    let exe = c"/proc/self/exe".as_ptr() as usize;
    let arguments = [exe, 0];
    table.call(
        "execve",
        libc::SYS_execve,
        &[exe, arguments.as_ptr() as usize],
    );
    table.call(
        "execveat",
        libc::SYS_execveat,
        &[AT_FDCWD, exe, arguments.as_ptr() as usize],
    );
    let mut fork = |name: &str, number: i64, arguments: &[usize]| {
        let result = raw(number, arguments);
        if result == Ok(0) {
            // The child of a fork that should have failed.
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        table.note(name, result.map_or_else(|errno| errno, |_| 0));
    };
    #[cfg(target_arch = "x86_64")]
    fork("fork", libc::SYS_fork, &[]);
    fork(
        "clone a process",
        libc::SYS_clone,
        &[libc::SIGCHLD as usize],
    );
    fork(
        "clone into namespaces",
        libc::SYS_clone,
        &[(libc::CLONE_NEWUSER | libc::SIGCHLD) as usize],
    );
    let clone3 = [0_u64; 11];
    fork(
        "clone3",
        libc::SYS_clone3,
        &[clone3.as_ptr() as usize, size_of_val(&clone3)],
    );
    let thread = std::thread::Builder::new().spawn(|| ());
    table.note(
        "thread",
        thread.map_or_else(
            |error| error.raw_os_error().unwrap_or(-1),
            |thread| i32::from(thread.join().is_err()),
        ),
    );

    let parent = std::os::unix::process::parent_id() as usize;
    let own = std::process::id() as usize;
    // Signal 0 asks whether a signal could be sent: harmless when it can.
    table.call("kill parent", libc::SYS_kill, &[parent, 0]);
    table.call("kill 1", libc::SYS_kill, &[1, 0]);
    table.call("kill own group", libc::SYS_kill, &[0, 0]);
    table.call("tkill parent", libc::SYS_tkill, &[parent, 0]);
    table.call("tgkill parent", libc::SYS_tgkill, &[parent, parent, 0]);
    table.call("tgkill self", libc::SYS_tgkill, &[own, own, 0]);
    table.call(
        "rt_sigqueueinfo",
        libc::SYS_rt_sigqueueinfo,
        &[parent, 0, 0],
    );
    table.call("pidfd_open", libc::SYS_pidfd_open, &[parent, 0]);
    table.call(
        "ptrace parent",
        libc::SYS_ptrace,
        &[libc::PTRACE_ATTACH as usize, parent],
    );
    table.call(
        "ptrace me",
        libc::SYS_ptrace,
        &[libc::PTRACE_TRACEME as usize],
    );
    let mut byte = [0_u8; 1];
    let vector = [byte.as_mut_ptr() as usize, 1];
    let vector = vector.as_ptr() as usize;
    table.call(
        "process_vm_readv",
        libc::SYS_process_vm_readv,
        &[parent, vector, 1, vector, 1],
    );
    table.call(
        "process_vm_writev",
        libc::SYS_process_vm_writev,
        &[parent, vector, 1, vector, 1],
    );
    table.call("prlimit parent", libc::SYS_prlimit64, &[parent, 0, 0, 0]);
    table.call("setpriority", libc::SYS_setpriority, &[0, 0, 0]);
    table.call(
        "sched_setscheduler",
        libc::SYS_sched_setscheduler,
        &[0, 0, 0],
    );
    table.call("setsid", libc::SYS_setsid, &[]);
    table.call(
        "wait4",
        libc::SYS_wait4,
        &[minus(1), 0, libc::WNOHANG as usize],
    );
}

fn privileges(table: &mut Table) {
    table.call("setuid 0", libc::SYS_setuid, &[0]);
    table.call("setresuid 0", libc::SYS_setresuid, &[0, 0, 0]);
    table.call("setgid 0", libc::SYS_setgid, &[0]);
    table.call("setgroups", libc::SYS_setgroups, &[0, 0]);
    table.call("capset", libc::SYS_capset, &[0, 0]);
    table.call(
        "prctl dumpable",
        libc::SYS_prctl,
        &[libc::PR_SET_DUMPABLE as usize, 1],
    );
    table.call(
        "prctl no death signal",
        libc::SYS_prctl,
        &[libc::PR_SET_PDEATHSIG as usize, 0],
    );
    table.call("seccomp", libc::SYS_seccomp, &[1, 0, 0]);
    table.call(
        "unshare",
        libc::SYS_unshare,
        &[libc::CLONE_NEWUSER as usize],
    );
    table.call("setns", libc::SYS_setns, &[0, 0]);
    table.call("keyctl", libc::SYS_keyctl, &[0, minus(3), 1]);
    table.call(
        "add_key",
        libc::SYS_add_key,
        &[
            c"user".as_ptr() as usize,
            c"k".as_ptr() as usize,
            c"v".as_ptr() as usize,
            1,
            minus(3),
        ],
    );
    table.call("personality", libc::SYS_personality, &[0xffff_ffff]);
}

fn memory(table: &mut Table) {
    let (read_write, all) = (
        (libc::PROT_READ | libc::PROT_WRITE) as usize,
        (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize,
    );
    let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    table.call(
        "mmap executable",
        libc::SYS_mmap,
        &[0, 4096, all, private, minus(1), 0],
    );
    let page = raw(libc::SYS_mmap, &[0, 4096, read_write, private, minus(1), 0]);
    table.note("mmap data", page.err().unwrap_or(0));
    if let Ok(page) = page {
        table.call(
            "mprotect executable",
            libc::SYS_mprotect,
            &[page, 4096, all],
        );
        table.call(
            "mprotect read and execute",
            libc::SYS_mprotect,
            &[page, 4096, (libc::PROT_READ | libc::PROT_EXEC) as usize],
        );
        table.call(
            "pkey_mprotect",
            libc::SYS_pkey_mprotect,
            &[page, 4096, all, minus(1)],
        );
    }
    table.call(
        "memfd_create",
        libc::SYS_memfd_create,
        &[c"code".as_ptr() as usize, 0],
    );
    table.call("shmget", libc::SYS_shmget, &[0, 4096, 0o600]);
    table.call("mlock", libc::SYS_mlock, &[0, 0]);
    table.call("userfaultfd", libc::SYS_userfaultfd, &[]);
}

fn kernel(table: &mut Table) {
    let text = c"none".as_ptr() as usize;
    table.call(
        "mount",
        libc::SYS_mount,
        &[text, c"/".as_ptr() as usize, c"tmpfs".as_ptr() as usize],
    );
    table.call(
        "umount2",
        libc::SYS_umount2,
        &[c"/proc".as_ptr() as usize, libc::MNT_DETACH as usize],
    );
    table.call("pivot_root", libc::SYS_pivot_root, &[text, text]);
    table.call(
        "open_tree",
        libc::SYS_open_tree,
        &[AT_FDCWD, c"/".as_ptr() as usize, 0],
    );
    // A wrong magic number: harmless (EINVAL) even where it is allowed.
    table.call("reboot", libc::SYS_reboot, &[0, 0, 0]);
    table.call("bpf", libc::SYS_bpf, &[0, 0, 0]);
    table.call("io_uring_setup", libc::SYS_io_uring_setup, &[1, 0]);
    table.call("perf_event_open", libc::SYS_perf_event_open, &[0, 0, 0, 0]);
    table.call("init_module", libc::SYS_init_module, &[0, 0, text]);
    table.call("finit_module", libc::SYS_finit_module, &[0, text, 0]);
    table.call("kexec_load", libc::SYS_kexec_load, &[0, 0, 0, 0]);
    table.call("sethostname", libc::SYS_sethostname, &[text, 0]);
    table.call("clock_settime", libc::SYS_clock_settime, &[0, 0]);
    table.call("syslog", libc::SYS_syslog, &[10, 0, 0]);
    table.call("swapon", libc::SYS_swapon, &[text, 0]);
    table.call("uname", libc::SYS_uname, &[0]);
    table.call(
        "ioctl TIOCSTI",
        libc::SYS_ioctl,
        &[0, libc::TIOCSTI as usize, text],
    );
    table.call(
        "fcntl F_SETOWN",
        libc::SYS_fcntl,
        &[0, libc::F_SETOWN as usize, 1],
    );
    table.call(
        "landlock_create_ruleset",
        libc::SYS_landlock_create_ruleset,
        &[0, 0, 1],
    );
    #[cfg(target_arch = "x86_64")]
    {
        // The same call of the x32 table, and of no table.
        table.call("x32 getpid", 0x4000_0000 | libc::SYS_getpid, &[]);
        table.call("iopl", libc::SYS_iopl, &[3]);
        table.call("modify_ldt", libc::SYS_modify_ldt, &[0, 0, 0]);
    }
    table.call("no such call", 9999, &[]);
}

fn sockets(table: &mut Table, port: u16) {
    let mut socket = |name: &str, family: i32, kind: i32, protocol: i32| {
        let result = raw(
            libc::SYS_socket,
            &[
                family as usize,
                (kind | libc::SOCK_CLOEXEC) as usize,
                protocol as usize,
            ],
        );
        table.note(name, result.err().unwrap_or(0));
        result.ok()
    };
    let tcp = [(); 3].map(|()| socket("socket tcp", libc::AF_INET, libc::SOCK_STREAM, 0));
    let datagram = socket(
        "socket udp6",
        libc::AF_INET6,
        libc::SOCK_DGRAM,
        libc::IPPROTO_UDP,
    );
    socket("socket unix", libc::AF_UNIX, libc::SOCK_STREAM, 0);
    socket("socket netlink", libc::AF_NETLINK, libc::SOCK_RAW, 0);
    socket("socket packet", libc::AF_PACKET, libc::SOCK_RAW, 0);
    socket(
        "socket raw",
        libc::AF_INET,
        libc::SOCK_RAW,
        libc::IPPROTO_ICMP,
    );
    socket(
        "socket ping",
        libc::AF_INET,
        libc::SOCK_DGRAM,
        libc::IPPROTO_ICMP,
    );
    socket("socket vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0);
    socket(
        "socket mptcp",
        libc::AF_INET,
        libc::SOCK_STREAM,
        libc::IPPROTO_MPTCP,
    );
    let mut pair = [0_i32; 2];
    table.call(
        "socketpair",
        libc::SYS_socketpair,
        &[
            libc::AF_UNIX as usize,
            libc::SOCK_STREAM as usize,
            0,
            pair.as_mut_ptr() as usize,
        ],
    );
    if let [Some(own), Some(any), Some(other)] = tcp {
        for (name, socket, port) in [
            ("bind own port", own, port),
            ("bind any port", any, 0),
            ("bind another port", other, port.wrapping_add(1)),
        ] {
            let mut address = [0_u8; 16];
            address[0] = libc::AF_INET as u8;
            address[2..4].copy_from_slice(&port.to_be_bytes());
            address[4..8].copy_from_slice(&[127, 0, 0, 1]);
            table.call(
                name,
                libc::SYS_bind,
                &[socket, address.as_ptr() as usize, address.len()],
            );
        }
        table.call("listen", libc::SYS_listen, &[own, 1]);
        let one = 1_i32;
        let mut option = |name: &str, level: i32, option: i32| {
            let value = &raw const one as usize;
            table.call(
                name,
                libc::SYS_setsockopt,
                &[
                    own,
                    level as usize,
                    option as usize,
                    value,
                    size_of_val(&one),
                ],
            );
        };
        option(
            "setsockopt SO_REUSEADDR",
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR,
        );
        option(
            "setsockopt SO_BINDTODEVICE",
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
        );
        option("setsockopt TCP_ULP", libc::IPPROTO_TCP, libc::TCP_ULP);
    }
    for socket in tcp.into_iter().chain([datagram]).flatten() {
        let _ = raw(libc::SYS_close, &[socket]);
    }
}

/// Numbers of the open descriptors, as a list instead of an errno.
fn descriptors(table: &mut Table) {
    let open = (0..1024_usize)
        .filter(|&number| raw(libc::SYS_fcntl, &[number, libc::F_GETFD as usize]).is_ok());
    let open: Vec<usize> = open.collect();
    table.0.insert("open descriptors".to_owned(), open.into());
}
