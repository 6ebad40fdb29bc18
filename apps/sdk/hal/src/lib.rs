//! Pins, buses, serial ports and converters for Vyoma apps, by the labels and numbers that `vyoma.toml` asks for. What is opened
//! implements the traits of `embedded-hal` 1.0 and `embedded-io` 0.7, so that drivers of the registry work in an app as they
//! are. It needs neither `std` nor a heap.
//!
//! ```no_run
//! use embedded_hal::digital::OutputPin;
//! use vyoma::{Duration, sleep};
//! use vyoma_hal::gpio::{Flags, Output};
//!
//! # fn blink() -> Result<(), vyoma_hal::gpio::Error> {
//! let mut led = Output::open("LED", Flags::default())?;
//! loop {
//!     led.set_high()?;
//!     sleep(Duration::from_millis(100));
//!     led.set_low()?;
//!     sleep(Duration::from_millis(900));
//! }
//! # }
//! ```
//!
//! Everything can be refused, and then it is an error: what the manifest does not declare, what the platform does not have, what
//! another app has open. Closing is dropping.
#![cfg_attr(target_os = "wasi", no_std)]

pub mod adc;
pub mod delay;
mod error;
pub mod gpio;
pub mod i2c;
pub mod spi;
mod sys;
pub mod uart;

pub use delay::Delay;
pub use error::OpenError;
