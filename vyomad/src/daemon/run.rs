//! One run of an app: its process and everything that belongs to that process.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Instant;

use super::process::{Beat, Heartbeats};
use super::stdin::Stdin;
use super::throttle::Throttle;

/// What the daemon holds of a running app.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) pid: u32,
    pub(crate) started: Instant,
    /// Absent for an app without `stdio`.
    pub(crate) stdin: Option<Rc<Stdin>>,
    pub(crate) heartbeats: Heartbeats,
    /// What the watchdog saw last.
    pub(crate) last_beat: Cell<Beat>,
    /// It printed since the watchdog last looked.
    pub(crate) printed: Cell<bool>,
    pub(crate) throttle: RefCell<Throttle>,
    /// Where its report comes from.
    pub(crate) control: UnixStream,
    /// Kills by the kernel for memory in its group before it started.
    pub(crate) oom_kills_before: u64,
}

impl Run {
    /// Whether it showed life since this was last asked, or is waiting inside a host call.
    pub(crate) fn showed_life(&self) -> bool {
        let beat = self.heartbeats.read();
        let before = self.last_beat.replace(beat);
        self.printed.take() || beat.in_host || beat.calls != before.calls
    }
}
