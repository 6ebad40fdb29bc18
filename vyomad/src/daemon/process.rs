//! Starts a role: this same binary in a process of its own, with exactly the descriptors that it was given.
//!
//! Nothing here decides what a role may do (see `supervisor`, `admission`), and the locking-in is the role's own work
//! (see `sandbox`).

use std::fs::File;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use serde::Serialize;
use tokio::sync::oneshot;

use super::reaper::{Reaper, Status};
use super::uses::Counts;
use crate::spec::Heartbeat;

/// Capacity of each pipe of an app: the kernel's default, set so that no system setting changes a documented bound.
pub(crate) const PIPE_BYTES: i32 = 64 * 1024;
/// Highest descriptor number that a role knows, and one more: ours are moved above it before they are put in place.
const ABOVE_ROLE_FDS: RawFd = 16;
/// How likely the kernel ends an app rather than anything else when memory runs out (0 to 1000).
const OOM_SCORE: &[u8] = b"500";
/// Soft limit on descriptors in a role: the customary one. The daemon's own is higher.
const ROLE_FILES: libc::rlim_t = 1024;

/// The daemon's own binary, opened once: what is started later is the same version, whatever was installed since.
#[derive(Debug)]
pub(crate) struct Binary(OwnedFd);

impl Binary {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(open(
            "/proc/self/exe",
            OFlag::O_PATH | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?))
    }
}

/// What a role gets.
pub(crate) struct Role<'a> {
    /// `app` or `admit`.
    pub(crate) kind: &'static str,
    /// For `ps`.
    pub(crate) name: &'a str,
    /// Descriptors above those that every such role has.
    pub(crate) more: usize,
    /// Descriptors 0, 1 and 2.
    pub(crate) stdio: [Stdio; 3],
    /// Further descriptors, by the number that they have in the role.
    pub(crate) descriptors: Vec<(OwnedFd, RawFd)>,
    /// `cgroup.procs` of the group to be in, opened for writing.
    pub(crate) cgroup: Option<File>,
}

/// A started process. Dropping it kills it, unless it is known to have ended.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    ended: bool,
    status: oneshot::Receiver<Status>,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Waits for the end.
    pub(crate) async fn wait(&mut self) -> Status {
        let status = (&mut self.status).await;
        self.ended = true;
        // The reaper lives as long as the daemon; this is how a daemon that ends sees its children.
        status.unwrap_or(Status::Signal(libc::SIGKILL as u8))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended && self.status.try_recv().is_err() {
            signal_group(self.pid(), Signal::SIGKILL);
        }
    }
}

/// Signals a process and whatever it started. Only for a process that is not reaped yet: then the number is still its.
pub(crate) fn signal_group(pid: u32, signal: Signal) {
    // ESRCH: it is already gone, which is what was wanted.
    let _ = kill(Pid::from_raw(-pid.cast_signed()), signal);
}

/// Starts `role`.
pub(crate) fn start(binary: &Binary, reaper: &Reaper, role: Role<'_>) -> io::Result<Process> {
    let Role {
        kind,
        name,
        more,
        stdio: [stdin, stdout, stderr],
        descriptors,
        cgroup,
    } = role;
    // A descriptor that already has one of the role's numbers would be overwritten before it is copied.
    let above = ABOVE_ROLE_FDS + more as RawFd;
    let mut placed = Vec::with_capacity(descriptors.len());
    for (descriptor, number) in descriptors {
        placed.push((move_up(descriptor, above)?, number));
    }
    // So is what is executed, and the pipe by which the child tells that it could not be: that one gets the lowest number
    // that is free, so none of the role's may be.
    let binary = move_up(binary.0.try_clone()?, above)?;
    let occupied = occupy(&binary, above)?;
    let parent = std::process::id();
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    command
        .arg0("vyomad")
        .args([kind, name, &more.to_string()])
        .env_clear()
        .current_dir("/")
        .process_group(0);
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let in_child = move || {
        // SAFETY: this runs between fork and exec and calls only async-signal-safe functions on values that were made
        // before the fork; nothing allocates.
        unsafe {
            // A daemon that dies takes its apps with it; checked again because it may have died before the call.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() != parent.cast_signed() {
                libc::_exit(127);
            }
            let limit = libc::open(
                c"/proc/self/oom_score_adj".as_ptr(),
                libc::O_WRONLY | libc::O_CLOEXEC,
            );
            if limit >= 0 {
                libc::write(limit, OOM_SCORE.as_ptr().cast(), OOM_SCORE.len());
                libc::close(limit);
            }
            let mut files = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files) == 0 {
                files.rlim_cur = files.rlim_cur.min(ROLE_FILES);
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
            }
            if let Some(group) = &cgroup {
                // "0" is the writer itself.
                if libc::write(group.as_raw_fd(), b"0".as_ptr().cast(), 1) != 1 {
                    return Err(io::Error::last_os_error());
                }
            }
            for (descriptor, number) in &placed {
                if libc::dup2(descriptor.as_raw_fd(), *number) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
        }
        Ok(())
    };
    // SAFETY: see inside.
    unsafe { command.pre_exec(in_child) };
    let child = command.spawn()?;
    drop(occupied);
    let pid = child.id().cast_signed();
    Ok(Process {
        pid,
        ended: false,
        status: reaper.register(pid),
    })
}

/// Takes every free descriptor number below `above`, from the first of a role's on.
fn occupy(any: &OwnedFd, above: RawFd) -> io::Result<Vec<OwnedFd>> {
    use std::os::fd::FromRawFd;
    let mut taken = Vec::new();
    loop {
        let number = fcntl(any, FcntlArg::F_DUPFD_CLOEXEC(crate::spec::fd::CONTROL))?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        if number >= above {
            return Ok(taken);
        }
        taken.push(descriptor);
    }
}

/// Moves a descriptor to a number from `least` on.
fn move_up(descriptor: OwnedFd, least: RawFd) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    if descriptor.as_raw_fd() >= least {
        return Ok(descriptor);
    }
    let number = fcntl(&descriptor, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A pipe of the documented size: (read end, write end).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // A user past their pipe allowance gets a smaller pipe: still a bound.
    let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    Ok((read, write))
}

/// Makes a socket pair and sends `spec` into it: (our end, the role's end). The role sees the end of the document.
pub(crate) fn control<T: Serialize>(spec: &T) -> io::Result<(UnixStream, OwnedFd)> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let json = serde_json::to_vec(spec)?;
    // One write: a manifest has at most 64 KiB and a socket buffer more than three times that.
    if ours.write(&json)? != json.len() {
        return Err(io::Error::other(format!(
            "a specification of {} bytes does not fit a socket's buffer",
            json.len()
        )));
    }
    ours.shutdown(Shutdown::Write)?;
    Ok((ours, theirs.into()))
}

/// The daemon's side of the page in which an app counts its host calls. Read with `pread`: the app may write what it
/// likes there, but can't make the daemon fault.
#[derive(Debug)]
pub(crate) struct Heartbeats(File);

/// What is in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Beat {
    /// Host calls begun.
    pub(crate) calls: u64,
    /// Inside one now.
    pub(crate) in_host: bool,
}

impl Heartbeats {
    /// The page, and a second descriptor of it for the app.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let page = memfd_create(
            c"vyoma-heartbeat",
            MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
        )?;
        let file = File::from(page);
        file.set_len(Heartbeat::SIZE as u64)?;
        // Neither side can pull the page away under the other.
        fcntl(
            &file,
            FcntlArg::F_ADD_SEALS(
                nix::fcntl::SealFlag::F_SEAL_SHRINK | nix::fcntl::SealFlag::F_SEAL_GROW,
            ),
        )?;
        let theirs = file.try_clone()?.into();
        Ok((Self(file), theirs))
    }

    pub(crate) fn read(&self) -> Beat {
        Beat {
            calls: self.number(Heartbeat::CALLS),
            in_host: self.number(Heartbeat::IN_HOST) != 0,
        }
    }

    /// What the app says it did with its capabilities.
    pub(crate) fn uses(&self) -> Counts {
        let mut counts = Counts::default();
        for (index, count) in counts.0.iter_mut().enumerate() {
            count.calls = self.number(Heartbeat::used(index));
            count.refused = self.number(Heartbeat::refused(index)).min(count.calls);
        }
        counts
    }

    fn number(&self, offset: usize) -> u64 {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; 8];
        self.0
            .read_exact_at(&mut bytes, offset as u64)
            .map_or(0, |()| u64::from_le_bytes(bytes))
    }
}

/// Whether `descriptor` is closed when a role starts. Everything that the daemon opens has to be.
#[cfg(test)]
fn closes_on_exec(descriptor: &OwnedFd) -> bool {
    let flags = fcntl(descriptor, FcntlArg::F_GETFD).unwrap();
    nix::fcntl::FdFlag::from_bits_retain(flags).contains(nix::fcntl::FdFlag::FD_CLOEXEC)
}

#[cfg(test)]
mod tests {
    use vyoma_capabilities::capability::Capability;

    use super::*;

    #[test]
    fn what_the_daemon_makes_for_a_role_is_not_inherited_by_others() {
        let (read, write) = pipe().unwrap();
        let (_, theirs) = control(&"x").unwrap();
        let (_, page) = Heartbeats::new().unwrap();
        assert!([read, write, theirs, page].iter().all(closes_on_exec));
    }

    #[test]
    fn a_heartbeat_page_reads_what_the_app_wrote() {
        use std::os::unix::fs::FileExt;
        let (beats, theirs) = Heartbeats::new().unwrap();
        assert_eq!(beats.read(), Beat::default());
        let file = File::from(theirs);
        file.write_all_at(&7u64.to_le_bytes(), Heartbeat::CALLS as u64)
            .unwrap();
        file.write_all_at(&1u64.to_le_bytes(), Heartbeat::IN_HOST as u64)
            .unwrap();
        assert_eq!(
            beats.read(),
            Beat {
                calls: 7,
                in_host: true
            }
        );
        file.write_all_at(&3u64.to_le_bytes(), Heartbeat::used(2) as u64)
            .unwrap();
        file.write_all_at(&u64::MAX.to_le_bytes(), Heartbeat::refused(2) as u64)
            .unwrap();
        let network = beats.uses().of(Capability::Network);
        assert_eq!(
            (network.calls, network.refused),
            (3, 3),
            "more refused than called"
        );
        assert!(file.set_len(0).is_err(), "the page must not be taken away");
    }

    #[test]
    fn descriptors_of_a_role_never_collide_with_those_that_are_being_placed() {
        let (read, _write) = pipe().unwrap();
        assert!(move_up(read, ABOVE_ROLE_FDS).unwrap().as_raw_fd() >= ABOVE_ROLE_FDS);
        const { assert!(crate::spec::fd::DEVICES < ABOVE_ROLE_FDS) };
    }
}
