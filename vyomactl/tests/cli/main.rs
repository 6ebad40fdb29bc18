//! `vyomactl` as it is run: the program itself against a device that each test plays in a thread, over a real socket.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "tests: a panic is the report"
)]

mod device;
mod exit_codes;
mod hostile;
mod install;
mod json;
mod reference;
mod streams;
mod terminal;
