//! What an operator asks of serial lines, whose far ends the server has; everything else it passes on to the board.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::os::fd::OwnedFd;

use vyoma_capabilities::control::ControlError;
use vyoma_capabilities::control::sim::{MAX_SAY, Part, PartState, SimAnswer, SimRequest};

use super::{End, State, What};
use crate::operator;

impl State {
    pub(super) fn ask(&mut self, request: &SimRequest) -> Result<Option<SimAnswer>, ControlError> {
        match request {
            SimRequest::Say { part, bytes } => {
                let port = self.port(part)?;
                if bytes.is_empty() || bytes.len() > MAX_SAY {
                    let found = bytes.len();
                    return Err(operator::invalid(format!(
                        "{part}: found {found} bytes; expected 1 to {MAX_SAY}"
                    )));
                }
                if self.serials[port].broken {
                    return Err(operator::state(format!("{part} is broken; see sim fault")));
                }
                let end = self.open_at(port).next();
                let end = end.ok_or_else(|| operator::state(format!("no app has {part} open")))?;
                match rustix::io::write(&end.socket, bytes) {
                    Ok(count) if count == bytes.len() => Ok(None),
                    _ => Err(operator::state(format!(
                        "the app that has {part} open does not read: there is no room"
                    ))),
                }
            }
            SimRequest::Hear { part } => {
                let port = self.port(part)?;
                let said = String::from_utf8_lossy(&self.serials[port].said);
                Ok(Some(SimAnswer::Said(said.into_owned())))
            }
            SimRequest::Fault {
                part: part @ Part::Uart { .. },
                fault,
                ..
            } => {
                let port = self.port(part)?;
                let broken = operator::broken(*fault).ok_or_else(|| {
                    let found = fault.name();
                    operator::invalid(format!("{part}: found {found}; expected none or broken"))
                })?;
                self.serials[port].broken = broken;
                if broken {
                    for end in self.open_at(port) {
                        hang_up(&end.socket);
                    }
                }
                Ok(None)
            }
            _ => {
                let told = self.machine.ask(&self.board, request)?;
                self.tell(&told.changes);
                let mut answer = told.answer;
                if let Some(SimAnswer::Parts(parts)) = &mut answer {
                    parts.extend(self.lines());
                }
                Ok(answer)
            }
        }
    }

    /// Place of a serial port.
    fn port(&self, part: &Part) -> Result<usize, ControlError> {
        let Part::Uart { port } = part else {
            return Err(operator::invalid(format!(
                "found {part}; expected a serial port, such as uart/0"
            )));
        };
        let names = self.board.uart.iter();
        operator::place(names.map(|it| (it.port.to_string(), &it.label)), port, part)
    }

    fn open_at(&self, port: usize) -> impl Iterator<Item = &End> {
        self.ends
            .iter()
            .filter(move |end| matches!(end.what, What::Uart(open) if open == port))
    }

    fn lines(&self) -> Vec<PartState> {
        let lines = self.board.uart.iter().zip(&self.serials).enumerate();
        lines
            .map(|(place, (port, serial))| {
                let name = port.label.clone().unwrap_or_else(|| port.port.to_string());
                let given = self.open_at(place).next().is_some();
                PartState {
                    part: Part::Uart { port: name }.to_string(),
                    kind: "serial line".into(),
                    value: if given { "an app has it" } else { "" }.into(),
                    fault: operator::broken_as(serial.broken),
                }
            })
            .collect()
    }
}

/// The app reads what was said before, and then that nobody is there; what it sends is refused.
pub(super) fn hang_up(socket: &OwnedFd) {
    // An end that is gone needs no more.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}
