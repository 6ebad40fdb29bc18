//! What a simulated board has wired to its buses.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The device does not acknowledge its address: pulled, or not there.
    Nak,
    /// It does not acknowledge what is written.
    NakData,
    /// The bus has an error, or a line of it is held.
    Bus,
    /// The device takes too long.
    Timeout,
    /// Another master wins.
    Arbitration,
}

impl Fault {
    /// By name, as in board files and for `vyomactl sim`.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("nak", Self::Nak),
        ("nak-data", Self::NakData),
        ("bus", Self::Bus),
        ("timeout", Self::Timeout),
        ("arbitration", Self::Arbitration),
    ];
}

/// What a device on an I2C bus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum I2cPart {
    /// A register file: the first byte written is the register, the next ones go into it and those after it; what is read comes from
    /// there on.
    #[default]
    Registers,
    /// A Solomon Systech SSD1306 with a display of 128 by 64.
    Ssd1306,
}

/// A device on an I2C bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct I2cDevice {
    /// 7-bit address.
    pub address: u8,
    /// What it is; the next two are a register file's.
    pub part: I2cPart,
    /// Bytes of a register: 1, or 2 (then the larger half comes first, and reading goes on in the next register).
    pub width: u32,
    /// First byte's register, and bytes from there on.
    pub registers: BTreeMap<u8, Vec<u8>>,
    /// What goes wrong, from transfer `after` on.
    pub fault: Option<Fault>,
    /// How many transfers still work.
    pub after: u32,
}

/// What is behind a chip select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpiPart {
    /// What is sent comes back.
    Loopback,
    /// A Microchip MCP3008: ten bits, eight channels, single-ended or in pairs.
    Mcp3008([u16; 8]),
    /// A Maxim MAX31855: the thermocouple in quarters of a degree (14 bits), and the chip itself in sixteenths (12 bits), both in
    /// two's complement.
    Max31855([u16; 2]),
    /// A Microchip MCP4921, a converter of the other kind: twelve bits. What it is set to, the board's channel of that number gives,
    /// if it has one.
    Mcp4921 {
        /// Number of the channel.
        feeds: Option<u32>,
    },
    /// Every transfer fails.
    Broken,
}

/// Who is at the other end of a serial line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Serial {
    /// What is sent comes back.
    pub echo: bool,
    /// Said when an app opens the port.
    pub says: String,
    /// Said in answer to a line (without its end).
    pub replies: BTreeMap<String, String>,
    /// After what it says, nobody is there any more.
    pub broken: bool,
}
