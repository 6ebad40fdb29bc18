//! `boards/*.toml`: which pins, buses, serial ports and converters a board has, by number and by label, and where the
//! kernel has them; and which of them an app gets. A simulated board says what is wired to them, too.
//!
//! Parsing and choosing only: opening is the daemon's, simulating is vyoma-sim's.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::profile::Peripherals;

mod grant;
mod parse;
mod simulated;

pub use grant::{Answer, Details, Device, Kind, Refusal, devices};
pub use parse::parse;
pub use simulated::{Fault, I2cDevice, I2cPart, Serial, SpiPart};

/// A parsed and checked board.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Board {
    /// `[board] name`
    pub name: String,
    /// `[[gpio]]`: the first chip's lines are what numbers mean.
    pub gpio: Vec<GpioChip>,
    /// `[[i2c]]`
    pub i2c: Vec<I2cBus>,
    /// `[[spi]]`
    pub spi: Vec<SpiDevice>,
    /// `[[uart]]`
    pub uart: Vec<UartPort>,
    /// `[[adc]]`
    pub adc: Vec<AdcChannel>,
}

/// What an output does when its app is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safe {
    /// Nobody drives it: what a pin is after reset.
    #[default]
    Input,
    /// Driven low.
    Low,
    /// Driven high.
    High,
}

/// A chip of pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpioChip {
    /// The kernel's name (`gpiochip0`) or label of it.
    pub chip: String,
    /// How many lines it has.
    pub lines: u32,
    /// Label to line.
    pub labels: BTreeMap<String, u32>,
    /// What outputs do when their app is gone, by line.
    pub safe: BTreeMap<u32, Safe>,
    /// Simulated: lines that are high from the start.
    pub high: Vec<u32>,
    /// Simulated: the first line's level drives the second.
    pub wires: Vec<(u32, u32)>,
    /// Simulated: lines that stay as they are, whatever drives them.
    pub stuck: Vec<u32>,
    /// Simulated: lines that can't be reached any more.
    pub broken: Vec<u32>,
}

/// An I2C bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct I2cBus {
    /// Its number.
    pub bus: u32,
    /// Its label.
    pub label: Option<String>,
    /// `/dev/i2c-1`
    pub device: String,
    /// Simulated.
    pub devices: Vec<I2cDevice>,
}

/// A device behind a chip select.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpiDevice {
    /// Number of the bus.
    pub bus: u32,
    /// Number of the chip select.
    pub cs: u32,
    /// Its label.
    pub label: Option<String>,
    /// `/dev/spidev0.0`
    pub device: String,
    /// Clock in Hz.
    pub hz: u32,
    /// Clock polarity and phase, 0 to 3.
    pub mode: u8,
    /// Simulated.
    pub part: Option<SpiPart>,
}

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UartPort {
    /// Its number.
    pub port: u32,
    /// Its label.
    pub label: Option<String>,
    /// `/dev/ttyS0`
    pub device: String,
    /// Simulated.
    pub serial: Option<Serial>,
}

/// A channel of a converter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdcChannel {
    /// Its number.
    pub channel: u32,
    /// Its label.
    pub label: Option<String>,
    /// The IIO device's name (`/sys/bus/iio/devices/*/name`).
    pub iio: String,
    /// Its input there: `voltage0`.
    pub input: String,
    /// Bits of a sample.
    pub bits: u32,
    /// Voltage of the largest value; absent: as the driver's scale says.
    pub microvolts: Option<u32>,
    /// Simulated: the value.
    pub value: u32,
    /// Simulated: it can't be read.
    pub broken: bool,
}

impl AdcChannel {
    /// The largest value.
    pub fn max(&self) -> u32 {
        1_u32
            .checked_shl(self.bits)
            .map_or(u32::MAX, |range| range - 1)
    }
}

impl Board {
    /// The chip (place in the list) and line of a pin, by label or number.
    pub fn pin(&self, name: &str) -> Option<(usize, u32)> {
        self.gpio
            .iter()
            .enumerate()
            .find_map(|(chip, it)| it.labels.get(name).map(|line| (chip, *line)))
            .or_else(|| {
                let line = number(name)?;
                self.gpio
                    .first()
                    .filter(|chip| line < chip.lines)
                    .map(|_| (0, line))
            })
    }

    /// What the board has of each kind, as a profile says it.
    pub fn has(&self) -> Peripherals {
        Peripherals {
            gpio: !self.gpio.is_empty(),
            i2c: !self.i2c.is_empty(),
            spi: !self.spi.is_empty(),
            uart: !self.uart.is_empty(),
            adc: !self.adc.is_empty(),
        }
    }
}

impl GpioChip {
    /// The label of a line.
    pub fn label(&self, line: u32) -> Option<&str> {
        let labelled = self.labels.iter().find(|(_, labelled)| **labelled == line);
        labelled.map(|(label, _)| label.as_str())
    }
}

/// A number as apps write it: decimal digits, and no other way to write the same one.
fn number(text: &str) -> Option<u32> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Boards that come with the system, by name.
pub const BUILTIN: [(&str, &str); 5] = [
    ("generic", include_str!("../../../boards/generic.toml")),
    ("qemu-virt", include_str!("../../../boards/qemu-virt.toml")),
    (
        "raspberry-pi-4",
        include_str!("../../../boards/raspberry-pi-4.toml"),
    ),
    (
        "raspberry-pi-zero-2-w",
        include_str!("../../../boards/raspberry-pi-zero-2-w.toml"),
    ),
    ("simulated", include_str!("../../../boards/simulated.toml")),
];
