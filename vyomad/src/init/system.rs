//! Small things that a Linux system must have before anything else runs: descriptors 0 to 2, device nodes, a host
//! name, and the kernel settings of a device that runs other people's code.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::Note;
use super::cmdline::{CmdLine, LogLevel, PanicPolicy, hostname as valid_hostname};

/// Character devices that programs take for granted: name, mode, major, minor (kernel: Documentation/admin-guide/devices.txt).
const NODES: [(&str, u32, u64, u64); 8] = [
    ("console", 0o600, 5, 1),
    ("null", 0o666, 1, 3),
    ("zero", 0o666, 1, 5),
    ("full", 0o666, 1, 7),
    ("random", 0o666, 1, 8),
    ("urandom", 0o666, 1, 9),
    ("tty", 0o666, 5, 0),
    ("ptmx", 0o666, 5, 2),
];
/// And the links that devtmpfs never has.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// The name of a device that was given none.
const DEFAULT_HOSTNAME: &str = "vyoma";

/// Makes sure that descriptors 0, 1 and 2 are open: the kernel gives PID 1 none when the initramfs has no
/// /dev/console. Called before and after /dev is there.
pub(super) fn sane_descriptors() {
    // Each open takes the lowest free number, so this fills 0, 1 and 2 and stops.
    while let Some(free) = (0..=2).find(|fd| !is_open(*fd)) {
        let open_one = |path: &str| open(path, OFlag::O_RDWR | OFlag::O_NOCTTY, Mode::empty());
        match open_one("/dev/console").or_else(|_| open_one("/dev/null")) {
            Ok(fd) if fd.as_raw_fd() == free => std::mem::forget(fd),
            // No device yet: the second call has one.
            _ => return,
        }
    }
}

fn is_open(fd: i32) -> bool {
    // SAFETY: the number is only asked about, not owned; F_GETFD on a closed descriptor is EBADF.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    fcntl(fd, FcntlArg::F_GETFD).is_ok()
}

/// Makes the nodes and links that /dev lacks, and checks what is there.
pub(super) fn device_nodes() -> Vec<Note> {
    let dev = Path::new("/dev");
    let mut notes = Vec::new();
    let mut made = Vec::new();
    for (name, mode, major, minor) in NODES {
        let path = dev.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match mknod(
            &path,
            SFlag::S_IFCHR,
            Mode::from_bits_truncate(mode),
            makedev(major, minor),
        ) {
            Ok(()) => made.push(name),
            Err(error) => notes.push(Note::warning(format!(
                "can't make {}: {error}",
                path.display()
            ))),
        }
    }
    for (name, target) in LINKS {
        let path = dev.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match symlink(target, &path) {
            Ok(()) => made.push(name),
            Err(error) => notes.push(Note::warning(format!(
                "can't link {}: {error}",
                path.display()
            ))),
        }
    }
    let there = |name: &str| {
        fs::metadata(dev.join(name)).is_ok_and(|found| found.file_type().is_char_device())
    };
    let nodes = NODES.iter().map(|node| node.0).filter(|name| there(name));
    let links = LINKS
        .iter()
        .map(|link| link.0)
        .filter(|name| dev.join(name).exists());
    let all: Vec<_> = nodes.chain(links).collect();
    let mut detail = all.join(" ");
    if !made.is_empty() {
        detail = format!("{detail} (made: {})", made.join(" "));
    }
    notes.push(Note::new("devices", detail));
    notes
}

/// Sets the host name: the command line's, else /etc/hostname's, else `vyoma`.
pub(super) fn hostname(wanted: Option<&str>) -> Note {
    let file = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = choose_hostname(wanted, &file);
    if let Err(error) = nix::unistd::sethostname(&name) {
        return Note::warning(format!("can't set the host name `{name}`: {error}"));
    }
    match nix::unistd::gethostname() {
        Ok(name) => Note::new("hostname", name.to_string_lossy()),
        Err(error) => Note::warning(format!("can't read the host name back: {error}")),
    }
}

fn choose_hostname(wanted: Option<&str>, file: &str) -> String {
    wanted
        .map(str::to_owned)
        .or_else(|| valid_hostname(file.lines().next().unwrap_or_default().trim()))
        .unwrap_or_else(|| DEFAULT_HOSTNAME.to_owned())
}

/// Kernel settings and why. A kernel that lacks one has nothing to protect there.
pub(super) fn kernel_settings(line: &CmdLine) -> Vec<Note> {
    let console = match line.loglevel {
        LogLevel::Error => "3",
        LogLevel::Warn => "4",
        // The kernel's warnings, not its chatter: the console is for the device's own lines.
        LogLevel::Info => "5",
        LogLevel::Debug => "8",
    };
    let panic = match line.panic {
        // The end of PID 1 is a kernel panic; 5 s, so that the last lines can be read. A kernel that panics can't power off.
        PanicPolicy::Reboot | PanicPolicy::PowerOff => "5",
        PanicPolicy::Halt => "0",
    };
    let settings = [
        ("kernel/panic", panic),
        // An oops in a driver leaves a kernel that can't be trusted: take the way of a panic.
        ("kernel/panic_on_oops", "1"),
        ("kernel/printk", console),
        // Kernel addresses and messages are of use to an attacker and to nobody else on a device.
        ("kernel/dmesg_restrict", "1"),
        ("kernel/kptr_restrict", "2"),
        // No process traces another (where the kernel has Yama; seccomp refuses ptrace in any case).
        ("kernel/yama/ptrace_scope", "3"),
        ("kernel/unprivileged_bpf_disabled", "1"),
        ("kernel/perf_event_paranoid", "3"),
        ("kernel/sysrq", "0"),
        // Links and FIFOs in shared folders are the oldest way to make root write somewhere.
        ("fs/protected_symlinks", "1"),
        ("fs/protected_hardlinks", "1"),
        ("fs/protected_fifos", "2"),
        ("fs/protected_regular", "2"),
        ("fs/suid_dumpable", "0"),
        // Only ours to use: a device routes for nobody and lets nobody redirect its routes.
        ("net/ipv4/ip_forward", "0"),
        ("net/ipv4/conf/all/accept_redirects", "0"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/all/accept_source_route", "0"),
        ("net/ipv6/conf/all/accept_redirects", "0"),
        ("net/ipv4/tcp_syncookies", "1"),
        // After a little fragmentation the kernel would keep a block of 4 MiB more free, for want of which it kills processes:
        // with 32 MB that is what a few apps leave.
        ("vm/watermark_boost_factor", "0"),
    ];
    let mut notes = Vec::new();
    let mut set = Vec::new();
    for (name, value) in settings {
        let path = Path::new("/proc/sys").join(name);
        if !path.exists() {
            continue;
        }
        if let Err(error) = fs::write(&path, value) {
            notes.push(Note::warning(format!(
                "can't set {} to {value}: {error}",
                path.display()
            )));
        } else if let Ok(now) = fs::read_to_string(&path) {
            set.push(format!(
                "{}={}",
                name.replace('/', "."),
                now.split_whitespace().next().unwrap_or_default()
            ));
        }
    }
    notes.push(Note::new("settings", set.join(" ")));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_device_before_the_file_does() {
        assert_eq!(choose_hostname(Some("pump"), "valve\n"), "pump");
        assert_eq!(choose_hostname(None, "valve\nmore\n"), "valve");
        assert_eq!(choose_hostname(None, "not a name\n"), "vyoma");
        assert_eq!(choose_hostname(None, ""), "vyoma");
    }

    #[test]
    fn descriptors_that_are_closed_at_start_are_opened_and_no_more() {
        // In a process of its own: the test runner needs its descriptors.
        // SAFETY: the child calls system calls and _exit only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: closes the child's own descriptors and ends it.
            unsafe {
                for fd in 0..64 {
                    libc::close(fd);
                }
                sane_descriptors();
                sane_descriptors();
                let open = |fd| libc::fcntl(fd, libc::F_GETFD) >= 0;
                libc::_exit(i32::from(!(open(0) && open(1) && open(2) && !open(3))));
            }
        }
        let mut status = 0;
        // SAFETY: `status` is valid for the call.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
    }
}
