//! What a conversation needs of the line that it is held over, and waiting for one.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vyoma_capabilities::control::{Request, Response};

use crate::exit::{Exit, Failure};

/// How a device takes a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ManifestForm {
    /// The text of `vyoma.toml`.
    Text,
    /// In few bytes: it reads no TOML.
    Compact,
}

/// A line to a device. Nothing here waits longer than to its deadline, except [`Transport::stir`].
pub(super) trait Transport {
    /// Sends a request. False when the device has something to say, or has gone, before it has taken all of it.
    fn send(&mut self, request: &Request, deadline: Instant) -> Result<bool, Failure>;

    /// Sends the next bytes of an upload, at most [`Transport::chunk`]. False as above.
    fn upload(&mut self, bytes: &[u8], deadline: Instant) -> Result<bool, Failure>;

    /// Bytes of an upload that are sent at once.
    fn chunk(&self) -> usize;

    /// The next answer.
    fn answer(&mut self, deadline: Instant) -> Result<Response, Failure>;

    /// Waits until an answer comes, at least in part; false when nobody reads our output any more.
    fn stir(&mut self) -> Result<bool, Failure>;

    /// Whether an answer has come, at least in part.
    fn has_more(&self) -> bool;

    /// The device's place, for questions and failures.
    fn place(&self) -> String;

    /// How it takes manifests.
    fn manifest_form(&self) -> ManifestForm;

    /// What the other side did that no device does.
    fn garbage(&self, what: &str) -> Failure;
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// The line is ready for this.
    Ready(PollFlags),
    /// The time is over.
    TimedOut,
    /// Nobody reads our output any more.
    OutputGone,
}

/// Waits until the line is ready, or the deadline has come; with `watch_output`, until nobody reads our output any more.
pub(super) fn wait(
    line: &impl AsFd,
    interest: PollFlags,
    deadline: Option<Instant>,
    watch_output: bool,
) -> Result<Waited, Failure> {
    let stdout = io::stdout();
    loop {
        let left = match deadline {
            None => None,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Waited::TimedOut);
                }
                Some(Timespec {
                    tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: i64::from(left.subsec_nanos()),
                })
            }
        };
        let mut watched = [
            PollFd::new(line, interest),
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        let count = if watch_output { 2 } else { 1 };
        match poll(&mut watched[..count], left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(Failure::new(Exit::Local, format!("cannot wait: {error}")));
            }
        }
        if watch_output
            && watched[1]
                .revents()
                .intersects(PollFlags::ERR | PollFlags::HUP)
        {
            return Ok(Waited::OutputGone);
        }
        let ready = watched[0].revents();
        if !ready.is_empty() {
            return Ok(Waited::Ready(ready));
        }
    }
}

/// Whether an error says no more than "not now".
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// `No such file or directory` without ` (os error 2)`: the number helps nobody here.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
