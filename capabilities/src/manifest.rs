//! `vyoma.toml`: what an app is and what it asks for. Parsing only; what of it is granted is `resolve`'s decision.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;

pub mod compact;
mod parse;

pub use parse::{check_unique, is_app_name, parse};

/// A parsed and checked `vyoma.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `[app]`
    pub app: App,
    /// `[capabilities]`
    pub capabilities: Declared,
    /// `[resources]`
    pub resources: Resources,
    /// `[realtime]`
    pub realtime: Option<Realtime>,
    /// `[window]`
    pub window: Option<Window>,
    /// `[[menu_items]]`
    pub menu_items: Vec<MenuItem>,
}

/// `[app]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// 1 to 32 characters of `a-z 0-9 -`, starting with a letter; not `supervisor`, `broadcast` or `reply`.
    pub name: String,
    /// Free text of 1 to 32 printable characters; usually semver.
    pub version: String,
    /// The component, relative to the manifest; never leaves the app's folder.
    pub wasm: String,
    /// Lower-case hex SHA-256 of the component, when the manifest pins it.
    pub wasm_sha256: Option<String>,
    /// PNG, relative to the manifest.
    pub icon: Option<String>,
    /// What to do when the app ends by itself.
    pub restart: RestartPolicy,
    /// Seconds that a new version has to stay up and show life before the one before it is let go (0: none);
    /// absent: 10 ([`DEFAULT_WINDOW_MS`](crate::lifecycle::trial::DEFAULT_WINDOW_MS)).
    pub health_secs: Option<u32>,
    /// Arguments after the program's name (which is `name`).
    pub args: Vec<String>,
    /// The whole environment of the app.
    pub env: BTreeMap<String, String>,
}

/// `[app] restart`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Ends once and stays ended.
    Never,
    /// Restarted after a trap, a kill or a non-zero exit.
    #[default]
    OnFailure,
    /// Restarted whenever it ends, unless an operator stopped it.
    Always,
}

/// `[capabilities]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Declared {
    /// `stdio = true`
    pub stdio: bool,
    /// `filesystem = true`
    pub filesystem: bool,
    /// `network = true`
    pub network: bool,
    /// `display = true`
    pub display: bool,
    /// `shell = true`
    pub shell: bool,
    /// `mouse = true`
    pub mouse: bool,
    /// `touch = true`
    pub touch: bool,
    /// `audio = true`
    pub audio: bool,
    /// The one TCP/UDP port that the app listens on.
    pub network_port: Option<u16>,
    /// Seconds of silence before the app is killed; 0 turns the watchdog off; absent: the profile's default.
    pub watchdog_secs: Option<u32>,
    /// `[capabilities.gpio]` or `gpio = true`
    pub gpio: Option<Gpio>,
    /// `[capabilities.i2c]` or `i2c = true`
    pub i2c: Option<I2c>,
    /// `[capabilities.spi]` or `spi = true`
    pub spi: Option<Spi>,
    /// `[capabilities.uart]` or `uart = true`
    pub uart: Option<Uart>,
    /// `[capabilities.adc]` or `adc = true`
    pub adc: Option<Adc>,
}

impl Declared {
    /// Whether it asks for something that is wired to a board.
    pub fn asks_for_devices(&self) -> bool {
        use Capability::{Adc, Gpio, I2c, Spi, Uart};
        [Gpio, I2c, Spi, Uart, Adc]
            .into_iter()
            .any(|capability| self.asks_for(capability))
    }

    /// Whether the manifest asks for `capability`.
    pub fn asks_for(&self, capability: Capability) -> bool {
        match capability {
            Capability::Stdio => self.stdio,
            Capability::Display => self.display,
            Capability::Network => self.network,
            Capability::Filesystem => self.filesystem,
            Capability::Mouse => self.mouse,
            Capability::Touch => self.touch,
            Capability::Gpio => self.gpio.is_some(),
            Capability::I2c => self.i2c.is_some(),
            Capability::Spi => self.spi.is_some(),
            Capability::Uart => self.uart.is_some(),
            Capability::Adc => self.adc.is_some(),
            Capability::Shell => self.shell,
            Capability::Audio => self.audio,
        }
    }
}

/// A pin by number or by the label of the profile's board.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pin {
    /// Number on the board's first chip.
    Number(u32),
    /// Label from the board file.
    Label(String),
}

/// Which way a pin is used; absent in the manifest means both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Read only.
    Input,
    /// Driven.
    Output,
}

/// `[capabilities.gpio]`; empty `pins` means whatever the board defines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gpio {
    /// Each pin once.
    pub pins: Vec<Pin>,
    /// Absent: both.
    pub direction: Option<Direction>,
}

/// `[capabilities.i2c]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct I2c {
    /// Bus number; absent: whatever the board defines.
    pub bus: Option<u32>,
    /// 7-bit address; absent: any.
    pub address: Option<u8>,
}

/// `[capabilities.spi]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spi {
    /// Bus number; absent: whatever the board defines.
    pub bus: Option<u32>,
    /// Chip select.
    pub cs_pin: Option<u32>,
}

/// `[capabilities.uart]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uart {
    /// Port number; absent: whatever the board defines.
    pub port: Option<u32>,
    /// Bits per second.
    pub baud: Option<u32>,
}

/// `[capabilities.adc]`; empty `channels` means whatever the board defines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Adc {
    /// Each channel once.
    pub channels: Vec<u32>,
}

/// `[resources]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Most linear memory, in KiB (64 to 4194304); `memory.grow` past it fails.
    pub memory_kb: Option<u32>,
    /// Percent of one core (1 to 6400).
    pub cpu_percent: Option<u32>,
    /// Most data on disk, in KiB.
    pub storage_kb: Option<u32>,
}

/// `[realtime]`: the app's threads run by the clock and not by their share (SCHED_FIFO), and its memory is locked, so that
/// no page fault delays them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realtime {
    /// SCHED_FIFO priority, 1 to 98; 99 is left to the kernel's own threads.
    pub priority: u8,
}

/// `[window]`: wishes about the app's window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// Left edge in pixels.
    pub x: Option<u32>,
    /// Top edge in pixels.
    pub y: Option<u32>,
    /// Width in pixels.
    pub w: Option<u32>,
    /// Height in pixels.
    pub h: Option<u32>,
    /// Layer: 0 desktop, 10 app, 100 dock, 200 menu bar, 255 overlay.
    pub z: Option<u8>,
    /// Title bar text.
    pub title: Option<String>,
    /// Minimum width in pixels.
    pub width: Option<u32>,
    /// Minimum height in pixels.
    pub height: Option<u32>,
}

/// `[[menu_items]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuItem {
    /// What the menu shows.
    pub label: String,
    /// What a click sends.
    pub action: String,
    /// Greyed out when false.
    pub enabled: bool,
    /// Key combination.
    pub shortcut: Option<String>,
}
