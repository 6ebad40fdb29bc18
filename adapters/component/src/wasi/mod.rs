//! WASI 0.2: the host functions of each package, over the traits of [`services`](crate::services). A platform lists those
//! that it has in [`Platform::packages`](crate::host::Platform::packages). A function here lifts, checks and asks a
//! service; what a service can't do is the interface's error value, never a trap.

#![allow(
    clippy::unnecessary_wraps,
    reason = "host functions have one shape, whether they can trap or not"
)]

pub mod cli;
pub mod clocks;
pub mod filesystem;
pub mod gpio;
pub mod i2c;
pub mod io;
pub mod known;
pub mod random;
pub mod sockets;
pub mod spi;
pub mod without;
