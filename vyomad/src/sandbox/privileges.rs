//! The classic part of the sandbox: resource limits, uid and groups, capabilities. Called by [`super::Sandbox`] only.

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, getresgid, getresuid, setgroups, setresgid, setresuid};

use super::{Report, Role, SandboxError, Terms, failed};

/// Descriptors of an app without network: files that it holds open, plus what the engine needs.
const FILES: u64 = 128;
/// With network: connections too. A page of descriptors' worth; more is a leak.
const FILES_WITH_NETWORK: u64 = 1024;
/// Threads of one app. The engine moves blocking work (file reads, name look-up) to threads and would go up to 512;
/// when it can't make one, work waits for the others.
const THREADS: u64 = 64;
/// Address space of an admission. A compile takes about 250 bytes of memory a byte of component (25 MB for 111 KB,
/// measured), less for large ones; more than this is an attack on the compiler, and a device has not got it.
const ADMIT_ADDRESS_SPACE: u64 = 3 << 30;
/// Processor seconds of an admission. A compile takes about 4 s a megabyte; the slowest supported machine (an
/// emulated core) is 20 times slower. The kernel then ends the process with SIGXCPU, which the daemon reports.
const ADMIT_CPU_SECS: u64 = 600;
/// Descriptors of an SSH connection: stdio, two sockets, the runtime's few.
const SSH_FILES: u64 = 32;
/// Memory of an SSH connection that is its own: it takes 1 MiB, and a window, a queue and a packet each way are bounded.
const SSH_DATA: u64 = 16 << 20;
/// Memory that an app may lock besides its linear memory: the program, its stacks, the engine's tables and the machine code.
/// The same as its control group has for them (`daemon/cgroup.rs`), which bounds it in any case.
const LOCKED_BESIDES: u64 = 8 << 20;
/// Ports below need CAP_NET_BIND_SERVICE.
const FIRST_FREE_PORT: u16 = 1024;

/// What will be set.
pub(super) struct Plan {
    uid: Option<u32>,
    limits: Vec<(&'static str, Resource, u64)>,
    keep_low_port: bool,
    realtime: Option<u8>,
}

impl Plan {
    pub(super) fn new(terms: &Terms<'_>) -> Result<Self, SandboxError> {
        if terms.required && terms.uid.is_none() {
            return Err(SandboxError::Missing(
                "the process was given no uid of its own".into(),
            ));
        }
        if terms.uid == Some(0) {
            return Err(SandboxError::Step {
                step: "uid",
                cause: "found 0, expected an app's uid".into(),
            });
        }
        // A dump would write guest memory to disk, and a locked page can't be reclaimed.
        let mut limits = vec![
            ("RLIMIT_CORE", Resource::RLIMIT_CORE, 0),
            ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, 0),
        ];
        let mut keep_low_port = false;
        let mut priority = None;
        match terms.role {
            Role::App {
                grants,
                devices,
                realtime,
                ..
            } => {
                if let Some(realtime) = realtime {
                    priority = Some(realtime.wish.priority);
                    limits.retain(|(_, resource, _)| *resource != Resource::RLIMIT_MEMLOCK);
                    let most = realtime.memory_bytes.saturating_add(LOCKED_BESIDES);
                    limits.push(("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, most));
                }
                // Of a device the engine may need a second descriptor, to wait for it.
                let devices = 2 * devices.handles.len() as u64;
                let files = if grants.network.is_some() {
                    FILES_WITH_NETWORK
                } else {
                    FILES
                };
                limits.push(("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, files + devices));
                if let Some(kb) = grants.storage_kb {
                    // One file can't outgrow the whole folder's allowance; the folder itself is the daemon's to watch.
                    limits.push(("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE, u64::from(kb) * 1024));
                }
                if terms.uid.is_some() {
                    // Counted per uid, so it only means something when the uid is the app's own.
                    limits.push(("RLIMIT_NPROC", Resource::RLIMIT_NPROC, THREADS));
                }
                keep_low_port = grants
                    .network
                    .and_then(|network| network.port)
                    .is_some_and(|port| port < FIRST_FREE_PORT);
            }
            Role::Admit => {
                limits.push(("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, FILES));
                limits.push(("RLIMIT_AS", Resource::RLIMIT_AS, ADMIT_ADDRESS_SPACE));
                limits.push(("RLIMIT_CPU", Resource::RLIMIT_CPU, ADMIT_CPU_SECS));
            }
            Role::Ssh => {
                limits.push(("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, SSH_FILES));
                limits.push(("RLIMIT_DATA", Resource::RLIMIT_DATA, SSH_DATA));
                limits.push(("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE, 0));
            }
        }
        Ok(Self {
            uid: terms.uid,
            limits,
            keep_low_port,
            realtime: priority,
        })
    }

    pub(super) fn apply(self, report: &mut Report) -> Result<(), SandboxError> {
        if let Some(priority) = self.realtime
            && let Err(error) = run_by_the_clock(priority)
        {
            if self.uid.is_some() {
                return Err(failed("real-time priority and locked memory")(error));
            }
            report.notes.push(format!("no real-time priority: {error}"));
        }
        self.limit()?;
        if let Some(uid) = self.uid {
            self.become_user(uid)?;
            // Nobody but root may look into it. A hosted app shares the developer's uid: there it would only blind
            // the daemon and the developer's own debugger; Landlock keeps the apps from each other.
            nix::sys::prctl::set_dumpable(false).map_err(failed("PR_SET_DUMPABLE"))?;
        } else {
            report
                .notes
                .push("no uid of its own (the daemon is not root)".into());
            for set in [
                CapSet::Ambient,
                CapSet::Inheritable,
                CapSet::Effective,
                CapSet::Permitted,
            ] {
                caps::clear(None, set).map_err(failed("drop capabilities"))?;
            }
        }
        Ok(())
    }

    fn limit(&self) -> Result<(), SandboxError> {
        for &(name, resource, limit) in &self.limits {
            // The inherited hard limit may be lower; it stays then.
            let (_, hard) = nix::sys::resource::getrlimit(resource).map_err(failed(name))?;
            let limit = limit.min(hard);
            setrlimit(resource, limit, limit).map_err(failed(name))?;
        }
        // At RLIMIT_FSIZE a write then returns EFBIG to the guest instead of ending it.
        // SAFETY: ignoring a signal installs no handler.
        unsafe {
            nix::sys::signal::signal(
                nix::sys::signal::Signal::SIGXFSZ,
                nix::sys::signal::SigHandler::SigIgn,
            )
        }
        .map_err(failed("ignore SIGXFSZ"))?;
        Ok(())
    }

    fn become_user(&self, uid: u32) -> Result<(), SandboxError> {
        caps::clear(None, CapSet::Bounding).map_err(failed("drop the capability bounding set"))?;
        if self.keep_low_port {
            caps::securebits::set_keepcaps(true).map_err(failed("keep capabilities"))?;
        }
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        setgroups(&[]).map_err(failed("setgroups"))?;
        setresgid(group, group, group).map_err(failed("setresgid"))?;
        setresuid(user, user, user).map_err(failed("setresuid"))?;
        if self.keep_low_port {
            // The one privilege that "port = 80" asks for. Landlock holds TCP to that port.
            let keep = [Capability::CAP_NET_BIND_SERVICE].into_iter().collect();
            caps::set(None, CapSet::Effective, &keep)
                .map_err(failed("keep CAP_NET_BIND_SERVICE"))?;
            caps::set(None, CapSet::Permitted, &keep)
                .map_err(failed("drop the other capabilities"))?;
            caps::securebits::set_keepcaps(false).map_err(failed("keep capabilities"))?;
            caps::clear(None, CapSet::Inheritable).map_err(failed("drop capabilities"))?;
        }
        // Trust nothing: a kernel module or a namespace may have made one of these a no-op.
        let (users, groups) = (
            getresuid().map_err(failed("getresuid"))?,
            getresgid().map_err(failed("getresgid"))?,
        );
        if [users.real, users.effective, users.saved] != [user; 3]
            || [groups.real, groups.effective, groups.saved] != [group; 3]
        {
            return Err(SandboxError::Step {
                step: "uid",
                cause: format!("found {users:?} {groups:?}, expected {uid}"),
            });
        }
        Ok(())
    }
}

/// Locks all memory of this process, what it has and what it will get, and puts it under SCHED_FIFO; threads that it makes
/// inherit that. Needs privileges, so it comes before they go. A spinning thread leaves the rest of the system what the
/// kernel's real-time throttling leaves, a twentieth of each processor: enough for the daemon to end it.
fn run_by_the_clock(priority: u8) -> nix::Result<()> {
    use nix::sys::mman::{MlockAllFlags, mlockall};
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?;
    // SAFETY: a C struct of integers, for which zero is a value; musl's has fields that Linux doesn't read.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = i32::from(priority);
    // By number: musl's function only says ENOSYS.
    // SAFETY: the pointer is to a live `sched_param` for the call; process 0 is the caller.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_FIFO,
            &raw const parameters,
        )
    };
    nix::errno::Errno::result(done).map(drop)
}
