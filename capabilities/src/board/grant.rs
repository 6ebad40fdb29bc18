//! (board, grants, profile) -> the devices of an app, by the names under which it may open them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Board, Safe, number};
use crate::capability::Capability;
use crate::manifest::{Direction, Pin};
use crate::profile::Peripherals;
use crate::resolve::Grants;

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A pin.
    Gpio,
    /// An I2C bus.
    I2c,
    /// An SPI device.
    Spi,
    /// A serial port.
    Uart,
    /// A channel of a converter.
    Adc,
}

impl Kind {
    /// The capability that gives it.
    pub const fn capability(self) -> Capability {
        match self {
            Self::Gpio => Capability::Gpio,
            Self::I2c => Capability::I2c,
            Self::Spi => Capability::Spi,
            Self::Uart => Capability::Uart,
            Self::Adc => Capability::Adc,
        }
    }

    /// Whether a platform with these has any.
    pub const fn is_in(self, peripherals: Peripherals) -> bool {
        match self {
            Self::Gpio => peripherals.gpio,
            Self::I2c => peripherals.i2c,
            Self::Spi => peripherals.spi,
            Self::Uart => peripherals.uart,
            Self::Adc => peripherals.adc,
        }
    }
}

/// A device that an app may open, or may ask for and is told why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// As the app may name it: its number on the board; `BUS.CS` for an SPI device.
    pub number: String,
    /// As the app may name it, too.
    pub label: Option<String>,
    /// Place in the board's list of its kind; for a pin, the chip's.
    pub place: usize,
    /// What is special about it.
    pub details: Details,
    /// Why it can't be opened.
    pub refused: Option<Refusal>,
}

/// What is special about a device of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Details {
    /// A pin.
    Pin {
        /// Line of its chip.
        line: u32,
        /// The only way that it may be used; absent: both.
        direction: Option<Direction>,
        /// What it does when the app is gone.
        safe: Safe,
        /// Another app reads it too, and has its edges.
        shared: bool,
    },
    /// An I2C bus.
    I2c {
        /// The only address that exists for the app; absent: all.
        address: Option<u8>,
    },
    /// An SPI device.
    Spi,
    /// A serial port.
    Uart {
        /// The only rate; absent: any.
        baud: Option<u32>,
    },
    /// A channel of a converter.
    Adc {
        /// The largest value.
        max: u32,
        /// The voltage of that value.
        microvolts: u32,
    },
}

/// Why an app may not open something: an error of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The manifest does not declare it.
    NotAllowed,
    /// The platform has nothing of the kind.
    NotSupported,
    /// Another app has it.
    AlreadyInUse,
    /// The board has nothing of that name.
    NoSuchDevice,
    /// It is on the board and can't be opened.
    HardwareFault,
}

/// What [`Device`]s of an app come to for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The device at this place of the list.
    Device(usize),
    /// There is none for the app.
    Refused(Refusal),
}

/// The devices that `grants` give on `board`, in the board's order.
pub fn devices(board: &Board, grants: &Grants) -> Vec<Device> {
    let mut list = Vec::new();
    pins(board, grants, &mut list);
    if let Some(wanted) = &grants.i2c {
        let details = Details::I2c {
            address: wanted.address,
        };
        let found = board.i2c.iter().enumerate();
        let found = found.map(|(place, bus)| (place, bus.bus.to_string(), &bus.label));
        let named = wanted.bus.map(|bus| bus.to_string());
        select(Kind::I2c, found, named, |_| details.clone(), &mut list);
    }
    if let Some(wanted) = &grants.spi {
        let found = board.spi.iter().enumerate().filter(|(_, device)| {
            wanted.bus.is_none_or(|bus| bus == device.bus)
                && wanted.cs_pin.is_none_or(|cs| cs == device.cs)
        });
        let found = found.map(|(place, it)| (place, format!("{}.{}", it.bus, it.cs), &it.label));
        let before = list.len();
        select(Kind::Spi, found, None, |_| Details::Spi, &mut list);
        if list.len() == before && wanted.bus.is_some() {
            let (bus, cs) = (wanted.bus.unwrap_or(0), wanted.cs_pin.unwrap_or(0));
            list.push(absent(Kind::Spi, format!("{bus}.{cs}"), None, Details::Spi));
        }
    }
    if let Some(wanted) = &grants.uart {
        let details = Details::Uart { baud: wanted.baud };
        let found = board.uart.iter().enumerate();
        let found = found.map(|(place, port)| (place, port.port.to_string(), &port.label));
        let named = wanted.port.map(|port| port.to_string());
        select(Kind::Uart, found, named, |_| details.clone(), &mut list);
    }
    if let Some(wanted) = &grants.adc {
        let details = |place: usize| {
            let channel = board.adc.get(place);
            Details::Adc {
                max: channel.map_or(1, super::AdcChannel::max),
                microvolts: channel.and_then(|it| it.microvolts).unwrap_or(0),
            }
        };
        let found = || board.adc.iter().enumerate();
        let found = || found().map(|(place, it)| (place, it.channel.to_string(), &it.label));
        if wanted.channels.is_empty() {
            select(Kind::Adc, found(), None, details, &mut list);
        }
        for channel in &wanted.channels {
            let named = Some(channel.to_string());
            select(Kind::Adc, found(), named, details, &mut list);
        }
    }
    list
}

/// All of `found`, or the one that is named.
fn select<'a>(
    kind: Kind,
    found: impl Iterator<Item = (usize, String, &'a Option<String>)>,
    named: Option<String>,
    details: impl Fn(usize) -> Details,
    list: &mut Vec<Device>,
) {
    let before = list.len();
    for (place, number, label) in found {
        if named.as_ref().is_none_or(|named| *named == number) {
            list.push(Device {
                kind,
                number,
                label: label.clone(),
                place,
                details: details(place),
                refused: None,
            });
        }
    }
    if let Some(named) = named.filter(|_| list.len() == before) {
        list.push(absent(kind, named, None, details(usize::MAX)));
    }
}

/// Named in the manifest, and not on the board.
fn absent(kind: Kind, number: String, label: Option<String>, details: Details) -> Device {
    Device {
        kind,
        number,
        label,
        place: 0,
        details,
        refused: Some(Refusal::NoSuchDevice),
    }
}

/// Without names: whatever the board labels, since a chip may have hundreds of lines that are not brought out.
fn pins(board: &Board, grants: &Grants, list: &mut Vec<Device>) {
    let Some(wanted) = &grants.gpio else { return };
    let mut push = |place: usize, line: u32| {
        let chip = &board.gpio[place];
        let label = chip.label(line).map(String::from);
        list.push(Device {
            kind: Kind::Gpio,
            // Lines of other chips have labels only.
            number: if place == 0 {
                line.to_string()
            } else {
                String::new()
            },
            label,
            place,
            details: Details::Pin {
                line,
                direction: wanted.direction,
                safe: chip.safe.get(&line).copied().unwrap_or_default(),
                shared: false,
            },
            refused: None,
        });
    };
    if wanted.pins.is_empty() {
        for (place, chip) in board.gpio.iter().enumerate() {
            for line in chip.labels.values() {
                push(place, *line);
            }
        }
        return;
    }
    let mut missing = Vec::new();
    for pin in &wanted.pins {
        let name = match pin {
            Pin::Number(number) => number.to_string(),
            Pin::Label(label) => label.clone(),
        };
        match board.pin(&name) {
            Some((place, line)) => push(place, line),
            None => missing.push(name),
        }
    }
    for name in missing {
        let details = Details::Pin {
            line: 0,
            direction: wanted.direction,
            safe: Safe::default(),
            shared: false,
        };
        list.push(if number(&name).is_some() {
            absent(Kind::Gpio, name, None, details)
        } else {
            absent(Kind::Gpio, String::new(), Some(name), details)
        });
    }
}

impl Device {
    /// Whether an app means this one.
    pub fn is_named(&self, kind: Kind, name: &str) -> bool {
        let is_first = || {
            // The number of a device on the first bus may leave the bus out.
            kind == Kind::Spi && self.number.strip_prefix("0.") == Some(name)
        };
        self.kind == kind
            && !name.is_empty()
            && (self.number == name || self.label.as_deref() == Some(name) || is_first())
    }
}

impl Answer {
    /// What an app gets that opens `name`, on a platform with `peripherals`.
    pub fn of(
        kind: Kind,
        name: &str,
        devices: &[Device],
        grants: &Grants,
        peripherals: Peripherals,
    ) -> Self {
        if !kind.is_in(peripherals) {
            return Self::Refused(Refusal::NotSupported);
        }
        if !grants.has(kind.capability()) {
            return Self::Refused(Refusal::NotAllowed);
        }
        let found = devices
            .iter()
            .position(|device| device.is_named(kind, name));
        match found {
            Some(place) => devices[place]
                .refused
                .map_or(Self::Device(place), Self::Refused),
            // What a manifest leaves open is whatever the board has; only of a list can something be missing.
            None if grants.is_open(kind) => Self::Refused(Refusal::NoSuchDevice),
            None => Self::Refused(Refusal::NotAllowed),
        }
    }
}

impl Grants {
    /// Whether the manifest names no device of the kind, which means all of them.
    fn is_open(&self, kind: Kind) -> bool {
        match kind {
            Kind::Gpio => self.gpio.as_ref().is_some_and(|it| it.pins.is_empty()),
            Kind::I2c => self.i2c.as_ref().is_some_and(|it| it.bus.is_none()),
            Kind::Spi => self.spi.as_ref().is_some_and(|it| it.bus.is_none()),
            Kind::Uart => self.uart.as_ref().is_some_and(|it| it.port.is_none()),
            Kind::Adc => self.adc.as_ref().is_some_and(|it| it.channels.is_empty()),
        }
    }
}
