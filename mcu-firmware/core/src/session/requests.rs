//! What each request means.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vyoma_capabilities::control::{ControlError, ErrorKind, PROTOCOL, Request, Response, names};
use vyoma_capabilities::link::{FOR_LINUX, INSTALL, decode_request};
use vyoma_capabilities::manifest::compact::MAX_COMPACT;

use super::answers::{Answers, Records, What};
use super::background::Then;
use super::exchange::{Doing, Exchange};
use super::{Device, Operation, Power};
use crate::store::{Entry, Mark, StoreError};

/// Most bytes of a request: the longest manifest, and what stands beside it.
pub const MAX_REQUEST: usize = MAX_COMPACT + 128;

impl Exchange {
    /// Begins what was asked, unless something is in the background: then it waits.
    pub(super) fn begin(&mut self, now_ms: u64, device: &mut impl Device) {
        if self.background.is_some() || !matches!(self.doing, Doing::Waiting) {
            return;
        }
        let request = core::mem::take(&mut self.request);
        self.doing = Doing::Nothing;
        let outcome = if request.len() > MAX_REQUEST {
            Err(refuse(
                ErrorKind::Limit,
                format!(
                    "found a request of more than {MAX_REQUEST} bytes, which is the most; shorten it"
                ),
            ))
        } else if request.first() == Some(&INSTALL) {
            Err(as_text())
        } else if request.first().is_some_and(|number| *number >= FOR_LINUX) {
            Err(for_linux())
        } else {
            decode_request(&request).and_then(|decoded| {
                drop(request);
                self.perform(now_ms, decoded, device)
            })
        };
        if let Err(error) = outcome {
            self.say(&Response::Error(error));
        }
    }

    fn say(&mut self, response: &Response) {
        self.doing = Doing::Answering(Answers::one(response));
    }

    fn perform(
        &mut self,
        now_ms: u64,
        request: Request,
        device: &mut impl Device,
    ) -> Result<(), ControlError> {
        if let Request::Hello { protocol } = request {
            return self.hello(protocol, device);
        }
        if !self.greeted().is_some_and(|greeted| *greeted) {
            return Err(refuse(
                ErrorKind::Protocol,
                String::from("found a request; expected Hello first"),
            ));
        }
        match request {
            Request::Hello { .. } => {}
            Request::Ps => {
                let count = device.store().apps().count();
                self.doing = Doing::Answering(Answers::apps(count));
            }
            Request::Info => {
                let info = device.info();
                self.say(&Response::Info(info));
            }
            Request::Logs {
                app,
                follow,
                since_ms,
                previous,
                tail,
            } => {
                if previous {
                    return Err(refuse(
                        ErrorKind::State,
                        String::from(
                            "this device keeps no log over a reboot; leave --previous out",
                        ),
                    ));
                }
                for app in app.iter().flat_map(|apps| names(apps)) {
                    known(app, device)?;
                }
                let mut records = Records {
                    what: What::Lines,
                    app,
                    from_ms: since_ms.map_or(0, |since| now_ms.saturating_sub(since)),
                    next: device.logs().first(),
                    end: (!follow).then(|| device.logs().next()),
                };
                if let Some(tail) = tail {
                    records.tail(tail, device);
                }
                self.doing = Doing::Answering(Answers::records(records));
            }
            Request::Events { follow } => {
                let records = Records {
                    what: What::Events,
                    app: None,
                    from_ms: 0,
                    next: device.events().first(),
                    end: (!follow).then(|| device.events().next()),
                };
                self.doing = Doing::Answering(Answers::records(records));
            }
            Request::InstallCompact {
                manifest,
                component_size,
                sha256,
            } => self.install(&manifest, component_size, &sha256, device)?,
            Request::Install { .. } => return Err(as_text()),
            Request::Send { app, text, end } => {
                known(&app, device)?;
                device.send(&app, &text, end)?;
                self.say(&Response::Done);
            }
            Request::Start { app } => self.start(Operation::Start, &app, device)?,
            Request::Restart { app } => self.start(Operation::Restart, &app, device)?,
            Request::Stop { app } => {
                known(&app, device)?;
                mark(&app, Mark::Stopped, device)?;
                self.when_ended(now_ms, app, Then::Stopped, device)?;
            }
            // There is no data that could be kept.
            Request::Remove { app, keep_data: _ } => {
                known(&app, device)?;
                self.when_ended(now_ms, app, Then::Remove, device)?;
            }
            Request::Shutdown => self.end(Power::Off, device)?,
            Request::Reboot => self.end(Power::Reboot, device)?,
            // `begin` has refused them; a firmware does not even know them.
            #[cfg(not(target_os = "none"))]
            _ => return Err(for_linux()),
        }
        Ok(())
    }

    fn hello(&mut self, protocol: u32, device: &impl Device) -> Result<(), ControlError> {
        if protocol != PROTOCOL {
            return Err(refuse(
                ErrorKind::Protocol,
                format!(
                    "protocol: found {protocol}; expected {PROTOCOL}; use the vyomactl that belongs to this device"
                ),
            ));
        }
        if let Some(greeted) = self.greeted() {
            *greeted = true;
        }
        self.say(&Response::Hello {
            protocol: PROTOCOL,
            version: String::from(device.version()),
            platform: String::from(device.platform()),
        });
        Ok(())
    }

    fn start(
        &mut self,
        operation: Operation,
        app: &str,
        device: &mut impl Device,
    ) -> Result<(), ControlError> {
        known(app, device)?;
        device.begin(operation, app)?;
        mark(app, Mark::None, device)?;
        self.say(&Response::Done);
        Ok(())
    }

    fn end(&mut self, power: Power, device: &mut impl Device) -> Result<(), ControlError> {
        device.end(power)?;
        self.say(&Response::Done);
        Ok(())
    }
}

/// An installation for a device that reads TOML.
fn as_text() -> ControlError {
    refuse(
        ErrorKind::Invalid,
        String::from(
            "found a manifest as text; expected one in compact form, as vyomactl sends it over a serial line",
        ),
    )
}

/// What only a daemon on Linux does.
fn for_linux() -> ControlError {
    refuse(
        ErrorKind::State,
        String::from(
            "not on a microcontroller; see docs/operating.md for what works over a serial line",
        ),
    )
}

fn known(app: &str, device: &mut impl Device) -> Result<(), ControlError> {
    if device.store().find(app).is_some() {
        return Ok(());
    }
    Err(of_store(app, device, StoreError::NoSuchApp))
}

fn mark(app: &str, mark: Mark, device: &mut impl Device) -> Result<(), ControlError> {
    let marked = device.store().mark(app, mark);
    marked.map_err(|error| of_store(app, device, error))
}

pub(super) fn refuse(kind: ErrorKind, message: String) -> ControlError {
    ControlError { kind, message }
}

/// What the store says about an app, in the words of the protocol.
pub(super) fn of_store(app: &str, device: &mut impl Device, error: StoreError) -> ControlError {
    let kind = match error {
        StoreError::Flash => ErrorKind::Device,
        StoreError::Full { .. } | StoreError::TooMany => ErrorKind::Limit,
        StoreError::NoSuchApp => {
            let names: Vec<&str> = device.store().apps().map(Entry::name).collect();
            return refuse(
                ErrorKind::NoSuchApp,
                format!("no app \"{app}\"; expected one of: {}", names.join(", ")),
            );
        }
        StoreError::NoName => ErrorKind::Invalid,
        StoreError::TooLong { .. } | StoreError::TooShort { .. } => ErrorKind::Protocol,
        StoreError::Over => ErrorKind::State,
    };
    refuse(kind, format!("{app}: {error}"))
}
