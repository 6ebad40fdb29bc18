//! (manifest, profile) -> grants and warnings: the one place where it is decided what an app may do.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::manifest::{Adc, Gpio, I2c, Manifest, Spi, Uart};
use crate::profile::Profile;

/// What an app may do here. What is not in it does not exist for the app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grants {
    /// Pipes for stdin, stdout and stderr; without it stdin is at its end and output goes nowhere.
    pub stdio: bool,
    /// Sockets and name look-up.
    pub network: Option<Network>,
    /// The app's private data folder as its only preopen, `/`.
    pub filesystem: bool,
    /// `VYOMA_DRAW:` lines are drawn.
    pub display: bool,
    /// Mouse events.
    pub mouse: bool,
    /// Touch events.
    pub touch: bool,
    /// Privileged `@supervisor:` requests.
    pub shell: bool,
    /// `VYOMA_AUDIO:` lines are played.
    pub audio: bool,
    /// Pins.
    pub gpio: Option<Gpio>,
    /// I2C.
    pub i2c: Option<I2c>,
    /// SPI.
    pub spi: Option<Spi>,
    /// Serial ports.
    pub uart: Option<Uart>,
    /// Analogue inputs.
    pub adc: Option<Adc>,
    /// Seconds of silence before the app is killed; absent: no watchdog.
    pub watchdog_secs: Option<u32>,
    /// Most linear memory, in KiB; absent: only the platform limits it.
    pub memory_kb: Option<u32>,
    /// Percent of one core.
    pub cpu_percent: Option<u32>,
    /// Most data on disk, in KiB.
    pub storage_kb: Option<u32>,
}

/// What `network = true` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Network {
    /// The only port that the app may bind (besides 0, "any free port"); absent: any from 1024 up.
    pub port: Option<u16>,
}

/// Declared, but not on this platform: logged once; the app still starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The app.
    pub app: String,
    /// What it declared.
    pub capability: Capability,
    /// Where that does not exist.
    pub platform: String,
}

/// What [`resolve`] decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// What the app may do.
    pub grants: Grants,
    /// What it asked for in vain, one per capability, in the table's order.
    pub warnings: Vec<Warning>,
}

/// Decides what `manifest` gets on `profile`.
pub fn resolve(_manifest: &Manifest, _profile: &Profile) -> Resolution {
    Resolution { grants: Grants::default(), warnings: Vec::new() }
}
