//! What `vyoma-mcu-core` promises, seen from outside. One binary, because linking is what takes the time.
#![allow(clippy::unwrap_used, reason = "tests: a panic is the report")]

mod components;
#[path = "../../../../adapters/component/tests/fixtures/mod.rs"]
mod fixtures;
mod flash;
mod installation;
mod line;
mod operator;
mod played;
mod power;
mod ring;
mod session;
mod store;
