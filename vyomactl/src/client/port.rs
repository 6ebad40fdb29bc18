//! A serial port: opened for this program alone, raw, at a speed, and read and written with deadlines.
//!
//! Over `rustix`, which is in the tree already: the crate `serialport` is under MPL-2.0, which deny.toml keeps out, and what it
//! has beyond this (lists of ports, other systems) is not needed here.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, ioctl_tiocexcl, tcflush, tcgetattr, tcsetattr,
};

use super::transport::{Waited, is_passing, plain, wait};
use crate::exit::{Exit, Failure};

/// An open port.
#[derive(Debug)]
pub(super) struct Port {
    file: File,
}

/// The port has gone: its cable was pulled, or the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unplugged;

impl Port {
    pub(super) fn open(path: &Path, baud: u32) -> Result<Self, Failure> {
        let failed = |what: &str, advice: &str| {
            Failure::new(
                Exit::Unreachable,
                format!("cannot open {}: {what}; {advice}", path.display()),
            )
        };
        const BUSY: &str = "end the other vyomactl or terminal program that has it, and try again";
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|error| {
                let advice = match error.kind() {
                    io::ErrorKind::NotFound => {
                        "plug the board in, and name its port, often /dev/ttyACM0 or /dev/ttyUSB0"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "run as a user who may open it, in Debian one of the group dialout"
                    }
                    io::ErrorKind::ResourceBusy => BUSY,
                    _ => "check --target and VYOMA_TARGET",
                };
                failed(&plain(&error), advice)
            })?;
        if !file.is_terminal() {
            return Err(failed(
                "it is no serial port",
                "name a port such as /dev/ttyACM0, or a socket with unix:///PATH",
            ));
        }
        // For programs that ask nicely, and for those that just open it.
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(failed("the port is busy", BUSY));
        }
        let set_up = || -> rustix::io::Result<()> {
            ioctl_tiocexcl(&file)?;
            let mut settings = tcgetattr(&file)?;
            settings.make_raw();
            settings.set_speed(baud)?;
            // No modem behind it: nothing hangs up, and no line but the two for data means anything.
            settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
            settings.control_modes -= ControlModes::CRTSCTS | ControlModes::HUPCL;
            tcsetattr(&file, OptionalActions::Now, &settings)?;
            // What a former client left is not for us.
            tcflush(&file, QueueSelector::IOFlush)
        };
        set_up().map_err(|error| {
            let error = plain(&io::Error::from(error));
            failed(
                &format!("it can't be set to {baud} bits a second, raw: {error}"),
                "check ?baud=RATE, and that the adapter is a serial one",
            )
        })?;
        Ok(Self { file })
    }

    /// Writes all of it; false when the deadline came first.
    pub(super) fn write(
        &mut self,
        mut bytes: &[u8],
        deadline: Instant,
    ) -> Result<Result<bool, Unplugged>, Failure> {
        while !bytes.is_empty() {
            match wait(&self.file, PollFlags::OUT, Some(deadline), false)? {
                Waited::Ready(_) => {}
                Waited::TimedOut | Waited::OutputGone => return Ok(Ok(false)),
            }
            match self.file.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_passing(&error) => {}
                Err(_) => return Ok(Err(Unplugged)),
            }
        }
        Ok(Ok(true))
    }

    /// Reads what is there, or comes before the deadline: how many bytes of `buffer`; 0 when none came.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        deadline: Instant,
    ) -> Result<Result<usize, Unplugged>, Failure> {
        loop {
            match wait(&self.file, PollFlags::IN, Some(deadline), false)? {
                Waited::Ready(_) => {}
                Waited::TimedOut | Waited::OutputGone => return Ok(Ok(0)),
            }
            match self.file.read(buffer) {
                Ok(0) => return Ok(Err(Unplugged)),
                Ok(count) => return Ok(Ok(count)),
                Err(error) if is_passing(&error) => {}
                Err(_) => return Ok(Err(Unplugged)),
            }
        }
    }
}
