//! Differential fuzzing: random components, and every engine must make the same of each.
//!
//! A component comes of a number ([`generate`]): a core module of wasm-smith with the features that this project admits, or
//! one of our own that is about control flow ([`control`]), a wrapper around it that calls its functions and prints what they
//! return and which host calls they make ([`wrap`]), and the encoder of `wasm32-wasip2` toolchains. Each engine runs it in a
//! process of its own ([`execute`]); what is compared is how it ended, with the words of its trap, and every byte it printed.
//! Used by the binary `vyoma-differential` and by the test over `corpus/`. It deliberately knows no engine but by the
//! `WasmRuntime` trait, and reduces nothing: a finding is a small file already.

mod control;
pub mod engines;
pub mod execute;
pub mod generate;
mod wrap;

pub use self::execute::{Outcome, differences};
