//! Locks a role process in: after [`Sandbox::lock`] it has its own uid, no privilege that it could win back, no way to
//! open what it was not granted, and a kernel that answers only the system calls of its role.
//!
//! It deliberately grants nothing by itself: what an app may use was opened by the daemon and arrives as a descriptor.
//! Called by `roles/` only, in this order, because each step needs what a later one takes away:
//!
//! 1. [`close_inherited`]: descriptors above the role's own (first thing in the process)
//! 2. [`Sandbox::prepare`]: opens what Landlock's rules are about and builds the filters, before the engine is up
//! 3. (the engine loads)
//! 4. [`Sandbox::lock`]: limits, uid, capabilities, no_new_privs, Landlock, seccomp; then the first guest instruction
//!
//! A device requires all of it, else the app does not start. A hosted daemon takes what the machine has, and what is
//! missing is named in [`Report`].

mod landlock;
mod privileges;
mod seccomp;

use std::os::fd::BorrowedFd;

use vyoma_capabilities::manifest;
use vyoma_capabilities::resolve::Grants;
use vyoma_runtime::devices::Devices;

/// What `[realtime]` of a manifest comes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Realtime {
    /// Priority and the rest that the manifest says.
    pub(crate) wish: manifest::Realtime,
    /// Most bytes of linear memory: they are locked too.
    pub(crate) memory_bytes: u64,
}

/// Whom to lock in.
#[derive(Clone, Copy)]
pub(crate) enum Role<'a> {
    /// Runs a guest.
    App {
        /// What the guest may do.
        grants: &'a Grants,
        /// The app's data folder; there when `filesystem` is granted.
        data: Option<BorrowedFd<'a>>,
        /// Its devices.
        devices: &'a Devices,
        /// Runs by the clock, in locked memory.
        realtime: Option<Realtime>,
    },
    /// Parses and compiles bytes of unknown origin; needs memory, its open descriptors, and nothing else.
    Admit,
    /// Speaks SSH on a connected socket; needs that and its connection to the daemon, and nothing else.
    Ssh,
}

impl Role<'_> {
    /// Grants of an app; the others have none.
    fn grants(&self) -> Option<&Grants> {
        match self {
            Self::App { grants, .. } => Some(grants),
            Self::Admit | Self::Ssh => None,
        }
    }

    /// Devices of an app.
    fn devices(&self) -> Option<&Devices> {
        match self {
            Self::App { devices, .. } => Some(devices),
            Self::Admit | Self::Ssh => None,
        }
    }
}

/// On what terms.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// Whom.
    pub(crate) role: Role<'a>,
    /// User and group to become.
    pub(crate) uid: Option<u32>,
    /// True: whatever is missing is an error. False: it is noted.
    pub(crate) required: bool,
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What this machine could not give, one line each; empty: the sandbox holds in full.
    pub(crate) notes: Vec<String>,
}

/// Why a process could not be locked in; the guest must not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// A step failed.
    #[error("sandbox: {step}: {cause}")]
    Step {
        /// Which, in a few words.
        step: &'static str,
        /// What the kernel said.
        cause: String,
    },
    /// Something else runs in the process already and would stay outside.
    #[error("sandbox: the process has {0} threads; expected 1 until it is locked in")]
    Threads(usize),
    /// Required in full, but this kernel can't.
    #[error(
        "sandbox: required in full, but {0}; boot a kernel with CONFIG_SECURITY_LANDLOCK and CONFIG_SECCOMP_FILTER (Linux 6.12 or later)"
    )]
    Missing(String),
}

/// Makes an error of a step.
fn failed<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> SandboxError {
    move |cause| SandboxError::Step {
        step,
        cause: cause.to_string(),
    }
}

/// Closes every descriptor from `first` up. Whoever started this process may have leaked some.
pub(crate) fn close_inherited(first: i32) -> Result<(), SandboxError> {
    // SAFETY: called before this process opened anything of its own, so no owner of a closed number exists.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_int::MAX, 0) };
    if done == 0 {
        Ok(())
    } else {
        Err(failed("close_range")(std::io::Error::last_os_error()))
    }
}

/// Everything that is needed to lock, opened and computed while that is still possible.
pub(crate) struct Sandbox {
    privileges: privileges::Plan,
    landlock: landlock::Rules,
    filters: seccomp::Filters,
    required: bool,
    /// To notice a daemon that died before the kernel was told to end us with it.
    parent: nix::unistd::Pid,
}

impl Sandbox {
    /// Opens and computes; changes nothing yet.
    pub(crate) fn prepare(terms: &Terms<'_>) -> Result<Self, SandboxError> {
        Ok(Self {
            privileges: privileges::Plan::new(terms)?,
            landlock: landlock::Rules::new(terms)?,
            filters: seccomp::Filters::new(&terms.role)?,
            required: terms.required,
            parent: nix::unistd::getppid(),
        })
    }

    /// Locks. There is no way back.
    pub(crate) fn lock(self) -> Result<Report, SandboxError> {
        let mut report = Report::default();
        single_threaded()?;
        self.privileges.apply(&mut report)?;
        // A change of uid clears the wish to end with the parent, so it is made after it.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
            .map_err(failed("PR_SET_PDEATHSIG"))?;
        if nix::unistd::getppid() != self.parent {
            return Err(SandboxError::Step {
                step: "parent",
                cause: "the daemon is gone".into(),
            });
        }
        nix::sys::prctl::set_no_new_privs().map_err(failed("PR_SET_NO_NEW_PRIVS"))?;
        self.landlock.apply(&mut report)?;
        self.filters.apply(self.required, &mut report)?;
        if self.required && !report.notes.is_empty() {
            return Err(SandboxError::Missing(report.notes.join(", ")));
        }
        Ok(report)
    }
}

/// Landlock and (without TSYNC) seccomp bind the calling thread and those it makes later, not its elders.
fn single_threaded() -> Result<(), SandboxError> {
    let threads = std::fs::read_dir("/proc/self/task")
        .map_err(failed("count threads in /proc/self/task"))?
        .count();
    if threads == 1 {
        Ok(())
    } else {
        Err(SandboxError::Threads(threads))
    }
}
