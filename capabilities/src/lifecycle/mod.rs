//! One app's life as a state machine: events and the time go in, actions come out. No I/O, no clock.
//!
//! ```text
//!  Stopped --Start--> Starting --Spawned--> Running --Ended--> Backoff --time--> Starting
//!     ^                  |                     |                  |
//!     |                  +------Ended----------+--> Exited | Quarantined
//!     +------Ended------- Stopping <----Stop---+
//! ```
//!
//! Used by vyomad on Linux and by the firmware of the microcontroller.

use alloc::string::String;

use serde::{Deserialize, Serialize};

mod machine;
pub mod trial;

pub use machine::{
    Actions, BACKOFF_CAP_MS, BACKOFF_FIRST_MS, Config, HEALTHY_MS, Machine, QUICK_FAILURES,
};

/// Where in its life an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A process was asked for.
    Starting,
    /// The process runs.
    Running,
    /// Told to end; killed when the grace is over.
    Stopping,
    /// Waits to be restarted.
    Backoff,
    /// Ended by itself, and its policy says that this is that.
    Exited,
    /// Stopped by an operator, or never started.
    Stopped,
    /// Failed too often too quickly; only an operator starts it again.
    Quarantined,
}

/// How a run of an app ended. Every way to die is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The guest returned or called `exit`.
    Exited(u8),
    /// A wasm trap, with the engine-neutral reason, e.g. `unreachable executed`.
    Trapped(String),
    /// Silent for longer than its watchdog allows.
    Watchdog,
    /// The kernel or the engine's limit ended it for memory.
    OutOfMemory,
    /// An operator or a shutdown stopped it.
    Stopped,
    /// The process died by a signal that nobody here sent.
    Signal(u8),
    /// The process never reached the guest's first instruction.
    NotStarted(String),
}

impl Ending {
    /// Whether restart policy `on-failure` restarts after it.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Exited(0) | Self::Stopped)
    }
}

impl core::fmt::Display for Ending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Trapped(why) => write!(f, "trapped: {why}"),
            Self::Watchdog => f.write_str("killed by the watchdog"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::Stopped => f.write_str("stopped"),
            Self::Signal(n) => write!(f, "killed by signal {n}"),
            Self::NotStarted(why) => write!(f, "could not start: {why}"),
        }
    }
}

/// What happens to an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Boot, or an operator's start: forgets earlier failures.
    Start,
    /// The process exists.
    Spawned,
    /// The process (or the attempt to make one) is over. Already-known causes (a watchdog kill, a stop) are kept by the machine itself.
    Ended(Ending),
    /// An operator or a shutdown wants it stopped.
    Stop,
    /// An operator wants it restarted.
    Restart,
    /// The app printed or made a host call, or is waiting inside one.
    Alive,
    /// Time passed; send it at or after the time that [`Machine::wake_at`] names.
    Tick,
}

/// What the shell around the machine has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a process; answer with [`Event::Spawned`] or [`Event::Ended`].
    Spawn,
    /// Ask the process to end (SIGTERM).
    Terminate,
    /// End it (SIGKILL).
    Kill,
    /// Keep this ending as the app's epitaph.
    Epitaph(Ending),
    /// The app is quarantined now.
    Quarantine,
}
