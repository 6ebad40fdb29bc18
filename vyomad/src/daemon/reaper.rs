//! Collects every child that ends: those that the daemon started, whose status goes to whoever waits for it, and
//! orphans that became ours because we are PID 1 or a subreaper, which are only counted.
//!
//! There is one `waitpid(-1)` loop and no other wait in the process, so no exit code can be lost or stolen. A child
//! is registered in the same turn of the loop that made it: it can't be reaped before it is known.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use nix::errno::Errno;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It exited with this code.
    Code(u8),
    /// It died by this signal.
    Signal(u8),
}

/// The table of our children.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    children: RefCell<HashMap<i32, oneshot::Sender<Status>>>,
    orphans: Cell<u64>,
}

impl Reaper {
    /// Expects `pid` to end; the receiver gets its status.
    pub(crate) fn register(&self, pid: i32) -> oneshot::Receiver<Status> {
        let (sender, receiver) = oneshot::channel();
        self.children.borrow_mut().insert(pid, sender);
        receiver
    }

    /// Whether `pid` is a child of ours that has not been reaped: until then nobody else can have its number.
    pub(crate) fn has(&self, pid: u32) -> bool {
        self.children.borrow().contains_key(&pid.cast_signed())
    }

    /// Processes reaped that nobody here had started.
    pub(crate) fn orphans(&self) -> u64 {
        self.orphans.get()
    }

    /// Reaps whatever has ended.
    pub(crate) fn reap(&self) {
        loop {
            let mut raw = 0;
            // By hand rather than through nix, whose waitpid fails *after* reaping a child that a real-time signal
            // killed: that child's status would be lost.
            // SAFETY: `raw` is valid for the call.
            let pid = unsafe { libc::waitpid(-1, &raw mut raw, libc::WNOHANG) };
            let status = match pid {
                -1 if Errno::last() == Errno::EINTR => continue,
                // Nothing has ended, or there is no child at all.
                ..=0 => return,
                _ if libc::WIFEXITED(raw) => Status::Code(libc::WEXITSTATUS(raw) as u8),
                _ if libc::WIFSIGNALED(raw) => Status::Signal(libc::WTERMSIG(raw) as u8),
                _ => continue,
            };
            match self.children.borrow_mut().remove(&pid) {
                // Whoever waited may have given up: nothing to do then.
                Some(sender) => drop(sender.send(status)),
                None => self.orphans.set(self.orphans.get() + 1),
            }
        }
    }

    /// Reaps on every SIGCHLD, for ever.
    pub(crate) async fn run(self: Rc<Self>) -> io::Result<()> {
        let mut ended = signal(SignalKind::child())?;
        loop {
            // Signals merge, so each one means "at least one"; the first round catches what ended before the handler.
            self.reap();
            ended.recv().await;
        }
    }
}
