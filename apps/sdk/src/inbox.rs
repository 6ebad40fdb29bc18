//! Standard input as an app sees it: lines, answers to requests, and a limit in time when one is wanted.
//!
//! It buffers by itself, so an app that has an [`Inbox`] should not read `std::io::stdin` beside it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::ready::{self, Wait};
use crate::{Incoming, MAX_LINE, outgoing};

/// How long a request waits for its answer. The supervisor answers at once unless it resolves a name or fetches a
/// page; past this there is none (the app runs outside Vyoma, say in a terminal).
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Most lines that are kept while a request waits for its answer; after that the oldest is dropped.
pub const MAX_KEPT: usize = 64;

/// Bytes taken from standard input at once: small, since the whole app may live in one page of memory.
const CHUNK: usize = 512;

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
#[derive(Debug)]
pub enum RequestError {
    /// The supervisor said no: the text after `error: `.
    Refused(String),
    /// Nobody answered within [`REQUEST_LIMIT`].
    TimedOut,
    /// Standard input ended: there is no supervisor, or `stdio = true` is missing in `vyoma.toml`.
    Closed,
    /// Reading failed.
    Io(io::Error),
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::TimedOut => write!(
                f,
                "no answer from a supervisor in {} s",
                REQUEST_LIMIT.as_secs()
            ),
            Self::Closed => f.write_str("standard input is closed: no supervisor to ask"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}

/// Reads lines and asks the supervisor.
#[derive(Debug)]
pub struct Inbox<R = StandardInput> {
    source: R,
    /// Bytes read and not yet handed out; never more than a line and a chunk.
    bytes: Vec<u8>,
    /// The line that the last call handed out.
    line: String,
    /// Lines that came while a request waited.
    kept: VecDeque<String>,
    /// Answers still to come for requests that gave up waiting: they answer nobody.
    owed: usize,
    /// Inside a line that was longer than [`MAX_LINE`]: drop up to the next newline.
    skipping: bool,
    closed: bool,
}

impl Inbox {
    /// Listens to standard input.
    pub fn open() -> Self {
        Self::over(StandardInput::default())
    }
}

impl<R: Read + AsRawFd> Inbox<R> {
    /// Listens to something else that carries the same lines.
    pub fn over(source: R) -> Self {
        Self {
            source,
            bytes: Vec::new(),
            line: String::new(),
            kept: VecDeque::new(),
            owed: 0,
            skipping: false,
            closed: false,
        }
    }

    /// The next line, as long as it takes; `None` when nothing more will come.
    pub fn receive(&mut self) -> io::Result<Option<Incoming<'_>>> {
        Ok(match self.next(None)? {
            Received::Incoming(incoming) => Some(incoming),
            Received::Nothing | Received::Closed => None,
        })
    }

    /// The next line, if one comes within `limit`.
    pub fn receive_within(&mut self, limit: Duration) -> io::Result<Received<'_>> {
        self.next(Some(Instant::now() + limit))
    }

    /// Asks the supervisor, such as `platform` or `list`, and waits for the answer.
    ///
    /// Lines that come in between are kept (at most [`MAX_KEPT`]) and handed out later. Answers carry no name: don't
    /// print `@supervisor:` by hand and use this too.
    pub fn request(&mut self, request: &str) -> Result<String, RequestError> {
        print!("{}", outgoing::message("supervisor", request));
        self.answer(Instant::now() + REQUEST_LIMIT)
    }

    fn answer(&mut self, deadline: Instant) -> Result<String, RequestError> {
        loop {
            match self.read_line(Some(deadline)).map_err(RequestError::Io)? {
                Outcome::Line => {}
                Outcome::Nothing => {
                    self.owed += 1;
                    return Err(RequestError::TimedOut);
                }
                Outcome::Closed => return Err(RequestError::Closed),
            }
            match Incoming::parse(&self.line) {
                Incoming::Reply(_) if self.owed > 0 => self.owed -= 1,
                Incoming::Reply(payload) => {
                    return match payload.strip_prefix("error: ") {
                        Some(why) => Err(RequestError::Refused(why.to_owned())),
                        None => Ok(payload.to_owned()),
                    };
                }
                _ => {
                    if self.kept.len() == MAX_KEPT {
                        self.kept.pop_front();
                    }
                    self.kept.push_back(std::mem::take(&mut self.line));
                }
            }
        }
    }

    fn next(&mut self, deadline: Option<Instant>) -> io::Result<Received<'_>> {
        if let Some(line) = self.kept.pop_front() {
            self.line = line;
            return Ok(Received::Incoming(Incoming::parse(&self.line)));
        }
        loop {
            match self.read_line(deadline)? {
                Outcome::Nothing => return Ok(Received::Nothing),
                Outcome::Closed => return Ok(Received::Closed),
                Outcome::Line if self.owed > 0 && self.line.starts_with("REPLY:") => self.owed -= 1,
                Outcome::Line => break,
            }
        }
        Ok(Received::Incoming(Incoming::parse(&self.line)))
    }

    /// Reads one line into `self.line`. Invalid UTF-8 is replaced.
    fn read_line(&mut self, deadline: Option<Instant>) -> io::Result<Outcome> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let whole = !std::mem::take(&mut self.skipping);
                if whole {
                    self.line = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
                }
                self.bytes.drain(..=end);
                if whole {
                    return Ok(Outcome::Line);
                }
                continue;
            }
            if self.skipping {
                self.bytes.clear();
            } else if self.bytes.len() > MAX_LINE {
                self.line = String::from_utf8_lossy(&self.bytes[..MAX_LINE]).into_owned();
                self.bytes.clear();
                self.skipping = true;
                return Ok(Outcome::Line);
            }
            if self.closed {
                // A last line without its newline counts too.
                if self.bytes.is_empty() {
                    return Ok(Outcome::Closed);
                }
                self.bytes.push(b'\n');
                continue;
            }
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                let mut waits = [Wait::to_read(&self.source)];
                if ready::wait(&mut waits, Some(left))? == 0 {
                    return Ok(Outcome::Nothing);
                }
            }
            let mut chunk = [0; CHUNK];
            match self.source.read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(count) => self.bytes.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What reading one line came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Line,
    Nothing,
    Closed,
}

/// Descriptor 0 without `std`'s buffer, which could hold a line that [`ready::wait`] knows nothing of.
#[derive(Debug)]
pub struct StandardInput(ManuallyDrop<File>);

impl Default for StandardInput {
    fn default() -> Self {
        // SAFETY: descriptor 0 is open as long as the program runs, and `ManuallyDrop` never closes it.
        Self(ManuallyDrop::new(unsafe { File::from_raw_fd(0) }))
    }
}

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl AsRawFd for StandardInput {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn inbox() -> (UnixStream, Inbox<UnixStream>) {
        let (supervisor, app) = UnixStream::pair().expect("a socket pair");
        (supervisor, Inbox::over(app))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn lines_come_in_order_and_a_last_one_needs_no_newline() {
        let (mut supervisor, mut inbox) = inbox();
        supervisor
            .write_all(b"one\n\nVYOMA_SYSTEM:copy\nlast")
            .unwrap();
        drop(supervisor);
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("one")));
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("")));
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::System("copy")));
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("last")));
        assert_eq!(inbox.receive().unwrap(), None);
    }

    #[test]
    fn waiting_ends_when_the_time_is_over() {
        let (mut supervisor, mut inbox) = inbox();
        let limit = Duration::from_millis(10);
        assert_eq!(inbox.receive_within(limit).unwrap(), Received::Nothing);
        supervisor.write_all(b"half").unwrap();
        assert_eq!(inbox.receive_within(limit).unwrap(), Received::Nothing);
        supervisor.write_all(b" whole\n").unwrap();
        assert_eq!(
            inbox.receive_within(limit).unwrap(),
            Received::Incoming(Incoming::Line("half whole"))
        );
        drop(supervisor);
        assert_eq!(inbox.receive_within(limit).unwrap(), Received::Closed);
    }

    #[test]
    fn a_request_keeps_the_lines_that_come_before_its_answer() {
        let (mut supervisor, mut inbox) = inbox();
        supervisor
            .write_all(b"early\nREPLY:iot-edge\nlate\n")
            .unwrap();
        assert_eq!(inbox.answer(soon()).unwrap(), "iot-edge");
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("early")));
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("late")));
    }

    #[test]
    fn a_refused_request_says_why() {
        let (mut supervisor, mut inbox) = inbox();
        supervisor
            .write_all(b"REPLY:error: ps needs capability shell\n")
            .unwrap();
        let error = inbox.answer(soon()).unwrap_err();
        assert_eq!(error.to_string(), "ps needs capability shell");
    }

    #[test]
    fn an_answer_that_comes_too_late_answers_no_other_request() {
        let (mut supervisor, mut inbox) = inbox();
        assert!(matches!(inbox.answer(soon()), Err(RequestError::TimedOut)));
        supervisor.write_all(b"REPLY:late\nREPLY:right\n").unwrap();
        assert_eq!(inbox.answer(soon()).unwrap(), "right");
    }

    #[test]
    fn a_flood_before_the_answer_drops_the_oldest_lines() {
        let (mut supervisor, mut inbox) = inbox();
        for number in 0..MAX_KEPT + 2 {
            writeln!(supervisor, "{number}").unwrap();
        }
        supervisor.write_all(b"REPLY:ok\n").unwrap();
        assert_eq!(inbox.answer(soon()).unwrap(), "ok");
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("2")));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_is_whole() {
        let (mut supervisor, mut inbox) = inbox();
        let writer = std::thread::spawn(move || {
            supervisor.write_all(&vec![b'x'; MAX_LINE * 3]).unwrap();
            supervisor.write_all(b"\nnext\n").unwrap();
        });
        assert_eq!(
            inbox.receive().unwrap(),
            Some(Incoming::Line(&"x".repeat(MAX_LINE)))
        );
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("next")));
        writer.join().unwrap();
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let (mut supervisor, mut inbox) = inbox();
        supervisor.write_all(b"a\xffb\n").unwrap();
        assert_eq!(inbox.receive().unwrap(), Some(Incoming::Line("a\u{fffd}b")));
    }
}
