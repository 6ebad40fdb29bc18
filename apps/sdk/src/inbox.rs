//! Standard input as an app sees it: lines, answers to requests, and a limit in time when one is wanted.
//!
//! An [`Inbox`] buffers by itself, so an app that has one should not read standard input beside it. It keeps what it has read in
//! one piece of memory of a fixed size: the lines that wait there, and the one that was handed out last.

use core::fmt;

use crate::incoming::Incoming;
use crate::print::{Line, Show};
use crate::time::{Duration, Instant};

mod room;
mod source;
mod text;

pub use room::Room;
pub use source::{Read, Source, StandardInput};

/// How long a request waits for its answer. The supervisor answers at once unless it resolves a name or fetches a
/// page; past this there is none (the app runs outside Vyoma, say in a terminal).
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of the longest line that [`Inbox::open`] takes whole, without `std`.
pub const SMALL_LINE: usize = 256;

/// What an inbox keeps its lines in when the app doesn't say.
#[cfg(not(feature = "std"))]
pub type DefaultRoom = [u8; SMALL_LINE];
/// What an inbox keeps its lines in when the app doesn't say.
#[cfg(feature = "std")]
pub type DefaultRoom = alloc::vec::Vec<u8>;

/// Reading standard input failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error;

impl Error {
    const TEXT: &str = "reading standard input failed";
}

impl Show for Error {
    fn show(&self, line: &mut Line) {
        line.text(Self::TEXT);
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::TEXT)
    }
}

impl core::error::Error for Error {}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// What [`Inbox::receive_within`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'a> {
    /// A line.
    Incoming(Incoming<'a>),
    /// No line in the given time.
    Nothing,
    /// Nothing more will come.
    Closed,
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError<'a> {
    /// The supervisor said no: the text after `error: `.
    Refused(&'a str),
    /// Nobody answered within [`REQUEST_LIMIT`].
    TimedOut,
    /// Standard input ended: there is no supervisor, or `stdio = true` is missing in `vyoma.toml`.
    Closed,
    /// Reading failed.
    Failed(Error),
}

impl RequestError<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Refused(why) => why,
            // Of REQUEST_LIMIT.
            Self::TimedOut => "no answer from a supervisor in 5 s",
            Self::Closed => "standard input is closed: no supervisor to ask",
            Self::Failed(_) => Error::TEXT,
        }
    }
}

impl Show for RequestError<'_> {
    fn show(&self, line: &mut Line) {
        line.text(self.text());
    }
}

impl fmt::Display for RequestError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for RequestError<'_> {}

/// Reads lines and asks the supervisor.
#[derive(Debug)]
pub struct Inbox<S = StandardInput, R = DefaultRoom> {
    source: S,
    room: R,
    /// Bytes of `room` that hold what was read: whole lines, then perhaps the beginning of one.
    used: usize,
    /// The line that was handed out last, with its line end; the next call forgets it.
    given: (usize, usize),
    /// Answers still to come for requests that gave up waiting: they answer nobody.
    owed: usize,
    /// Inside a line that was too long: drop up to the next line end.
    skipping: bool,
    closed: bool,
}

impl Inbox {
    /// Listens to standard input. Lines of more than [`SMALL_LINE`] bytes are cut there; with the feature `std`, those of
    /// more than [`MAX_LINE`](crate::MAX_LINE).
    #[must_use]
    pub fn open() -> Self {
        Self::over(StandardInput, room::default())
    }
}

/// An inbox whose room grows with its lines.
pub type GrowingInbox = Inbox<StandardInput, alloc::vec::Vec<u8>>;

impl GrowingInbox {
    /// Listens to standard input and takes lines of up to [`MAX_LINE`](crate::MAX_LINE) bytes, as far as the app's heap allows.
    #[must_use]
    pub fn growing() -> Self {
        Self::over(StandardInput, alloc::vec::Vec::new())
    }
}

/// What reading one line came to.
enum Outcome {
    /// It ends there (exclusive), and its line end too.
    Line(usize, usize),
    Nothing,
    Closed,
}

impl<S: Source, R: Room> Inbox<S, R> {
    /// Listens to `source` and keeps its lines in `room`: `Inbox::over(StandardInput, [0; 1024])` takes lines of 1 KiB.
    pub fn over(source: S, room: R) -> Self {
        Self {
            source,
            room,
            used: 0,
            given: (0, 0),
            owed: 0,
            skipping: false,
            closed: false,
        }
    }

    /// The next line, as long as it takes; `None` when nothing more will come.
    pub fn receive(&mut self) -> Result<Option<Incoming<'_>>, Error> {
        Ok(match self.next(None)? {
            Received::Incoming(incoming) => Some(incoming),
            Received::Nothing | Received::Closed => None,
        })
    }

    /// The next line, if one comes within `limit`.
    pub fn receive_within(&mut self, limit: Duration) -> Result<Received<'_>, Error> {
        self.next(Some(Instant::now() + limit))
    }

    /// The next line, if one comes before `deadline`.
    pub fn receive_until(&mut self, deadline: Instant) -> Result<Received<'_>, Error> {
        self.next(Some(deadline))
    }

    /// Asks the supervisor, such as `platform` or `list`, and waits for the answer.
    ///
    /// Lines that come in between are kept and handed out later; when there is no room for more, the oldest are dropped. Answers
    /// carry no name: don't print `@supervisor:` by hand and use this too.
    pub fn request(&mut self, request: &str) -> Result<&str, RequestError<'_>> {
        crate::send!("supervisor", "{request}");
        self.answer(Instant::now() + REQUEST_LIMIT)
    }

    fn answer(&mut self, deadline: Instant) -> Result<&str, RequestError<'_>> {
        let (from, to) = self.find_answer(deadline)?;
        let Incoming::Reply(payload) = Incoming::parse(self.text(from, to)) else {
            return Err(RequestError::Closed);
        };
        match payload.strip_prefix("error: ") {
            Some(why) => Err(RequestError::Refused(why)),
            None => Ok(payload),
        }
    }

    /// Where the answer stands.
    fn find_answer(&mut self, deadline: Instant) -> Result<(usize, usize), RequestError<'static>> {
        self.forget();
        let mut from = 0;
        loop {
            match self.line(&mut from, Some(deadline)) {
                Ok(Outcome::Line(end, next)) => {
                    if !self.is_reply(from) {
                        from = next;
                        continue;
                    }
                    self.given = (from, next);
                    if self.owed == 0 {
                        return Ok((from, end));
                    }
                    self.owed -= 1;
                    self.forget();
                }
                Ok(Outcome::Nothing) => {
                    self.owed += 1;
                    return Err(RequestError::TimedOut);
                }
                Ok(Outcome::Closed) => return Err(RequestError::Closed),
                Err(error) => return Err(RequestError::Failed(error)),
            }
        }
    }

    fn next(&mut self, deadline: Option<Instant>) -> Result<Received<'_>, Error> {
        loop {
            self.forget();
            match self.line(&mut 0, deadline)? {
                Outcome::Nothing => return Ok(Received::Nothing),
                Outcome::Closed => return Ok(Received::Closed),
                Outcome::Line(end, next) => {
                    self.given = (0, next);
                    if self.owed > 0 && self.is_reply(0) {
                        self.owed -= 1;
                        continue;
                    }
                    return Ok(Received::Incoming(Incoming::parse(self.text(0, end))));
                }
            }
        }
    }

    /// Whether a whole line has been read that wasn't handed out.
    pub(crate) fn has_line(&self) -> bool {
        let (from, to) = self.given;
        let read = self.room.as_bytes().get(..self.used).unwrap_or_default();
        let mut waiting = read
            .iter()
            .enumerate()
            .filter(|(at, _)| *at < from || *at >= to);
        waiting.any(|(_, byte)| *byte == b'\n')
    }

    fn is_reply(&mut self, from: usize) -> bool {
        let bytes = self.room.bytes().get(from..).unwrap_or_default();
        bytes.starts_with(b"REPLY:")
    }

    /// Those bytes as text.
    fn text(&mut self, from: usize, to: usize) -> &str {
        text::of(self.room.bytes().get_mut(from..to).unwrap_or_default())
    }

    /// Forgets the line that was handed out last.
    fn forget(&mut self) {
        let (from, to) = core::mem::take(&mut self.given);
        room::remove(self.room.bytes(), from, to);
        self.used -= to - from;
    }

    /// Finds or reads the line that begins at `from`; that moves when lines before it have to go.
    fn line(&mut self, from: &mut usize, deadline: Option<Instant>) -> Result<Outcome, Error> {
        loop {
            let bytes = self.room.bytes();
            let read = bytes.get(*from..self.used).unwrap_or_default();
            if let Some(length) = read.iter().position(|byte| *byte == b'\n') {
                let end = *from + length;
                if !core::mem::take(&mut self.skipping) {
                    return Ok(Outcome::Line(end, end + 1));
                }
                self.given = (*from, end + 1);
                self.forget();
                continue;
            }
            if self.skipping {
                self.used = *from;
            }
            if self.closed {
                // A last line without its line end counts too.
                let rest = self.used;
                return Ok(if rest > *from {
                    Outcome::Line(rest, rest)
                } else {
                    Outcome::Closed
                });
            }
            if self.used == self.room.bytes().len() && !self.room.grow() {
                if *from == 0 {
                    // Longer than there is room: cut.
                    self.skipping = true;
                    return Ok(Outcome::Line(self.used, self.used));
                }
                // The oldest line makes room.
                let bytes = self.room.bytes();
                let oldest = bytes
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(*from, |end| end + 1);
                self.given = (0, oldest);
                self.forget();
                *from -= oldest;
            }
            let free = self.room.bytes().get_mut(self.used..).unwrap_or_default();
            match self.source.read(free, deadline) {
                Read::Bytes(count) => self.used += count,
                Read::TimedOut => return Ok(Outcome::Nothing),
                Read::Closed => self.closed = true,
                Read::Failed => return Err(Error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
