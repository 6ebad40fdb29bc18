//! One client from its connection to its end: read a request, write a response, read what is left, close.
//!
//! ```text
//! Reading --whole request or a bad one--> Writing --all sent--> Draining --client closed--> gone
//!    any state --deadline or error--> gone
//! ```

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use vyoma::ready::Wait;

use crate::request::{self, MAX_HEAD, Parsed, Request};
use crate::response;

/// For the whole request, however many pieces it comes in: a client that sends a byte now and then can't stay.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// For the whole response.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// For the client to close. Closing first with unread input would reset the connection and may lose the response.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// Most bytes that are read and thrown away while draining.
const MAX_DRAINED: usize = 64 * 1024;

/// Makes the response to a request.
type Respond<'a> = dyn FnMut(Request, Instant) -> Vec<u8> + 'a;

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    state: State,
    /// When the client is dropped unless its state has changed.
    pub(crate) deadline: Instant,
}

#[derive(Debug)]
enum State {
    Reading { head: Vec<u8> },
    Writing { response: Vec<u8>, sent: usize },
    Draining { dropped: usize },
}

impl Connection {
    /// `None` when the client is gone already.
    pub(crate) fn new(stream: TcpStream, now: Instant) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Self {
            stream,
            state: State::Reading { head: Vec::new() },
            deadline: now + READ_LIMIT,
        })
    }

    /// What it waits for.
    pub(crate) fn wait(&self) -> Wait {
        match self.state {
            State::Reading { .. } | State::Draining { .. } => {
                Wait::to_read(&self.stream.as_raw_fd())
            }
            State::Writing { .. } => Wait::to_write(&self.stream.as_raw_fd()),
        }
    }

    /// Does what can be done without waiting; false when the connection is over.
    pub(crate) fn proceed(&mut self, now: Instant, respond: &mut Respond<'_>) -> bool {
        match self.step(now, respond) {
            Ok(goes_on) => goes_on,
            Err(error) => matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        }
    }

    fn step(&mut self, now: Instant, respond: &mut Respond<'_>) -> io::Result<bool> {
        let mut chunk = [0; 1024];
        match &mut self.state {
            State::Reading { head } => {
                let room = chunk.len().min(MAX_HEAD - head.len());
                let count = self.stream.read(&mut chunk[..room])?;
                if count == 0 {
                    return Ok(false);
                }
                head.extend_from_slice(&chunk[..count]);
                let response = match request::parse(head) {
                    Parsed::Incomplete => return Ok(true),
                    Parsed::Request(request) => respond(request, now),
                    Parsed::Bad(status) => response::refuse(status),
                };
                self.deadline = now + WRITE_LIMIT;
                self.state = State::Writing { response, sent: 0 };
            }
            State::Writing { response, sent } => {
                *sent += self.stream.write(&response[*sent..])?;
                if *sent == response.len() {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.deadline = now + DRAIN_LIMIT;
                    self.state = State::Draining { dropped: 0 };
                }
            }
            State::Draining { dropped } => {
                let count = self.stream.read(&mut chunk)?;
                *dropped += count;
                return Ok(count > 0 && *dropped <= MAX_DRAINED);
            }
        }
        Ok(true)
    }
}
