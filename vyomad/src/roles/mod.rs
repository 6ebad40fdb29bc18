//! The processes that the daemon starts: `app` runs one guest, `admit` checks and compiles one component; and
//! `compile`, the same work off the device, for the build of an image. Each is the main function of a process of its
//! own; what passes between them and the daemon is in `spec.rs`.
//!
//! The daemon itself asks [`engine`] for keys and names only.

pub(crate) mod admit;
pub(crate) mod app;
pub(crate) mod compile;
mod control;
pub(crate) mod engine;
mod heartbeat;
#[cfg(feature = "probe")]
mod probe;
