//! The conversation with a device, client side: it is greeted, asked, and its answers are taken. What answers mean is the
//! commands' business; how they travel is a [`Transport`]'s.
//!
//! Nothing here waits without a deadline unless it is told to, and nothing that the device sends is believed: what is
//! too long, can't be read or has no place in the conversation ends it.

use std::time::{Duration, Instant};

use vyoma_capabilities::control::{DeviceInfo, PROTOCOL, Request, Response};

use crate::exit::{Exit, Failure};
use crate::target::Target;

mod port;
mod serial;
mod socket;
mod ssh;
mod transport;

pub(crate) use transport::{ManifestForm, plain};

use serial::Serial;
use socket::Socket;
use ssh::Ssh;
use transport::Transport;

/// For everything that a device answers at once. It may be an emulated one, on a machine that does other things.
const PROMPT: Duration = Duration::from_secs(10);
/// For what waits until apps have ended: an app has 3 s of grace, and 200 of them may be told at once.
const ENDING: Duration = Duration::from_mins(1);
/// For an install: the device compiles the component, which takes an emulated ARM board a minute or two for the largest.
const COMPILING: Duration = Duration::from_mins(5);

/// For a log-in by SSH where nobody can be asked anything: emulated devices take some seconds for it.
const LOG_IN: Duration = Duration::from_secs(30);
/// For one where somebody may have to read a fingerprint, or to type a passphrase.
const LOG_IN_BY_HAND: Duration = Duration::from_mins(3);

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// Somebody has to be let in first.
    LogIn,
    /// The device only has to look.
    Prompt,
    /// Apps have to end first.
    Ending,
    /// A component has to be compiled first.
    Compiling,
}

/// A connection that has been greeted.
pub(crate) struct Client {
    line: Box<dyn Transport>,
    timeout: Option<Duration>,
    /// Name of the device's profile.
    pub(crate) platform: String,
    /// Version of the device's daemon or firmware.
    pub(crate) version: String,
}

impl Client {
    /// Connects and exchanges greetings. `timeout` stands in for every built-in limit.
    pub(crate) fn open(target: &Target, timeout: Option<Duration>) -> Result<Self, Failure> {
        let deadline = Instant::now() + timeout.unwrap_or(PROMPT);
        let line: Box<dyn Transport> = match target {
            Target::Socket(path) => Box::new(Socket::open(path, deadline)?),
            Target::Serial { port, baud } => Box::new(Serial::open(port, *baud, deadline)?),
            Target::Ssh(remote) => Box::new(Ssh::open(remote, timeout)?),
        };
        let patience = match target {
            Target::Ssh(_) => Patience::LogIn,
            _ => Patience::Prompt,
        };
        let mut client = Self {
            line,
            timeout,
            platform: String::new(),
            version: String::new(),
        };
        // Not `call`, whose patience for sending is that of a line which is up.
        client.line.send(
            &Request::Hello { protocol: PROTOCOL },
            client.deadline(patience),
        )?;
        match client.answer(patience)? {
            Response::Hello {
                protocol,
                version,
                platform,
            } => {
                if protocol != PROTOCOL {
                    return Err(Failure::new(
                        Exit::Protocol,
                        format!(
                            "{}: the device (version {version}) speaks protocol {protocol}, this vyomactl {PROTOCOL}; use the vyomactl of the device's version",
                            client.place()
                        ),
                    ));
                }
                client.platform = platform;
                client.version = version;
                Ok(client)
            }
            other => Err(client.unexpected(&other)),
        }
    }

    /// The device's socket or port, for questions.
    pub(crate) fn place(&self) -> String {
        self.line.place()
    }

    /// How the device takes manifests.
    pub(crate) fn manifest_form(&self) -> ManifestForm {
        self.line.manifest_form()
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

    /// The device itself.
    pub(crate) fn info(&mut self) -> Result<DeviceInfo, Failure> {
        match self.call(&Request::Info, Patience::Prompt)? {
            Response::Info(info) => Ok(info),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Asks, without waiting for the answer.
    pub(crate) fn send(&mut self, request: &Request) -> Result<(), Failure> {
        let deadline = self.deadline(Patience::Prompt);
        if self.line.send(request, deadline)? {
            return Ok(());
        }
        // The device spoke or hung up before it had read the request: what it says tells why.
        self.answer(Patience::Prompt)
            .and_then(|response| Err(self.unexpected(&response)))
    }

    /// Sends a component's bytes; `progress` is told how many have been sent. False: it ended early, because the device has already
    /// answered (then it has refused) or hung up; what it said is left to be read.
    pub(crate) fn upload(
        &mut self,
        bytes: &[u8],
        mut progress: impl FnMut(usize),
    ) -> Result<bool, Failure> {
        let mut sent = 0;
        for chunk in bytes.chunks(self.line.chunk()) {
            let deadline = self.deadline(Patience::Prompt);
            if !self.line.upload(chunk, deadline)? {
                return Ok(false);
            }
            sent += chunk.len();
            progress(sent);
        }
        Ok(true)
    }

    /// The next answer, at the latest when the time is over.
    pub(crate) fn answer(&mut self, patience: Patience) -> Result<Response, Failure> {
        let deadline = self.deadline(patience);
        match self.line.answer(deadline)? {
            Response::Error(error) => Err(error.into()),
            response => Ok(response),
        }
    }

    /// The next message of a stream, however long it takes to begin; `None` when nobody reads our output any more.
    pub(crate) fn next(&mut self) -> Result<Option<Response>, Failure> {
        if !self.line.stir()? {
            return Ok(None);
        }
        self.answer(Patience::Prompt).map(Some)
    }

    /// Whether a message has arrived, at least in part.
    pub(crate) fn has_more(&self) -> bool {
        self.line.has_more()
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
            Response::Sim(_) => "Sim",
            Response::Error(_) => "Error",
            Response::Caps(_) => "Caps",
            Response::Diagnosis(_) => "Diagnosis",
            Response::Kept(_) => "Kept",
            Response::Keys(_) => "Keys",
            Response::RolledBack { .. } => "RolledBack",
        };
        self.line
            .garbage(&format!("answered {name}, which does not fit the question"))
    }

    fn deadline(&self, patience: Patience) -> Instant {
        Instant::now()
            + self.timeout.unwrap_or(match patience {
                Patience::LogIn if ssh::can_ask() => LOG_IN_BY_HAND,
                Patience::LogIn => LOG_IN,
                Patience::Prompt => PROMPT,
                Patience::Ending => ENDING,
                Patience::Compiling => COMPILING,
            })
    }
}
