//! The processes that the daemon starts: `app` runs one guest, `admit` checks and compiles one component, `ssh` serves one
//! SSH connection; `compile`, admission's work off the device, for the build of an image; and `pipe`, the control socket on
//! standard input and output. Each is the main function of a process of its
//! own; what passes between them and the daemon is in `spec.rs`.
//!
//! The daemon itself asks [`engine`] for keys and names only.

pub(crate) mod admit;
pub(crate) mod app;
pub(crate) mod compile;
mod control;
pub(crate) mod engine;
mod heartbeat;
pub(crate) mod pipe;
#[cfg(feature = "probe")]
mod probe;
pub(crate) mod ssh;
