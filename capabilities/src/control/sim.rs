//! What an operator asks of a simulated board (`vyomad --simulate`), and its answers. Parsing and printing of the names of its
//! parts too, so that the client, the board and their tests have one definition.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Most values that one request sets or gets: all registers of a device.
pub const MAX_VALUES: usize = 256;
/// Most bytes that one request says on a serial line.
pub const MAX_SAY: usize = 4096;

/// A part of the board, by the names that apps open it with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// `gpio/LED`, `gpio/3`
    Pin {
        /// Label or number.
        name: String,
    },
    /// `i2c/1`: the bus itself, which only faults are for.
    Bus {
        /// Label or number.
        name: String,
    },
    /// `i2c/1/0x48`, `i2c/SENSORS/0x48/0x01`
    I2c {
        /// Label or number of the bus.
        bus: String,
        /// 7-bit address of the device.
        address: u8,
        /// The register; 0 where none is said.
        register: u8,
    },
    /// `spi/ADC`, `spi/0.1/3`
    Spi {
        /// Label or number of the device.
        device: String,
        /// Which of its values; 0 where none is said.
        value: u8,
    },
    /// `uart/GPS`
    Uart {
        /// Label or number.
        port: String,
    },
    /// `adc/LIGHT`
    Adc {
        /// Label or number.
        channel: String,
    },
}

/// How a part is written.
pub const PART_FORMS: &str = "gpio/PIN, i2c/BUS, i2c/BUS/ADDRESS[/REGISTER], spi/DEVICE[/VALUE], uart/PORT or adc/CHANNEL, such as gpio/LED, \
     i2c/1/0x48/0x00 or adc/0";

impl Part {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}; expected {PART_FORMS}");
        let mut words = text.split('/');
        let kind = words.next().unwrap_or_default();
        let name = words.next().filter(|name| !name.is_empty());
        let name = name.ok_or_else(wrong)?.to_string();
        let more: Vec<&str> = words.collect();
        let byte = |text: &str| number(text).and_then(|number| u8::try_from(number).ok());
        match (kind, more[..].as_ref()) {
            ("gpio", []) => Some(Self::Pin { name }),
            ("i2c", []) => Some(Self::Bus { name }),
            ("i2c", [address]) => byte(address).map(|address| Self::I2c {
                bus: name,
                address,
                register: 0,
            }),
            ("i2c", [address, register]) => {
                byte(address)
                    .zip(byte(register))
                    .map(|(address, register)| Self::I2c {
                        bus: name,
                        address,
                        register,
                    })
            }
            ("spi", []) => Some(Self::Spi {
                device: name,
                value: 0,
            }),
            ("spi", [value]) => byte(value).map(|value| Self::Spi {
                device: name,
                value,
            }),
            ("uart", []) => Some(Self::Uart { port: name }),
            ("adc", []) => Some(Self::Adc { channel: name }),
            _ => None,
        }
        .filter(|part| !matches!(part, Self::I2c { address, .. } if *address > 127))
        .ok_or_else(wrong)
    }
}

/// Decimal, or hexadecimal after `0x`.
pub fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin { name } => write!(f, "gpio/{name}"),
            Self::Bus { name } => write!(f, "i2c/{name}"),
            Self::I2c {
                bus,
                address,
                register: 0,
            } => write!(f, "i2c/{bus}/{address:#04x}"),
            Self::I2c {
                bus,
                address,
                register,
            } => write!(f, "i2c/{bus}/{address:#04x}/{register:#04x}"),
            Self::Spi { device, value: 0 } => write!(f, "spi/{device}"),
            Self::Spi { device, value } => write!(f, "spi/{device}/{value}"),
            Self::Uart { port } => write!(f, "uart/{port}"),
            Self::Adc { channel } => write!(f, "adc/{channel}"),
        }
    }
}

/// What goes wrong with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartFault {
    /// Nothing: it works again.
    None,
    /// An I2C device: does not acknowledge its address, as one that was pulled out.
    Nak,
    /// An I2C device: does not acknowledge what is written.
    NakData,
    /// An I2C device or bus: a bus error, as of a line that is held or a device that went away in the middle.
    Bus,
    /// An I2C device or bus: takes too long.
    Timeout,
    /// An I2C device or bus: another master wins.
    Arbitration,
    /// A pin: stays as it is, whatever drives it.
    Stuck,
    /// A pin, SPI device, serial port or channel: can't be reached any more.
    Broken,
}

impl PartFault {
    /// By name.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("none", Self::None),
        ("nak", Self::Nak),
        ("nak-data", Self::NakData),
        ("bus", Self::Bus),
        ("timeout", Self::Timeout),
        ("arbitration", Self::Arbitration),
        ("stuck", Self::Stuck),
        ("broken", Self::Broken),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, fault)| *fault == self);
        named.map_or("none", |(name, _)| name)
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SimRequest {
    /// All parts.
    List,
    /// What a part has: the level of a pin (0 or 1), registers, values.
    Get {
        /// Which.
        part: Part,
        /// How many, from that one on: 1 to [`MAX_VALUES`].
        count: u32,
    },
    /// Drives a pin from outside, or writes registers and values.
    Set {
        /// Which.
        part: Part,
        /// At most [`MAX_VALUES`], from that one on. Of a pin: 0 or 1.
        values: Vec<u32>,
    },
    /// Says something to the app at a serial port.
    Say {
        /// Which port.
        part: Part,
        /// At most [`MAX_SAY`] bytes.
        bytes: Vec<u8>,
    },
    /// What apps said at a serial port, the last 64 KiB.
    Hear {
        /// Which port.
        part: Part,
    },
    /// Makes a part fail, or work again.
    Fault {
        /// Which.
        part: Part,
        /// How.
        fault: PartFault,
        /// How many transfers of an I2C device still work.
        after: u32,
    },
    /// What a display shows.
    Picture {
        /// Which.
        part: Part,
    },
}

/// What the board answers; [`Response::Done`](super::Response::Done) where there is nothing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SimAnswer {
    /// To [`SimRequest::List`].
    Parts(Vec<PartState>),
    /// To [`SimRequest::Get`].
    Values(Vec<u32>),
    /// To [`SimRequest::Hear`]; bytes that are no UTF-8 are replaced.
    Said(String),
    /// To [`SimRequest::Picture`].
    Picture(Picture),
}

/// A part and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    /// Its name, as [`Part`] is written.
    pub part: String,
    /// What it is: `pin`, `registers`, `display`, `loopback`, `mcp3008`, `serial line`, `channel`, ...
    pub kind: String,
    /// What it has now, in few words.
    pub value: String,
    /// What is wrong with it.
    pub fault: PartFault,
}

/// A picture in black and white.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Whether the display is switched on: else all is dark.
    pub on: bool,
    /// Rows from above, each as many dots from the left: `#` is lit, `.` is dark.
    pub rows: Vec<String>,
}
