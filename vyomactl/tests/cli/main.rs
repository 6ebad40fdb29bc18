//! `vyomactl` as it is run: the program itself against a device that each test plays in a thread, over a real socket.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "tests: a panic is the report"
)]

mod caps;
mod dashboard;
mod device;
mod exit_codes;
// The device of vyoma-mcu-core's own tests.
#[path = "../../../mcu-firmware/core/tests/it/flash.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod flash;
mod hostile;
mod install;
mod json;
#[path = "../../../mcu-firmware/core/tests/it/played.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod played;
mod reference;
mod serial;
mod streams;
mod terminal;
