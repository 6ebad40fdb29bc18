//! What runs as an app: unprivileged, on the app's own stack and in its own arena. It loads the component, runs it with
//! wasm3, and implements the host functions' services by calls to the firmware. Everything here may fail, run for ever or
//! use up its memory; it ends itself or is ended, and nobody else notices.

mod devices;
mod load;
mod run;
mod services;
mod svc;

pub(crate) use load::{load, look};
pub(crate) use run::run;
pub(crate) use svc::panicked;

use alloc::vec::Vec;

use vyoma_adapter_wasm3::engine::{Function, Machine};
use vyoma_component::host::Linked;

use services::Board;

/// A component that is ready to run.
pub(crate) struct Loaded {
    machine: Machine<'static>,
    run: Function,
    reallocs: Vec<Function>,
    links: Vec<Linked<Board>>,
}
