//! Components on engines that have no component model.
//!
//! WAMR and wasm3 run core modules only. This crate reads a component in place and reduces it to one core module whose
//! imports are all known host functions ([`program`]), and implements those functions once for all such engines: the
//! canonical ABI ([`abi`]), handle tables ([`handles`]), WASI 0.2 ([`wasi`]) and our own packages ([`vyoma`]), over two traits: [`guest::Guest`] for what
//! an engine gives (memory, `cabi_realloc`) and the traits in [`services`] for what a platform gives (clocks, streams,
//! files, sockets). It deliberately knows no operating system, no clock and no engine, and needs `alloc` only: the
//! microcontroller's firmware uses the same code. Called by the adapters of WAMR and wasm3, by Wasmtime's for components with
//! devices, and for reading by the
//! programs that show or check components.

#![no_std]

extern crate alloc;
#[cfg(feature = "merge")]
extern crate std;

pub mod abi;
pub mod guest;
pub mod handles;
pub mod host;
pub mod program;
mod reader;
pub mod services;
mod sorted;
pub mod trap;
pub mod vyoma;
pub mod wasi;
