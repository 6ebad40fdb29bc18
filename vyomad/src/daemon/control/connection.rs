//! One connection: frames in, frames out, one request at a time.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use vyoma_capabilities::control::{
    ControlError, ErrorKind, FRAME_HEADER, FrameKind, MAX_FRAME_BODY, MAX_KEPT, PROTOCOL, Request,
    Response, decode_header, encode_header,
};

use super::{diagnose, status, stream};
use crate::daemon::install;
use crate::daemon::operate::{self, refuse};
use crate::daemon::state::Shared;
use crate::daemon::{trial, uploads};
use crate::init::power::PowerAction;

/// For a frame to arrive whole once begun, and for one to be taken by the client.
const FRAME_TIME: Duration = Duration::from_secs(10);

/// For a client to say who it is: without a limit, silent ones would hold all places for ever.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// A client.
pub(crate) struct Connection {
    stream: UnixStream,
}

/// Why the connection is over.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The client hung up, or is too slow.
    Gone,
    /// It sent what can't be followed; it is told, then the connection ends.
    Refused(ControlError),
}

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Serves one client to its end.
pub(crate) async fn serve(daemon: &Shared, stream: UnixStream) -> Result<(), Closed> {
    let mut connection = Connection { stream };
    match requests(daemon, &mut connection).await {
        Err(Closed::Refused(error)) => {
            connection.send(&Response::Error(error)).await?;
            connection.hang_up().await
        }
        other => other,
    }
}

async fn requests(daemon: &Shared, connection: &mut Connection) -> Result<(), Closed> {
    // Before it every other client of the socket could wait for a place in vain.
    let Ok(greeted) = timeout(HELLO_TIME, connection.hello(daemon)).await else {
        let message = format!("found no Hello within {} s", HELLO_TIME.as_secs());
        let error = Response::Error(refuse(ErrorKind::Protocol, message));
        connection.send(&error).await?;
        return Err(Closed::Gone);
    };
    greeted?;
    loop {
        let request = connection.request().await?;
        let response = match request {
            Request::Hello { .. } => {
                return Err(Closed::Refused(refuse(
                    ErrorKind::Protocol,
                    "found a second Hello; expected a request",
                )));
            }
            Request::Ps => Response::Apps(status::apps(daemon).await),
            Request::Info => Response::Info(status::device(daemon)),
            Request::Diagnose { logs } => {
                if logs {
                    diagnose::send(daemon, connection).await?;
                } else {
                    for diagnosis in diagnose::device(daemon) {
                        connection.send(&Response::Diagnosis(diagnosis)).await?;
                    }
                }
                Response::Done
            }
            Request::Caps { app } => operate::find(daemon, &app)
                .map_or_else(Response::Error, |app| {
                    Response::Caps(status::capabilities(&app))
                }),
            Request::Logs {
                app,
                follow,
                since_ms,
                previous,
                tail,
            } => {
                let wanted = stream::Wanted {
                    app,
                    follow,
                    since_ms,
                    previous,
                    tail,
                };
                match stream::logs(daemon, connection, wanted).await? {
                    Ok(()) => Response::Done,
                    Err(error) => Response::Error(error),
                }
            }
            Request::Events { follow } => {
                stream::events(daemon, connection, follow).await?;
                Response::Done
            }
            Request::Install {
                manifest,
                component_size,
                sha256,
                ahead_of_time,
                options,
            } => {
                let announced = install::Announced {
                    manifest,
                    size: component_size,
                    sha256,
                    ahead_of_time,
                    options,
                };
                match install::install(daemon, connection, &announced).await? {
                    Ok(installed) => installed,
                    Err(error) => Response::Error(error),
                }
            }
            Request::InstallCompact { .. } => {
                return Err(Closed::Refused(refuse(
                    ErrorKind::Protocol,
                    "found a manifest in compact form; expected Install with the text of a vyoma.toml",
                )));
            }
            Request::Kept { sha256s } if sha256s.len() <= MAX_KEPT => {
                let kept = sha256s.iter().map(|sha256| uploads::kept(daemon, sha256));
                Response::Kept(kept.collect())
            }
            Request::Kept { sha256s } => Response::Error(refuse(
                ErrorKind::Limit,
                format!(
                    "found {} hashes; expected at most {MAX_KEPT}",
                    sha256s.len()
                ),
            )),
            Request::Keys => Response::Keys(daemon.trust.borrow().list()),
            Request::Trust { name, key } => {
                let trusted = daemon.trust.borrow_mut().trust(&name, &key);
                if trusted.is_ok() {
                    daemon.event(None, "trust", &format!("{name} is trusted: {key}"));
                }
                done(trusted)
            }
            Request::Untrust { key } => {
                let untrusted = daemon.trust.borrow_mut().untrust(&key);
                if untrusted.is_ok() {
                    daemon.event(None, "trust", &format!("{key} is not trusted any more"));
                }
                done(untrusted)
            }
            Request::RequireSignatures { on } => {
                let set = daemon.trust.borrow_mut().require(on);
                if set.is_ok() {
                    let now = if on {
                        "are required"
                    } else {
                        "are not required any more"
                    };
                    daemon.event(None, "trust", &format!("signatures {now}"));
                }
                done(set)
            }
            Request::Rollback { app } => match trial::rollback(daemon, &app).await {
                Ok(done) => done,
                Err(error) => Response::Error(error),
            },
            Request::Sim(request) => match daemon.devices.simulate(&request) {
                Ok(answer) => answer.map_or(Response::Done, Response::Sim),
                Err(error) => Response::Error(error),
            },
            Request::Remove { app, keep_data } => {
                done(operate::remove(daemon, &app, keep_data).await)
            }
            Request::Send { app, text, end } => done(operate::send_text(daemon, &app, &text, end)),
            Request::Start { app } => done(operate::start(daemon, &app)),
            Request::Stop { app } => done(operate::stop(daemon, &app).await),
            Request::Restart { app } => done(operate::restart(daemon, &app)),
            // Answered first: afterwards there may be nobody to answer.
            Request::Shutdown => {
                connection.send(&Response::Done).await?;
                daemon.end(PowerAction::PowerOff);
                continue;
            }
            Request::Reboot => {
                connection.send(&Response::Done).await?;
                daemon.end(PowerAction::Reboot);
                continue;
            }
        };
        connection.send(&response).await?;
    }
}

fn done(outcome: Result<(), ControlError>) -> Response {
    outcome.map_or_else(Response::Error, |()| Response::Done)
}

impl Connection {
    async fn hello(&mut self, daemon: &Shared) -> Result<(), Closed> {
        match self.request().await? {
            Request::Hello { protocol } if protocol == PROTOCOL => {
                let platform = daemon.settings.profile.name.clone();
                let version = env!("CARGO_PKG_VERSION").to_string();
                self.send(&Response::Hello {
                    protocol: PROTOCOL,
                    version,
                    platform,
                })
                .await
            }
            Request::Hello { protocol } => {
                let message = format!(
                    "protocol: found {protocol}; expected {PROTOCOL}; use the vyomactl that belongs to this device"
                );
                Err(Closed::Refused(refuse(ErrorKind::Protocol, message)))
            }
            _ => Err(Closed::Refused(refuse(
                ErrorKind::Protocol,
                "found a request; expected Hello first",
            ))),
        }
    }

    async fn request(&mut self) -> Result<Request, Closed> {
        let (kind, body) = self.frame().await?;
        if kind != FrameKind::Json {
            return Err(Closed::Refused(refuse(
                ErrorKind::Protocol,
                "found a frame of bytes; expected a JSON request",
            )));
        }
        serde_json::from_slice(&body).map_err(|error| {
            Closed::Refused(refuse(
                ErrorKind::Protocol,
                format!("a request that makes no sense: {error}"),
            ))
        })
    }

    /// The next frame. An idle connection may stay; a frame that has begun has to arrive in time.
    pub(crate) async fn frame(&mut self) -> Result<(FrameKind, Vec<u8>), Closed> {
        let mut header = [0; FRAME_HEADER];
        self.stream.read_exact(&mut header[..1]).await?;
        self.rest(header).await
    }

    /// The next frame of an upload, which has to keep coming.
    pub(crate) async fn upload(&mut self) -> Result<Vec<u8>, Closed> {
        let mut header = [0; FRAME_HEADER];
        let first = timeout(FRAME_TIME, self.stream.read_exact(&mut header[..1])).await;
        let stalled = || {
            refuse(
                ErrorKind::Protocol,
                format!("the upload stalled for {} s", FRAME_TIME.as_secs()),
            )
        };
        first.map_err(|_| Closed::Refused(stalled()))??;
        match self.rest(header).await? {
            (FrameKind::Bytes, body) => Ok(body),
            (FrameKind::Json, _) => Err(Closed::Refused(refuse(
                ErrorKind::Protocol,
                "found a message; expected the component's bytes",
            ))),
        }
    }

    async fn rest(
        &mut self,
        mut header: [u8; FRAME_HEADER],
    ) -> Result<(FrameKind, Vec<u8>), Closed> {
        let reading = async {
            self.stream.read_exact(&mut header[1..]).await?;
            let (kind, length) = decode_header(header).map_err(Closed::Refused)?;
            // Grows with what arrives, not with what was announced.
            let mut body = Vec::new();
            (&mut self.stream)
                .take(length as u64)
                .read_to_end(&mut body)
                .await?;
            if body.len() == length {
                Ok((kind, body))
            } else {
                Err(Closed::Gone)
            }
        };
        timeout(FRAME_TIME, reading).await.unwrap_or_else(|_| {
            let message = format!("a frame did not arrive within {} s", FRAME_TIME.as_secs());
            Err(Closed::Refused(refuse(ErrorKind::Protocol, message)))
        })
    }

    /// Sends a message; a client that does not take it in time is dropped.
    pub(crate) async fn send(&mut self, response: &Response) -> Result<(), Closed> {
        let mut json = serde_json::to_vec(response).map_err(io::Error::other)?;
        if json.len() > MAX_FRAME_BODY {
            let message = format!(
                "the answer has {} bytes, more than a frame holds",
                json.len()
            );
            let error = Response::Error(refuse(ErrorKind::Limit, message));
            json = serde_json::to_vec(&error).map_err(io::Error::other)?;
        }
        let header = encode_header(FrameKind::Json, json.len()).ok_or(Closed::Gone)?;
        let writing = async {
            self.stream.write_all(&header).await?;
            self.stream.write_all(&json).await
        };
        timeout(FRAME_TIME, writing)
            .await
            .map_err(|_| Closed::Gone)??;
        Ok(())
    }

    /// Ends the connection so that the client can still read what was said: closing a socket with unread input in it
    /// would throw that away.
    async fn hang_up(&mut self) -> Result<(), Closed> {
        self.stream.shutdown().await?;
        let mut rest = [0; 1024];
        let forget = async {
            while self
                .stream
                .read(&mut rest)
                .await
                .is_ok_and(|count| count > 0)
            {}
        };
        // One that goes on sending has had its time.
        let _ = timeout(FRAME_TIME, forget).await;
        Ok(())
    }

    /// Waits until the client hangs up or sends something: either ends a stream.
    pub(crate) async fn client_stirs(&self) {
        // Readiness may be a memory of what was read before: only a read tells. An error is an end, too.
        while self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }
}
