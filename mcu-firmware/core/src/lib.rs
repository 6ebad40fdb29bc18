//! What the firmware of a microcontroller decides, without a microcontroller: which apps lie in flash and where
//! ([`store`]), what an operator on the serial line asks and gets ([`session`]), what apps printed ([`ring`]), what waits
//! for them ([`stdin`]), and where in memory they are ([`arena`], [`pool`], [`cover`]), what flash that can't be read means
//! ([`ecc`]), and what a firmware that panicked leaves behind ([`epitaph`]).
//!
//! Bytes and the time go in, bytes and calls of two traits come out: [`flash::Flash`] is the region that holds the
//! apps, [`session::Device`] is what the firmware does about an app. It deliberately knows no board, no UART, no
//! executor and no engine, so that all of it is tested on a workstation. The firmware (`mcu-firmware/firmware`) calls it;
//! `vyomactl`'s tests play a device with it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod arena;
pub mod cover;
pub mod ecc;
pub mod epitaph;
pub mod flash;
pub mod pool;
pub mod ring;
pub mod session;
pub mod stdin;
pub mod store;
