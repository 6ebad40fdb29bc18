//! I2C and SPI: what a platform does for `wasi:i2c`, `wasi:spi` and `vyoma:device/buses`. Operations are lists as in
//! `embedded-hal` 1.0; what is written are views of the guest's memory, what is read goes into buffers of the host.

use alloc::string::String;

use super::{DeviceError, Services};
use crate::{enumeration, variant};

/// `wasi:i2c/i2c` `error-code`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum I2cError {
    /// A START or STOP where none belongs, a line that is held, a time-out.
    Bus,
    /// Another master won.
    ArbitrationLoss,
    /// Nobody acknowledged.
    NoAcknowledge(NoAcknowledgeSource),
    /// The receive buffer was overrun.
    Overrun,
    /// Anything else.
    Other,
}

variant!(I2cError {
    0 Bus,
    1 ArbitrationLoss,
    2 NoAcknowledge(NoAcknowledgeSource),
    3 Overrun,
    4 Other,
});

enumeration! {
    /// `no-acknowledge-source`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of wasi:i2c")]
    pub enum NoAcknowledgeSource { Address, Data, Unknown }
}

/// Part of a transaction.
#[derive(Debug)]
pub enum I2cOperation<'a> {
    /// Fill this.
    Read(&'a mut [u8]),
    /// Send this.
    Write(&'a [u8]),
}

/// A platform's I2C buses. One without any says [`absent!`](crate::absent).
pub trait I2cBuses: Services {
    /// An open bus; dropping it closes it.
    type I2cBus: 'static;

    /// Opens the bus of that label or number.
    fn open_i2c(&mut self, name: &str) -> Result<Self::I2cBus, DeviceError>;
    /// At most 42 operations of at most 8192 bytes each, with a repeated START between them. An address that the app may
    /// not use is one that nobody acknowledges.
    fn i2c_transaction(
        &mut self,
        bus: &mut Self::I2cBus,
        address: u16,
        operations: &mut [I2cOperation<'_>],
    ) -> Result<(), I2cError>;
}

/// `wasi:spi/spi` `error`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpiError {
    /// Data came before the last was read.
    Overrun,
    /// Several masters.
    ModeFault,
    /// A wrong order of bits or size of words.
    FrameFormat,
    /// Chip select failed.
    ChipSelectFault,
    /// Anything else, for people.
    Other(String),
}

variant!(SpiError {
    0 Overrun,
    1 ModeFault,
    2 FrameFormat,
    3 ChipSelectFault,
    4 Other(String),
});

/// Part of a transaction.
#[derive(Debug)]
pub enum SpiOperation<'a> {
    /// Fill this, sending zeroes.
    Read(&'a mut [u8]),
    /// Send this.
    Write(&'a [u8]),
    /// Fill the first, sending the second, which is as long.
    Transfer(&'a mut [u8], &'a [u8]),
    /// Wait so many nanoseconds.
    Delay(u32),
}

/// A platform's SPI devices. One without any says [`absent!`](crate::absent).
pub trait SpiBuses: Services {
    /// An open device: a bus and a chip select. Dropping it closes it.
    type SpiDevice: 'static;

    /// Opens the device of that label or number (`BUS.CS`).
    fn open_spi(&mut self, name: &str) -> Result<Self::SpiDevice, DeviceError>;
    /// At most 64 operations and 4096 bytes, with chip select asserted throughout.
    fn spi_transaction(
        &mut self,
        device: &mut Self::SpiDevice,
        operations: &mut [SpiOperation<'_>],
    ) -> Result<(), SpiError>;
}
