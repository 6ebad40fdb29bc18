//! The functions of capabilities/wit. In a component they are the host's; elsewhere there is no device of any kind.
//!
//! What a call hands over lands in the buffer of its caller. Texts of errors land in a small place of their own and are not kept.

#[cfg(target_os = "wasi")]
mod wasi;
#[cfg(target_os = "wasi")]
pub(crate) use wasi::*;

#[cfg(not(target_os = "wasi"))]
mod elsewhere;
#[cfg(not(target_os = "wasi"))]
pub(crate) use elsewhere::*;
