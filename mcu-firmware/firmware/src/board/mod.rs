//! The boards, one module each; a build has one of them. A board gives:
//!
//! | item | what |
//! |---|---|
//! | `NAME` | as the feature of Cargo.toml and the linker script have it |
//! | `CLOCK_HZ` | the processor's clock, once `init` is through |
//! | `init` | brings up clocks and the console UART |
//! | `console_send` | gives the UART its first byte; its interrupt then asks `console::next_byte` for more |
//! | `console_send_now` | sends a byte without interrupts |
//! | `random` | fills bytes, and whether they are fit for secrets |

#[cfg(all(feature = "mps2-an385", feature = "b-l475e-iot01a"))]
compile_error!("two boards; build with one of the features mps2-an385 and b-l475e-iot01a");

#[cfg(not(any(feature = "mps2-an385", feature = "b-l475e-iot01a")))]
compile_error!("no board; build with --features mps2-an385 or --features b-l475e-iot01a");

#[cfg(feature = "mps2-an385")]
mod mps2_an385;
#[cfg(feature = "mps2-an385")]
pub(crate) use mps2_an385::*;
