//! This project's own packages, for what no proposal has: opening devices by name, serial ports, converters in volts.

#![allow(
    clippy::unnecessary_wraps,
    reason = "host functions have one shape, whether they can trap or not"
)]

pub mod adc;
pub mod device;
pub mod uart;
