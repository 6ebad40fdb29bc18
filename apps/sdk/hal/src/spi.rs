//! SPI devices: a bus and a chip select (wasi:spi/spi, vyoma:device/buses). Mode and speed are the board's.

use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

use crate::OpenError;
use crate::error::errors;
use crate::sys;

errors! {
    /// Why an operation failed (wasi:spi/spi, error).
    Error {
        /// The receive buffer was overrun.
        Overrun = "bytes came too fast",
        /// Several masters on the bus.
        ModeFault = "another master drives the bus",
        /// Bytes that are none.
        FrameFormat = "the frame is not as expected",
        /// Chip select can't be driven.
        ChipSelectFault = "chip select can't be driven",
        /// Anything else. The host's words for it are not kept.
        Other = "failed",
    }
}

impl embedded_hal::spi::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Overrun => ErrorKind::Overrun,
            Self::ModeFault => ErrorKind::ModeFault,
            Self::FrameFormat => ErrorKind::FrameFormat,
            Self::ChipSelectFault => ErrorKind::ChipSelectFault,
            Self::Other => ErrorKind::Other,
        }
    }
}

/// A device.
///
/// [`read`](SpiDevice::read), `write`, `transfer`, `transfer_in_place` and transactions of one operation go straight between the
/// bus and the caller's buffers. Other transactions have at most [`Device::MOST_OPERATIONS`] operations, which read at most
/// [`Device::MOST_READ`] bytes together; what is more is [`Error::Other`].
#[derive(Debug)]
pub struct Device(sys::Spi);

impl Device {
    /// Operations of a transaction.
    pub const MOST_OPERATIONS: usize = 8;
    /// Bytes that a transaction reads.
    pub const MOST_READ: usize = 128;

    /// Opens the device of that label, or of that number (`BUS.CS`, such as `0.1`).
    pub fn open(device: &str) -> Result<Self, OpenError> {
        sys::Spi::open(device).map(Self)
    }
}

impl ErrorType for Device {
    type Error = Error;
}

impl SpiDevice for Device {
    fn read(&mut self, read: &mut [u8]) -> Result<(), Error> {
        self.0.read(read)
    }

    fn write(&mut self, write: &[u8]) -> Result<(), Error> {
        self.0.write(write)
    }

    fn transfer_in_place(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.0.transfer_in_place(buffer)
    }

    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Error> {
        match operations {
            [] => Ok(()),
            [Operation::Read(read)] => self.0.read(read),
            [Operation::Write(write)] => self.0.write(write),
            [Operation::Transfer(read, write)] if read.len() == write.len() => {
                self.0.transfer(read, write)
            }
            [Operation::TransferInPlace(buffer)] => self.0.transfer_in_place(buffer),
            others => self.0.transaction(others),
        }
    }
}
