//! The capabilities of the guide's table, plus the two (`shell`, `audio`) that the manifest also knows.

use serde::{Deserialize, Serialize};

/// One thing that an app can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Standard input, output and error.
    Stdio,
    /// Drawing lines and a window.
    Display,
    /// TCP, UDP and name look-up.
    Network,
    /// A private data folder.
    Filesystem,
    /// Mouse events.
    Mouse,
    /// Touch events.
    Touch,
    /// Digital pins.
    Gpio,
    /// I2C buses.
    I2c,
    /// SPI buses.
    Spi,
    /// Serial ports.
    Uart,
    /// Analogue inputs.
    Adc,
    /// The privileged `@supervisor:` requests.
    Shell,
    /// Sound.
    Audio,
}

impl Capability {
    /// The eleven rows of the guide's table, in its order.
    pub const TABLE: [Self; 11] = [
        Self::Stdio,
        Self::Display,
        Self::Network,
        Self::Filesystem,
        Self::Mouse,
        Self::Touch,
        Self::Gpio,
        Self::I2c,
        Self::Spi,
        Self::Uart,
        Self::Adc,
    ];

    /// Every capability: the table's rows, then the two that it leaves out.
    pub const ALL: [Self; 13] = [
        Self::Stdio,
        Self::Display,
        Self::Network,
        Self::Filesystem,
        Self::Mouse,
        Self::Touch,
        Self::Gpio,
        Self::I2c,
        Self::Spi,
        Self::Uart,
        Self::Adc,
        Self::Shell,
        Self::Audio,
    ];

    /// Where it stands in [`Capability::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The capability that a call of this import uses: the interface with or without its version, and the function
    /// (`open-i2c`) or, for `resource.drop`, the resource. None for what every app has (clocks, randomness, polling) and for
    /// what one capability's streams share with another's; standard streams are counted where they are read and written.
    pub fn of_import(interface: &str, function: &str) -> Option<Self> {
        let interface = interface.split('@').next().unwrap_or(interface);
        match interface.split_once('/')? {
            ("wasi:filesystem", _) => Some(Self::Filesystem),
            ("wasi:sockets", _) => Some(Self::Network),
            ("wasi:gpio", "analog") | ("vyoma:adc", _) => Some(Self::Adc),
            ("vyoma:device", "gpio") if function == "get-analog-in" => Some(Self::Adc),
            ("wasi:gpio", _) | ("vyoma:device", "gpio" | "edges") => Some(Self::Gpio),
            ("vyoma:device", "buses") if function == "open-spi" => Some(Self::Spi),
            ("wasi:i2c", _) | ("vyoma:device", "buses") => Some(Self::I2c),
            ("wasi:spi", _) => Some(Self::Spi),
            ("vyoma:uart", _) => Some(Self::Uart),
            _ => None,
        }
    }

    /// Whether it gives devices of a board, as the kinds of [`crate::board::Kind`] do.
    pub const fn is_device(self) -> bool {
        matches!(
            self,
            Self::Gpio | Self::I2c | Self::Spi | Self::Uart | Self::Adc
        )
    }

    /// The key under `[capabilities]` in `vyoma.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Display => "display",
            Self::Network => "network",
            Self::Filesystem => "filesystem",
            Self::Mouse => "mouse",
            Self::Touch => "touch",
            Self::Gpio => "gpio",
            Self::I2c => "i2c",
            Self::Spi => "spi",
            Self::Uart => "uart",
            Self::Adc => "adc",
            Self::Shell => "shell",
            Self::Audio => "audio",
        }
    }
}

impl core::fmt::Display for Capability {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_found_at_its_index() {
        for (index, capability) in Capability::ALL.into_iter().enumerate() {
            assert_eq!(capability.index(), index, "{capability}");
        }
    }

    #[test]
    fn imports_belong_to_the_capability_that_gives_them() {
        for (interface, function, capability) in [
            (
                "wasi:filesystem/types@0.2.6",
                "[method]descriptor.open-at",
                Some(Capability::Filesystem),
            ),
            (
                "wasi:sockets/tcp",
                "[method]tcp-socket.start-bind",
                Some(Capability::Network),
            ),
            (
                "wasi:gpio/digital",
                "[method]digital-out-pin.set",
                Some(Capability::Gpio),
            ),
            (
                "vyoma:device/gpio@0.1.0",
                "get-digital-in",
                Some(Capability::Gpio),
            ),
            (
                "vyoma:device/gpio@0.1.0",
                "get-analog-in",
                Some(Capability::Adc),
            ),
            (
                "vyoma:device/buses@0.1.0",
                "open-i2c",
                Some(Capability::I2c),
            ),
            (
                "vyoma:device/buses@0.1.0",
                "open-spi",
                Some(Capability::Spi),
            ),
            ("vyoma:uart/uart@0.1.0", "uart", Some(Capability::Uart)),
            ("wasi:io/streams@0.2.6", "[method]output-stream.write", None),
            ("wasi:clocks/monotonic-clock", "now", None),
            ("nonsense", "", None),
        ] {
            assert_eq!(
                Capability::of_import(interface, function),
                capability,
                "{interface} {function}"
            );
        }
    }
}
