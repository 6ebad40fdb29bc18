//! What a Vyoma app is written with: WASI and the supervisor's line protocols, small enough for a microcontroller.
//!
//! ```no_run
//! #![cfg_attr(target_os = "wasi", no_std, no_main)]
//!
//! use vyoma::{Duration, Error, Inbox, Incoming, Received, println, reply};
//!
//! vyoma::main!(main);
//!
//! fn main() -> Result<(), Error> {
//!     println!("ready");
//!     let mut inbox = Inbox::open();
//!     loop {
//!         match inbox.receive_within(Duration::from_secs(10))? {
//!             Received::Incoming(Incoming::Line(text)) => reply!("you said: {text}"),
//!             Received::Incoming(_) => {}
//!             Received::Nothing => println!("nobody there"),
//!             Received::Closed => return Ok(()),
//!         }
//!     }
//! }
//! ```
//!
//! An app talks in lines: what it prints is its log, unless the line starts with `@target:`; what it hears comes on standard input.
//! It needs none of this crate, and the crate gives no right that the manifest does not: nearly all of it needs `stdio = true` under
//! `[capabilities]` in `vyoma.toml`.
//!
//! Three kinds of programs use it. Without `std`, as above: nothing is allocated unless [`main!`] is given a heap, and a component
//! imports the functions that it uses and no others. With `std` and a plain main function: all but [`main!`] works beside it. On a
//! developer's machine, for tests: the same over `std`, and a module `testing`. It deliberately knows no platform, and nothing of files
//! and sockets, which are `std`'s.
//!
//! The feature `std` makes its errors `std`'s and its inboxes as long as the longest line. Cargo builds one `vyoma` for all
//! programs that it builds at once, and one with `std` can't be linked without it: so only a program in a workspace of its own
//! may turn it on.
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
pub use print::{Fixed, Show};
pub use time::{Duration, Instant, since_epoch, sleep, sleep_until};
pub use vyoma_macros::{broadcast, eprint, eprintln, log, print, println, reply, send, write};
pub use wait::{Any, Timer};

/// For the macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::entry::{panicked, panicked_at};
    #[cfg(target_os = "wasi")]
    pub use crate::sys::landing::{free, realloc, receive, received};
    pub use crate::wait::Handle;
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
