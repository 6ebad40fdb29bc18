//! Serial ports (vyoma:uart/uart).

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write};
use vyoma::wait::{Event, Handle};

use crate::OpenError;
use crate::sys;

/// How the bits of a byte are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bits per second.
    pub baud: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// Whether a parity bit follows them.
    pub parity: Parity,
    /// Bits at the end.
    pub stop_bits: StopBits,
}

/// A parity bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Bits at the end of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopBits {
    /// One.
    One,
    /// Two.
    Two,
}

/// The device went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error;

impl Error {
    const TEXT: &str = "the port is gone";
}

impl vyoma::print::Show for Error {
    fn show(&self, line: &mut vyoma::print::Line) {
        line.text(Self::TEXT);
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(Self::TEXT)
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NotConnected
    }
}

/// An open port. It can be waited for ([`vyoma::Any`]): it comes when there are bytes to read.
#[derive(Debug)]
pub struct Port(sys::Port);

impl Port {
    /// Opens the port of that label or number. Without a configuration it has the manifest's baud rate, else 115200, and 8 data
    /// bits, no parity, one stop bit.
    pub fn open(name: &str, config: Option<Config>) -> Result<Self, OpenError> {
        sys::Port::open(name, config).map(Self)
    }

    /// The configuration that it has.
    pub fn config(&self) -> Config {
        self.0.config()
    }

    /// How many bytes were lost since the port was opened: they came faster than they were read, or arrived damaged.
    pub fn lost(&self) -> u64 {
        self.0.lost()
    }
}

impl Event for Port {
    fn handle(&self) -> Handle {
        self.0.readable()
    }
}

impl ErrorType for Port {
    type Error = Error;
}

impl Read for Port {
    /// Waits for at least one byte.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.0.read(buffer)
    }
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(self.0.is_readable())
    }
}

impl Write for Port {
    /// Waits until all bytes, but at most 4096, are on their way.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let now = bytes.get(..4096).unwrap_or(bytes);
        if now.is_empty() {
            return Ok(0);
        }
        self.0.write(now)?;
        Ok(now.len())
    }

    /// Nothing is held back here.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
