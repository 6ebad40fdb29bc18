//! A device behind SSH: the system's `ssh` program is started for the one command `vyoma-control` there, and frames go over its
//! standard input and output. So whatever works for ssh works here: agents, keys, jump hosts, `~/.ssh/config`,
//! `known_hosts`, and its questions, which it asks on the terminal itself.
//!
//! What it says when it fails is read, and told with what to do about it.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vyoma_capabilities::control::{Request, Response};

use super::socket::Socket;
use super::transport::{ManifestForm, Transport, plain};
use crate::exit::{Exit, Failure};
use crate::target::Remote;

mod explain;
mod identities;

use identities::identities;

/// What is asked for at the other end. An SSH server with a forced command runs that instead.
const COMMAND: &str = "vyoma-control";
/// For the connection itself, unless `--timeout` says something else.
const CONNECT: Duration = Duration::from_secs(10);
/// A device that has gone is noticed after three of these, also while nothing is said.
const ALIVE: &str = "ServerAliveInterval=15";
/// Most that is kept of what ssh says; its end tells why.
const SAID: usize = 16 * 1024;
/// For ssh to end by itself: after we hang up, and after it has closed its side.
const ENDING: Duration = Duration::from_millis(500);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(2);

/// A connection.
pub(super) struct Ssh {
    socket: Option<Socket>,
    child: Child,
    remote: Remote,
    said: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

/// Whether ssh can ask a question: it does so on the terminal of the process, wherever its input comes from.
pub(super) fn can_ask() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

impl Ssh {
    /// Starts ssh. That it connects and is let in shows when the device answers.
    pub(super) fn open(remote: &Remote, timeout: Option<Duration>) -> Result<Self, Failure> {
        let local = |what: &str, error: &io::Error| {
            Failure::new(Exit::Local, format!("{what}: {}", plain(error)))
        };
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| local("cannot make a socket", &error))?;
        ours.set_nonblocking(true)
            .map_err(|error| local("cannot make a socket", &error))?;
        let output = theirs
            .try_clone()
            .map_err(|error| local("cannot make a socket", &error))?;
        let mut child = command(remote, timeout)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Failure::new(
                    Exit::Local,
                    format!(
                        "{remote}: no program `ssh` in PATH; install it (in Debian: apt install openssh-client)"
                    ),
                ),
                _ => local(&format!("{remote}: cannot run ssh"), &error),
            })?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stderr.take().map(|stderr| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || listen(stderr, &said))
        });
        Ok(Self {
            socket: Some(Socket::over(ours, remote.to_string())),
            child,
            remote: remote.clone(),
            said,
            reader,
        })
    }

    fn socket(&mut self) -> Result<&mut Socket, Failure> {
        self.socket
            .as_mut()
            .ok_or_else(|| Failure::new(Exit::Lost, "the connection has ended; try again"))
    }

    /// A failure of the line in the words of ssh, if that has ended or is about to: then it knows why.
    fn told(&mut self, failure: Failure) -> Failure {
        match failure.exit() {
            Exit::Lost => {}
            // Whatever it waited for: its last words may be about that.
            Exit::Timeout => {
                let _ = self.child.kill();
            }
            _ => return failure,
        }
        self.ends();
        // What it has started itself may hold its error output open for longer: that is not waited for.
        let deadline = Instant::now() + ENDING;
        while self
            .reader
            .as_ref()
            .is_some_and(|reader| !reader.is_finished())
            && Instant::now() < deadline
        {
            std::thread::sleep(LOOK);
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        explain::explain(&self.remote, &String::from_utf8_lossy(&said)).unwrap_or(failure)
    }

    /// Waits a little for its end, and makes it end then.
    fn ends(&mut self) {
        let deadline = Instant::now() + ENDING;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // The end of its input is what ends it in order, and whatever it has started itself.
        self.socket = None;
        self.ends();
    }
}

/// The ssh that leads there.
fn command(remote: &Remote, timeout: Option<Duration>) -> Command {
    let connect = timeout.unwrap_or(CONNECT).as_secs().max(1);
    let mut ssh = Command::new("ssh");
    // Messages in one language: they are read.
    ssh.env("LC_ALL", "C");
    // No terminal, no forwarding of anything, nothing shared with another connection (a device serves one command on each).
    ssh.args(["-T", "-x", "-a", "-e", "none"]);
    for option in [
        "ClearAllForwardings=yes",
        "ControlMaster=no",
        "ControlPath=none",
        "RemoteCommand=none",
        "LogLevel=ERROR",
        ALIVE,
        &format!("ConnectTimeout={connect}"),
    ] {
        ssh.args(["-o", option]);
    }
    if remote.batch || !can_ask() {
        ssh.args(["-o", "BatchMode=yes"]);
    }
    for option in &remote.options {
        ssh.args(["-o", option]);
    }
    if let Some(port) = remote.port {
        ssh.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &remote.user {
        ssh.args(["-l", user]);
    }
    ssh.args(["--", &remote.host, COMMAND]);
    ssh
}

/// Keeps the end of what ssh says.
fn listen(mut stderr: ChildStderr, said: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1024];
    loop {
        match stderr.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.extend_from_slice(&buffer[..count]);
                let excess = said.len().saturating_sub(SAID);
                said.drain(..excess);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

impl Transport for Ssh {
    fn send(&mut self, request: &Request, deadline: Instant) -> Result<bool, Failure> {
        let done = self.socket()?.send(request, deadline);
        done.map_err(|failure| self.told(failure))
    }

    fn upload(&mut self, bytes: &[u8], deadline: Instant) -> Result<bool, Failure> {
        let done = self.socket()?.upload(bytes, deadline);
        done.map_err(|failure| self.told(failure))
    }

    fn chunk(&self) -> usize {
        self.socket.as_ref().map_or(1, Transport::chunk)
    }

    fn answer(&mut self, deadline: Instant) -> Result<Response, Failure> {
        let answer = self.socket()?.answer(deadline);
        answer.map_err(|failure| self.told(failure))
    }

    fn stir(&mut self) -> Result<bool, Failure> {
        let stirred = self.socket()?.stir();
        stirred.map_err(|failure| self.told(failure))
    }

    fn has_more(&self) -> bool {
        self.socket.as_ref().is_some_and(Transport::has_more)
    }

    fn place(&self) -> String {
        self.remote.to_string()
    }

    fn manifest_form(&self) -> ManifestForm {
        ManifestForm::Text
    }

    fn garbage(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Protocol,
            format!(
                "{}: the other side {what}; check that it is a device, or that its SSH server has `vyomad control` as the forced command of this key",
                self.remote
            ),
        )
    }
}
