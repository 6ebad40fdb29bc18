//! (manifest, profile) -> grants and warnings: the one place where it is decided what an app may do.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::manifest::{Adc, Direction, Gpio, I2c, Manifest, Pin, Realtime, Spi, Uart};
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
    /// SCHED_FIFO and locked memory; only on a platform with a real-time kernel.
    #[serde(default)]
    pub realtime: Option<Realtime>,
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

/// Decides what `manifest` gets on `profile`: what it declares and the platform has. What it declares and the
/// platform lacks is one warning each; what it does not declare is neither granted nor mentioned.
pub fn resolve(manifest: &Manifest, profile: &Profile) -> Resolution {
    let declared = &manifest.capabilities;
    let granted = |capability| declared.asks_for(capability) && profile.has(capability);
    let grants = Grants {
        stdio: granted(Capability::Stdio),
        network: granted(Capability::Network).then_some(Network {
            port: declared.network_port,
        }),
        filesystem: granted(Capability::Filesystem),
        display: granted(Capability::Display),
        mouse: granted(Capability::Mouse),
        touch: granted(Capability::Touch),
        shell: granted(Capability::Shell),
        audio: granted(Capability::Audio),
        gpio: declared.gpio.clone().filter(|_| granted(Capability::Gpio)),
        i2c: declared.i2c.clone().filter(|_| granted(Capability::I2c)),
        spi: declared.spi.clone().filter(|_| granted(Capability::Spi)),
        uart: declared.uart.clone().filter(|_| granted(Capability::Uart)),
        adc: declared.adc.clone().filter(|_| granted(Capability::Adc)),
        // The manifest decides, with 0 for "none"; only its silence leaves it to the profile.
        watchdog_secs: declared
            .watchdog_secs
            .or(profile.runtime.watchdog_default_secs)
            .filter(|secs| *secs > 0),
        memory_kb: manifest.resources.memory_kb,
        cpu_percent: manifest.resources.cpu_percent,
        storage_kb: manifest.resources.storage_kb,
        realtime: manifest.realtime.filter(|_| profile.realtime()),
    };
    let warnings = Capability::ALL
        .into_iter()
        .filter(|capability| declared.asks_for(*capability) && !profile.has(*capability));
    let warnings = warnings.map(|capability| Warning {
        app: manifest.app.name.clone(),
        capability,
        platform: profile.name.clone(),
    });
    Resolution {
        grants,
        warnings: warnings.collect(),
    }
}

impl Grants {
    /// Whether `capability` was granted.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Stdio => self.stdio,
            Capability::Display => self.display,
            Capability::Network => self.network.is_some(),
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

impl Grants {
    /// How far the grant of `capability` goes, for people; empty when nothing bounds it or it is not granted.
    pub fn terms(&self, capability: Capability) -> String {
        fn list(items: impl Iterator<Item = String>) -> String {
            items.collect::<Vec<_>>().join(", ")
        }
        fn parts(parts: [Option<String>; 2]) -> String {
            list(parts.into_iter().flatten())
        }
        let terms = match capability {
            Capability::Network => self.network.map(|network| match network.port {
                Some(port) => format!("may listen on port {port}"),
                None => String::from("may listen from port 1024 on"),
            }),
            Capability::Gpio => self.gpio.as_ref().map(|gpio| {
                let pins = list(gpio.pins.iter().map(|pin| match pin {
                    Pin::Number(number) => number.to_string(),
                    Pin::Label(label) => label.clone(),
                }));
                match (pins.is_empty(), gpio.direction) {
                    (true, _) => String::new(),
                    (false, None) => format!("pins {pins}"),
                    (false, Some(Direction::Input)) => format!("pins {pins} as input"),
                    (false, Some(Direction::Output)) => format!("pins {pins} as output"),
                }
            }),
            Capability::I2c => self.i2c.as_ref().map(|i2c| {
                let address = i2c
                    .address
                    .map(|address| format!("address 0x{address:02x}"));
                parts([i2c.bus.map(|bus| format!("bus {bus}")), address])
            }),
            Capability::Spi => self.spi.as_ref().map(|spi| {
                let select = spi.cs_pin.map(|pin| format!("chip select {pin}"));
                parts([spi.bus.map(|bus| format!("bus {bus}")), select])
            }),
            Capability::Uart => self.uart.as_ref().map(|uart| {
                let baud = uart.baud.map(|baud| format!("{baud} baud"));
                parts([uart.port.map(|port| format!("port {port}")), baud])
            }),
            Capability::Adc => self
                .adc
                .as_ref()
                .filter(|adc| !adc.channels.is_empty())
                .map(|adc| {
                    let channels = adc.channels.iter().map(ToString::to_string);
                    format!("channels {}", list(channels))
                }),
            _ => None,
        };
        terms.unwrap_or_default()
    }
}

impl core::fmt::Display for Warning {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            app,
            capability,
            platform,
        } = self;
        write!(
            f,
            "{app} declares {capability}, which {platform} does not have; the app runs without it"
        )
    }
}
