//! `profiles/*.toml`: what a platform is, as in the guide.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;

mod parse;

pub use parse::parse;

/// The six platforms, in the guide's order.
pub const PLATFORMS: [&str; 6] = [
    BUILTIN[0].0,
    BUILTIN[1].0,
    BUILTIN[2].0,
    BUILTIN[3].0,
    BUILTIN[4].0,
    BUILTIN[5].0,
];

/// A parsed and checked profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// One of [`PLATFORMS`].
    pub name: String,
    /// `[profile] arch`
    pub arch: Arch,
    /// `[profile] runtime`
    pub engine: Engine,
    /// `[resources]`: memory of the platform in KiB (`ram_mb` or `ram_kb` in the file).
    pub ram_kb: u64,
    /// Most apps that run at once.
    pub max_apps: u32,
    /// `[resources] display`
    pub display: bool,
    /// `[resources] network`
    pub network: bool,
    /// `[resources] filesystem`
    pub filesystem: bool,
    /// `[resources] touch`
    pub touch: bool,
    /// `[peripherals]`
    pub peripherals: Peripherals,
    /// `[runtime]`
    pub runtime: Runtime,
}

/// `[profile] arch`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arch {
    /// `x86_64`
    X86_64,
    /// `aarch64`
    Aarch64,
    /// `arm-cortex-m4`
    CortexM4,
}

/// `[profile] runtime`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Wasmtime; x86_64 and aarch64.
    Wasmtime,
    /// WAMR; x86_64 and aarch64.
    Wamr,
    /// wasm3; any architecture.
    Wasm3,
}

impl Engine {
    /// As a profile spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wasmtime => "wasmtime",
            Self::Wamr => "wamr",
            Self::Wasm3 => "wasm3",
        }
    }
}

impl Arch {
    /// As a profile spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::CortexM4 => "arm-cortex-m4",
        }
    }
}

/// `[peripherals]`; absent keys are false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Peripherals {
    /// Digital pins.
    pub gpio: bool,
    /// I2C buses.
    pub i2c: bool,
    /// SPI buses.
    pub spi: bool,
    /// Serial ports.
    pub uart: bool,
    /// Analogue inputs.
    pub adc: bool,
}

/// `[runtime]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Machine code may be made on the device. False: only artefacts that came with the image or install run.
    pub jit: bool,
    /// Machine code is made ahead of time, off the device.
    pub aot: bool,
    /// The engine interprets.
    pub interpreter: bool,
    /// How hard the compiler tries.
    pub optimization_level: OptimizationLevel,
    /// Compiled code is kept in the store. False: compiled anew at every start.
    pub cache_compiled: bool,
    /// Watchdog for apps whose manifest names none, in seconds; absent: none.
    pub watchdog_default_secs: Option<u32>,
    /// Interpreter stack in KiB.
    pub stack_size_kb: Option<u32>,
}

/// `[runtime] optimization_level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizationLevel {
    /// Fast compile, slow code.
    None,
    /// Speed and size both count.
    Balanced,
    /// Fastest code.
    #[default]
    Speed,
    /// Smallest code.
    Size,
}

impl OptimizationLevel {
    /// As a profile spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Balanced => "balanced",
            Self::Speed => "speed",
            Self::Size => "size",
        }
    }
}

/// Names and texts of the six platforms, in the guide's order: the one place that lists the files.
pub const BUILTIN: [(&str, &str); 6] = [
    (
        "desktop-full",
        include_str!("../../profiles/desktop-full.toml"),
    ),
    ("mobile", include_str!("../../profiles/mobile.toml")),
    ("iot-edge", include_str!("../../profiles/iot-edge.toml")),
    (
        "robotics-rt",
        include_str!("../../profiles/robotics-rt.toml"),
    ),
    (
        "server-headless",
        include_str!("../../profiles/server-headless.toml"),
    ),
    (
        "mcu-minimal",
        include_str!("../../profiles/mcu-minimal.toml"),
    ),
];

/// The text of the profile of that name.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// The platform whose kernel is PREEMPT_RT.
const REALTIME: &str = "robotics-rt";

impl Profile {
    /// Whether the platform's images have a real-time kernel, so that `[realtime]` of a manifest means something. The
    /// guide's profiles have no key for it: it is what the platform's name says.
    pub fn realtime(&self) -> bool {
        self.name == REALTIME
    }

    /// Whether the platform has `capability`.
    ///
    /// Three rows of the guide's table have no key of their own in a profile: `stdio` is everywhere; `mouse` is there
    /// where a display is and touch is not (a desktop); `touch` needs a display to touch. The two capabilities
    /// that the table leaves out follow from what they are: `shell` is requests to the supervisor, so everywhere;
    /// `audio` belongs to the machines with a screen.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Stdio | Capability::Shell => true,
            Capability::Display | Capability::Audio => self.display,
            Capability::Network => self.network,
            Capability::Filesystem => self.filesystem,
            Capability::Mouse => self.display && !self.touch,
            Capability::Touch => self.display && self.touch,
            Capability::Gpio => self.peripherals.gpio,
            Capability::I2c => self.peripherals.i2c,
            Capability::Spi => self.peripherals.spi,
            Capability::Uart => self.peripherals.uart,
            Capability::Adc => self.peripherals.adc,
        }
    }
}
