//! What goes over the socket of a simulated device: one message a packet (`SOCK_SEQPACKET`), in postcard's encoding. A serial
//! port has no messages: its socket is a stream of bytes.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use vyoma_capabilities::board::Fault;

/// Most bytes of a message: the largest I2C transaction (42 operations of 8192 bytes) fits with its encoding.
pub const MAX_MESSAGE: usize = 512 * 1024;

/// From the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Drive the pin high or low, or not at all.
    Set(Option<bool>),
    /// Whether the pin is high.
    Get,
    /// Tell of every change of the pin's level from now on.
    Watch,
    /// All operations with a repeated START between them.
    I2c {
        /// 7-bit address.
        address: u16,
        /// The operations.
        operations: Vec<Operation>,
    },
    /// All operations with chip select asserted.
    Spi(Vec<Operation>),
    /// A sample.
    Sample,
}

/// Part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Read so many bytes.
    Read(u32),
    /// Write these.
    Write(Vec<u8>),
    /// Write these and read as many (SPI).
    Transfer(Vec<u8>),
}

/// To the app: one answer to each request, and changes of a watched pin whenever they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// It is done.
    Done,
    /// Whether the pin is high.
    Level(bool),
    /// What each reading operation read, in order.
    Read(Vec<Vec<u8>>),
    /// The sample.
    Sample(u32),
    /// What went wrong on a bus.
    Fault(Fault),
    /// The device can't be reached.
    Broken,
    /// No answer: the pin changed.
    Changed {
        /// Whether it is high now.
        high: bool,
        /// When, in nanoseconds of CLOCK_MONOTONIC.
        at: u64,
        /// How many changes could not be told, because the app did not read.
        lost: u32,
    },
}
