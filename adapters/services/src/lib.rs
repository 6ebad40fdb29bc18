//! WASI 0.2 and devices over the Linux kernel, for programs that run as core modules.
//!
//! Implements the traits of `vyoma_component::services` for one app, as its grants allow, with the results that
//! wasmtime-wasi gives. Everything is on the calling thread: a call that waits, waits in the kernel, and no thread is ever
//! made except for name look-up, which only the `network` grant allows. It deliberately knows no engine. Called by the
//! adapters of WAMR and wasm3, and by Wasmtime's for components with devices, within `vyomad app`, which is already locked in
//! when the guest starts.

pub mod artefact;
mod linux;
mod run;

pub use crate::linux::Linux;
pub use crate::run::{HostSide, ending};
