//! A board in memory, made from a board file: pins that can be driven from outside and wired to each other, I2C register
//! files and displays, SPI parts, scripted serial lines and converters, each of which can fail.
//!
//! [`Machine`] is the board and knows no operating system. The server gives each device of an app a socket
//! in the place of the kernel's descriptor, with the messages of [`wire`]; `vyoma-services` speaks them in the app's process.
//! Used by `vyomad --simulate` and by the conformance suite. It simulates no time: a transfer takes what it takes.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod i2c;
mod machine;
mod operator;
#[cfg(feature = "std")]
mod server;
mod spi;
mod ssd1306;
pub mod wire;

pub use machine::{Change, Machine};
pub use operator::Told;
#[cfg(feature = "std")]
pub use server::Simulator;
