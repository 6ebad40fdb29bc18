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
