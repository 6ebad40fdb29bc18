//! `profiles/*.toml`: what a platform is, as in the guide.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::error::ConfigError;

/// The six platforms, in the guide's order.
pub const PLATFORMS: [&str; 6] =
    ["desktop-full", "mobile", "iot-edge", "robotics-rt", "server-headless", "mcu-minimal"];

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
