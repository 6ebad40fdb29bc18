//! What a Vyoma app says to its supervisor and hears from it, so that apps print no magic strings.
//!
//! An app talks in lines: what it prints is its log, unless the line starts with `@target:`; what it hears comes on
//! standard input. [`log`], [`send`], [`broadcast`] and [`reply`] print; [`Inbox`] listens and asks the supervisor.
//! An app needs none of this (`println!` is enough), and this crate gives no right that the manifest does not: all of
//! it needs `stdio = true` under `[capabilities]` in `vyoma.toml`.
//!
//! ```no_run
//! let mut inbox = vyoma::Inbox::open();
//! let platform = inbox.request("platform")?;
//! vyoma::log(format_args!("running on {platform}"));
//! while let Some(line) = inbox.receive()? {
//!     if let vyoma::Incoming::Line(text) = line {
//!         vyoma::reply(format_args!("you said: {text}"));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`incoming`] and [`outgoing`] use `core` and `alloc` alone; the rest needs `std`.

pub mod inbox;
pub mod incoming;
pub mod outgoing;
pub mod ready;

use core::fmt::Display;

pub use inbox::{Inbox, Received, RequestError};
pub use incoming::Incoming;

/// Most bytes of one line, either way; the supervisor cuts longer ones there.
pub const MAX_LINE: usize = 16 * 1024;

/// Writes to the app's log, whatever the text looks like: a line that would be a message is indented by one space.
pub fn log(text: impl Display) {
    print!("{}", outgoing::log(&text.to_string()));
}

/// Sends one line to the app of that name. An app that isn't there is a warning in the sender's log.
pub fn send(app: &str, message: impl Display) {
    print!("{}", outgoing::message(app, &message.to_string()));
}

/// Sends one line to every other app.
pub fn broadcast(message: impl Display) {
    send("broadcast", message);
}

/// Answers the app that last wrote to this one.
pub fn reply(message: impl Display) {
    send("reply", message);
}
