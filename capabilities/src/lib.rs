//! What a Vyoma app may do, decided in one place.
//!
//! This crate turns text (a manifest, a profile, a line that an app printed) into types, and (manifest, profile)
//! into grants and warnings. It holds the control messages that `vyomactl` and a device exchange, how they go over a serial line, and the
//! lifecycle state machine that the Linux daemon and the microcontroller firmware both run. It deliberately does
//! no I/O, knows no clock, no operating system and no engine, and builds for `thumbv7m-none-eabi`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod board;
pub mod capability;
pub mod control;
pub mod error;
pub mod hex;
pub mod lifecycle;
pub mod lines;
pub mod link;
pub mod manifest;
pub mod profile;
mod read;
pub mod resolve;
pub mod signature;
