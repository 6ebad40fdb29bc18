//! I2C buses (wasi:i2c/i2c, vyoma:device/buses).

use embedded_hal::i2c::{ErrorKind, ErrorType, NoAcknowledgeSource, Operation, SevenBitAddress};

use crate::OpenError;
use crate::sys;

/// Why an operation failed (wasi:i2c/i2c, error-code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error(pub(crate) ErrorKind);

impl Error {
    /// The cases of `error-code`, with the source of `no-acknowledge`.
    #[allow(dead_code, reason = "only a host has numbers")]
    pub(crate) fn case(number: u8, source: u8) -> Self {
        Self(match (number, source) {
            (0, _) => ErrorKind::Bus,
            (1, _) => ErrorKind::ArbitrationLoss,
            (2, 0) => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            (2, 1) => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            (2, _) => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            (3, _) => ErrorKind::Overrun,
            _ => ErrorKind::Other,
        })
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self.0 {
            ErrorKind::Bus => "the bus is held or was disturbed",
            ErrorKind::ArbitrationLoss => "another master won",
            ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address) => "nobody is at this address",
            ErrorKind::NoAcknowledge(_) => "not acknowledged",
            ErrorKind::Overrun => "bytes came too fast",
            _ => "failed",
        }
    }
}

impl vyoma::print::Show for Error {
    fn show(&self, line: &mut vyoma::print::Line) {
        line.text(self.text());
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

impl embedded_hal::i2c::Error for Error {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

/// A bus. What an app may talk to on it, the manifest says: at other addresses nobody is.
///
/// [`read`](embedded_hal::i2c::I2c::read), `write`, `write_read` and transactions of these shapes go straight between the bus and
/// the caller's buffers. Other transactions have at most [`Bus::MOST_OPERATIONS`] operations, which read at most
/// [`Bus::MOST_READ`] bytes together; what is more is an error of the kind `Other`.
#[derive(Debug)]
pub struct Bus(sys::I2c);

impl Bus {
    /// Operations of a transaction.
    pub const MOST_OPERATIONS: usize = 8;
    /// Bytes that a transaction reads.
    pub const MOST_READ: usize = 128;

    /// Opens the bus of that label or number.
    pub fn open(bus: &str) -> Result<Self, OpenError> {
        sys::I2c::open(bus).map(Self)
    }
}

impl ErrorType for Bus {
    type Error = Error;
}

impl embedded_hal::i2c::I2c<SevenBitAddress> for Bus {
    fn read(&mut self, address: u8, read: &mut [u8]) -> Result<(), Error> {
        self.0.read(address.into(), read)
    }

    fn write(&mut self, address: u8, write: &[u8]) -> Result<(), Error> {
        self.0.write(address.into(), write)
    }

    fn write_read(&mut self, address: u8, write: &[u8], read: &mut [u8]) -> Result<(), Error> {
        self.0.write_read(address.into(), write, read)
    }

    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        match operations {
            [] => Ok(()),
            [Operation::Read(read)] => self.read(address, read),
            [Operation::Write(write)] => self.write(address, write),
            [Operation::Write(write), Operation::Read(read)] => {
                self.write_read(address, write, read)
            }
            others => self.0.transaction(address.into(), others),
        }
    }
}
