//! A control socket on this machine: frames over a Unix socket (docs/architecture.md, "Control protocol"). The same frames go
//! over SSH, whose program is at the other end of a socket then.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use vyoma_capabilities::control::{
    FRAME_HEADER, FrameKind, Request, Response, decode_header, encode_header,
};

use super::transport::{ManifestForm, Transport, Waited, is_passing, plain, wait};
use crate::exit::{Exit, Failure};

/// Bytes of a component in one frame: half of what a frame may hold, so that progress shows and no buffer is large.
const CHUNK: usize = 128 * 1024;
/// Pause before a full queue of connections is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// A connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: UnixStream,
    /// For people: a path, or a URL.
    place: String,
    /// Received and not yet taken; never more than one read beyond the frame that is being waited for.
    received: Vec<u8>,
}

impl Socket {
    pub(super) fn open(path: &Path, deadline: Instant) -> Result<Self, Failure> {
        Ok(Self::over(
            dial(path, deadline)?,
            path.display().to_string(),
        ))
    }

    /// Over a stream that leads to a control socket by way of something else. It must not block.
    pub(super) fn over(stream: UnixStream, place: String) -> Self {
        Self {
            stream,
            place,
            received: Vec::new(),
        }
    }

    /// Waits until `wanted` bytes have been received.
    fn receive(&mut self, wanted: usize, deadline: Instant) -> Result<(), Failure> {
        while self.received.len() < wanted {
            self.wait(PollFlags::IN, deadline)?;
            self.fill()?;
        }
        Ok(())
    }

    fn wait(&self, interest: PollFlags, deadline: Instant) -> Result<PollFlags, Failure> {
        match wait(&self.stream, interest, Some(deadline), false)? {
            Waited::Ready(flags) => Ok(flags),
            Waited::TimedOut | Waited::OutputGone => Err(self.timed_out()),
        }
    }

    /// Takes what is there.
    fn fill(&mut self) -> Result<(), Failure> {
        // 16 KiB: dozens of log lines in one call, and no burden for the stack.
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(self.lost()),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if is_passing(&error) => Ok(()),
            Err(_) => Err(self.lost()),
        }
    }

    /// Writes one frame. False when the device has something to say, or has hung up, before it took all of it.
    fn write_frame(
        &mut self,
        kind: FrameKind,
        body: &[u8],
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let header = encode_header(kind, body.len()).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!(
                    "the request is {} bytes, more than a frame holds; shorten it",
                    body.len()
                ),
            )
        })?;
        for mut part in [&header[..], body] {
            while !part.is_empty() {
                let ready = self.wait(PollFlags::IN | PollFlags::OUT, deadline)?;
                if ready.contains(PollFlags::IN) {
                    return Ok(false);
                }
                match self.stream.write(part) {
                    Ok(count) => part = &part[count..],
                    Err(error) if is_passing(&error) => {}
                    // What it said before it hung up is still to be read; if it said nothing, that will show.
                    Err(_) => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    fn lost(&self) -> Failure {
        Failure::new(
            Exit::Lost,
            format!(
                "{}: the device hung up before it had answered; look at `vyomactl info` and `vyomactl events`",
                self.place
            ),
        )
    }

    fn timed_out(&self) -> Failure {
        Failure::new(
            Exit::Timeout,
            format!(
                "{}: no answer in time; try again, or wait longer with --timeout SECS",
                self.place
            ),
        )
    }
}

impl Transport for Socket {
    fn send(&mut self, request: &Request, deadline: Instant) -> Result<bool, Failure> {
        let body = serde_json::to_vec(request).map_err(|error| {
            Failure::new(Exit::Local, format!("cannot encode the request: {error}"))
        })?;
        self.write_frame(FrameKind::Json, &body, deadline)
    }

    fn upload(&mut self, bytes: &[u8], deadline: Instant) -> Result<bool, Failure> {
        self.write_frame(FrameKind::Bytes, bytes, deadline)
    }

    fn chunk(&self) -> usize {
        CHUNK
    }

    fn answer(&mut self, deadline: Instant) -> Result<Response, Failure> {
        self.receive(FRAME_HEADER, deadline)?;
        let mut header = [0; FRAME_HEADER];
        header.copy_from_slice(&self.received[..FRAME_HEADER]);
        let (kind, length) = decode_header(header).map_err(|error| self.garbage(&error.message))?;
        if kind != FrameKind::Json {
            return Err(self.garbage("sent raw bytes where an answer was expected"));
        }
        let end = FRAME_HEADER + length;
        self.receive(end, deadline)?;
        let response = serde_json::from_slice(&self.received[FRAME_HEADER..end]);
        self.received.drain(..end);
        response
            .map_err(|error| self.garbage(&format!("sent an answer that can't be read ({error})")))
    }

    fn stir(&mut self) -> Result<bool, Failure> {
        while self.received.is_empty() {
            if wait(&self.stream, PollFlags::IN, None, true)? == Waited::OutputGone {
                return Ok(false);
            }
            self.fill()?;
        }
        Ok(true)
    }

    fn has_more(&self) -> bool {
        !self.received.is_empty()
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    fn manifest_form(&self) -> ManifestForm {
        ManifestForm::Text
    }

    fn garbage(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Protocol,
            format!(
                "{}: the other side {what}; check that this is the control socket of a vyomad of this version",
                self.place
            ),
        )
    }
}

/// Connects without ever hanging: a full queue of connections is tried again until the deadline.
fn dial(path: &Path, deadline: Instant) -> Result<UnixStream, Failure> {
    let unreachable = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => {
                "start the device or daemon, or name its socket with --target"
            }
            io::ErrorKind::ConnectionRefused => "the daemon behind it has ended: start it again",
            io::ErrorKind::PermissionDenied => "run as a user who may open the socket",
            _ => "check --target and VYOMA_TARGET",
        };
        Failure::new(
            Exit::Unreachable,
            format!(
                "cannot connect to {}: {}; {advice}",
                path.display(),
                plain(&error)
            ),
        )
    };
    let address = SocketAddrUnix::new(path).map_err(|error| unreachable(error.into()))?;
    loop {
        let socket: OwnedFd = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map_err(|error| unreachable(error.into()))?;
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket.into()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)
                if Instant::now() < deadline =>
            {
                std::thread::sleep(RETRY);
            }
            Err(rustix::io::Errno::AGAIN) => {
                return Err(Failure::new(
                    Exit::Timeout,
                    format!(
                        "{}: the device accepts no connection; try again, or wait longer with --timeout SECS",
                        path.display()
                    ),
                ));
            }
            Err(error) => return Err(unreachable(error.into())),
        }
    }
}
