//! The connection to a device: frames over a Unix socket (docs/architecture.md, "Control protocol"), client side.
//!
//! Nothing here waits without a deadline unless it is told to, and nothing that the device sends is believed: a frame that is
//! too long, is no JSON or has no place in the conversation ends it. What answers mean is the commands' business.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use vyoma_capabilities::control::{
    FRAME_HEADER, FrameKind, PROTOCOL, Request, Response, decode_header, encode_header,
};

use crate::exit::{Exit, Failure};

/// For everything that a device answers at once. It may be an emulated one, on a machine that does other things.
const PROMPT: Duration = Duration::from_secs(10);
/// For what waits until apps have ended: an app has 3 s of grace, and 200 of them may be told at once.
const ENDING: Duration = Duration::from_mins(1);
/// For an install: the device compiles the component, which takes an emulated ARM board a minute or two for the largest.
const COMPILING: Duration = Duration::from_mins(5);
/// Bytes of a component in one frame: half of what a frame may hold, so that progress shows and no buffer is large.
const CHUNK: usize = 128 * 1024;
/// Pause before a full queue of connections is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Where a device is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target(PathBuf);

impl Target {
    /// Reads `unix:///PATH` or a bare path.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let path = match text.split_once("://") {
            Some(("unix", path)) => path,
            Some((scheme @ ("ssh" | "serial"), _)) => {
                return Err(Failure::new(
                    Exit::Usage,
                    format!(
                        "target {text}: {scheme}:// is not in this version; use unix:///PATH of a control socket"
                    ),
                ));
            }
            Some((scheme, _)) => {
                return Err(Failure::new(
                    Exit::Usage,
                    format!(
                        "target {text}: unknown scheme {scheme}://; use unix:///PATH of a control socket"
                    ),
                ));
            }
            None => text,
        };
        if path.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "target {text:?}: no path; use unix:///PATH of a control socket, in --target or VYOMA_TARGET"
                ),
            ));
        }
        Ok(Self(PathBuf::from(path)))
    }
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// The device only has to look.
    Prompt,
    /// Apps have to end first.
    Ending,
    /// A component has to be compiled first.
    Compiling,
}

/// A connection that has been greeted.
#[derive(Debug)]
pub(crate) struct Client {
    socket: UnixStream,
    target: PathBuf,
    timeout: Option<Duration>,
    /// Received and not yet taken; never more than one read beyond the frame that is being waited for.
    received: Vec<u8>,
    /// Name of the device's profile.
    pub(crate) platform: String,
}

impl Client {
    /// Connects and exchanges greetings. `timeout` stands in for every built-in limit.
    pub(crate) fn open(target: &Target, timeout: Option<Duration>) -> Result<Self, Failure> {
        let deadline = Instant::now() + timeout.unwrap_or(PROMPT);
        let socket = dial(target, deadline)?;
        let mut client = Self {
            socket,
            target: target.0.clone(),
            timeout,
            received: Vec::new(),
            platform: String::new(),
        };
        match client.call(&Request::Hello { protocol: PROTOCOL }, Patience::Prompt)? {
            Response::Hello {
                protocol,
                version,
                platform,
            } => {
                if protocol != PROTOCOL {
                    return Err(Failure::new(
                        Exit::Protocol,
                        format!(
                            "{}: the device (vyomad {version}) speaks protocol {protocol}, this vyomactl {PROTOCOL}; use the vyomactl of the device's version",
                            client.target.display()
                        ),
                    ));
                }
                client.platform = platform;
                Ok(client)
            }
            other => Err(client.unexpected(&other)),
        }
    }

    /// The device's socket, for questions.
    pub(crate) fn place(&self) -> String {
        self.target.display().to_string()
    }

    /// Asks, and waits for the one answer. A refusal is a failure.
    pub(crate) fn call(
        &mut self,
        request: &Request,
        patience: Patience,
    ) -> Result<Response, Failure> {
        self.send(request)?;
        self.answer(patience)
    }

    /// Asks for something that has no answer but [`Response::Done`].
    pub(crate) fn command(&mut self, request: &Request, patience: Patience) -> Result<(), Failure> {
        match self.call(request, patience)? {
            Response::Done => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Asks, without waiting.
    pub(crate) fn send(&mut self, request: &Request) -> Result<(), Failure> {
        let body = serde_json::to_vec(request).map_err(|error| {
            Failure::new(Exit::Local, format!("cannot encode the request: {error}"))
        })?;
        let deadline = self.deadline(Patience::Prompt);
        if self.write_frame(FrameKind::Json, &body, deadline)? {
            return Ok(());
        }
        // The device spoke or hung up before it had read the request: what it says tells why.
        self.answer(Patience::Prompt)
            .and_then(|response| Err(self.unexpected(&response)))
    }

    /// Sends a component's bytes; `progress` is told how many have been sent. Ends early when the device has already answered
    /// (then it has refused), and leaves that answer to be read.
    pub(crate) fn upload(
        &mut self,
        bytes: &[u8],
        mut progress: impl FnMut(usize),
    ) -> Result<(), Failure> {
        let mut sent = 0;
        for chunk in bytes.chunks(CHUNK) {
            let deadline = self.deadline(Patience::Prompt);
            if !self.write_frame(FrameKind::Bytes, chunk, deadline)? {
                return Ok(());
            }
            sent += chunk.len();
            progress(sent);
        }
        Ok(())
    }

    /// The next answer, at the latest when the time is over.
    pub(crate) fn answer(&mut self, patience: Patience) -> Result<Response, Failure> {
        let deadline = self.deadline(patience);
        self.response(deadline)
    }

    /// The next message of a stream, however long it takes to begin; `None` when nobody reads our output any more.
    pub(crate) fn next(&mut self) -> Result<Option<Response>, Failure> {
        while self.received.is_empty() {
            if self.wait(PollFlags::IN, None, true)?.is_none() {
                return Ok(None);
            }
            self.fill()?;
        }
        self.answer(Patience::Prompt).map(Some)
    }

    /// Whether a message has arrived, at least in part.
    pub(crate) fn has_more(&self) -> bool {
        !self.received.is_empty()
    }

    /// An answer that has no place here.
    pub(crate) fn unexpected(&self, response: &Response) -> Failure {
        let name = match response {
            Response::Hello { .. } => "Hello",
            Response::Apps(_) => "Apps",
            Response::LogLine(_) => "LogLine",
            Response::Event(_) => "Event",
            Response::Info(_) => "Info",
            Response::Installed { .. } => "Installed",
            Response::Done => "Done",
            Response::Error(_) => "Error",
        };
        self.garbage(&format!("answered {name}, which does not fit the question"))
    }

    fn response(&mut self, deadline: Instant) -> Result<Response, Failure> {
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
        match response {
            Ok(Response::Error(error)) => Err(error.into()),
            Ok(response) => Ok(response),
            Err(error) => {
                Err(self.garbage(&format!("sent an answer that can't be read ({error})")))
            }
        }
    }

    /// Waits until `wanted` bytes have been received.
    fn receive(&mut self, wanted: usize, deadline: Instant) -> Result<(), Failure> {
        while self.received.len() < wanted {
            self.wait(PollFlags::IN, Some(deadline), false)?;
            self.fill()?;
        }
        Ok(())
    }

    /// Takes what is there.
    fn fill(&mut self) -> Result<(), Failure> {
        // 16 KiB: dozens of log lines in one call, and no burden for the stack.
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
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
                let ready = self.wait(PollFlags::IN | PollFlags::OUT, Some(deadline), false)?;
                if ready.is_some_and(|flags| flags.contains(PollFlags::IN)) {
                    return Ok(false);
                }
                match self.socket.write(part) {
                    Ok(count) => part = &part[count..],
                    Err(error) if is_passing(&error) => {}
                    // What it said before it hung up is still to be read; if it said nothing, that will show.
                    Err(_) => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Waits until the socket is ready. With `watch_output`, `None` when the reader of our output has gone.
    fn wait(
        &self,
        interest: PollFlags,
        deadline: Option<Instant>,
        watch_output: bool,
    ) -> Result<Option<PollFlags>, Failure> {
        let stdout = io::stdout();
        loop {
            let left = match deadline {
                None => None,
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(self.timed_out());
                    }
                    Some(Timespec {
                        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                        tv_nsec: i64::from(left.subsec_nanos()),
                    })
                }
            };
            let mut watched = [
                PollFd::new(&self.socket, interest),
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
                return Ok(None);
            }
            let ready = watched[0].revents();
            if !ready.is_empty() {
                return Ok(Some(ready));
            }
        }
    }

    fn deadline(&self, patience: Patience) -> Instant {
        Instant::now()
            + self.timeout.unwrap_or(match patience {
                Patience::Prompt => PROMPT,
                Patience::Ending => ENDING,
                Patience::Compiling => COMPILING,
            })
    }

    fn garbage(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Protocol,
            format!(
                "{}: the other side {what}; check that this is the control socket of a vyomad of this version",
                self.target.display()
            ),
        )
    }

    fn lost(&self) -> Failure {
        Failure::new(
            Exit::Lost,
            format!(
                "{}: the device hung up before it had answered; look at `vyomactl info` and `vyomactl events`",
                self.target.display()
            ),
        )
    }

    fn timed_out(&self) -> Failure {
        Failure::new(
            Exit::Timeout,
            format!(
                "{}: no answer in time; try again, or wait longer with --timeout SECS",
                self.target.display()
            ),
        )
    }
}

/// Connects without ever hanging: a full queue of connections is tried again until the deadline.
fn dial(target: &Target, deadline: Instant) -> Result<UnixStream, Failure> {
    let Target(path) = target;
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
    let address = SocketAddrUnix::new(path.as_path()).map_err(|error| unreachable(error.into()))?;
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

/// `No such file or directory` without ` (os error 2)`: the number helps nobody here.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_unix_address_or_a_bare_path() {
        for text in ["unix:///run/x.sock", "/run/x.sock"] {
            assert_eq!(
                Target::parse(text).expect(text),
                Target(PathBuf::from("/run/x.sock"))
            );
        }
        assert_eq!(
            Target::parse("unix://state/control.sock").expect("relative"),
            Target(PathBuf::from("state/control.sock"))
        );
    }

    #[test]
    fn targets_of_later_versions_and_slips_are_told_apart() {
        for (text, said) in [
            ("ssh://root@device", "not in this version"),
            ("serial:///dev/ttyACM0", "not in this version"),
            ("http://x", "unknown scheme"),
            ("unix://", "no path"),
            ("", "no path"),
        ] {
            let failure = Target::parse(text).expect_err(text);
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(failure.message().contains(said), "{}", failure.message());
        }
    }
}
