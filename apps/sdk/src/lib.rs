//! The crate vyoma.
#![cfg_attr(all(target_os = "wasi", not(feature = "std")), no_std)]

extern crate alloc;
// The macros name this crate as their users do.
extern crate self as vyoma;

pub mod entry;
pub mod environment;
pub mod heap;
pub mod inbox;
pub mod incoming;
pub mod print;
pub mod ready;
mod sys;
#[cfg(not(target_os = "wasi"))]
pub mod testing;
pub mod time;
pub mod wait;

pub use entry::{ExitCode, Outcome, exit};
pub use environment::{args, vars};
pub use inbox::{Error, GrowingInbox, Inbox, Received, RequestError};
pub use incoming::Incoming;
pub use print::Show;
pub use time::{Duration, Instant, since_epoch, sleep, sleep_until};
pub use vyoma_macros::{broadcast, eprint, eprintln, log, print, println, reply, send, write};
pub use wait::{Any, Timer};

/// For the macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::entry::{panicked, panicked_at};
    #[cfg(target_os = "wasi")]
    pub use crate::sys::landing::realloc;
}

/// Most bytes of one line, either way; the supervisor cuts longer ones there.
pub const MAX_LINE: usize = 16 * 1024;

/// Writes to the app's log, whatever the text looks like: a line that would be a message is indented by one space.
pub fn log(text: impl Show) {
    log!("{text}");
}

/// Sends one line to the app of that name. An app that isn't there is a warning in the sender's log.
pub fn send(app: &str, message: impl Show) {
    send!(app, "{message}");
}

/// Sends one line to every other app.
pub fn broadcast(message: impl Show) {
    broadcast!("{message}");
}

/// Answers the app that last wrote to this one.
pub fn reply(message: impl Show) {
    reply!("{message}");
}
