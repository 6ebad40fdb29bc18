//! wasm3, an interpreter of core modules in 100 KB: the engine of microcontrollers, and of Linux where memory counts most.
//!
//! [`engine`] is all that the microcontroller's firmware uses; it needs neither `std` nor `alloc`. With the feature `std` there is
//! [`Wasm3`], which implements `vyoma_runtime::WasmRuntime` over the Linux services, for `vyomad`. Nothing is
//! compiled ahead: an artefact is the program's core module. wasm3 can't stop a guest; on Linux the process ends instead.

#![cfg_attr(not(any(test, feature = "std")), no_std)]

pub mod engine;
mod exports;
pub mod words;

#[cfg(feature = "std")]
mod hosted;

#[cfg(feature = "std")]
pub use crate::hosted::Wasm3;
pub use vyoma_wasm3_sys::VERSION;
