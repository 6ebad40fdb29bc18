//! Devices for cases: the simulated board of the tree, in the process of the case.

use std::io;
use std::sync::OnceLock;

use vyoma_capabilities::board::{self, Board, Refusal};
use vyoma_capabilities::profile::Peripherals;
use vyoma_capabilities::resolve::Grants;
use vyoma_sim::Simulator;

use crate::devices::{Devices, Handle};

/// On what a case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bench {
    /// A platform that has everything, with `boards/simulated.toml`.
    Simulated,
    /// The same, and another app has all of it.
    Taken,
    /// A platform without any device.
    Bare,
}

/// What the daemon would open.
pub(super) fn of(bench: Bench, grants: &Grants) -> Result<Devices, String> {
    if bench == Bench::Bare {
        return Ok(Devices::default());
    }
    let text = board::BUILTIN
        .iter()
        .find(|(name, _)| *name == "simulated")
        .map_or("", |(_, text)| *text);
    let board = board::parse("simulated.toml", text).map_err(|error| error.to_string())?;
    let mut devices = Devices {
        peripherals: ALL,
        list: board::devices(&board, grants),
        handles: Vec::new(),
    };
    for device in &mut devices.list {
        if bench == Bench::Taken {
            device.refused = Some(Refusal::AlreadyInUse);
        }
        let handle = if device.refused.is_some() {
            None
        } else {
            let simulator = simulator(&board).map_err(|error| error.to_string())?;
            let socket = simulator.open(device).map_err(|error| error.to_string())?;
            Some(Handle::Simulated(socket))
        };
        devices.handles.push(handle);
    }
    Ok(devices)
}

const ALL: Peripherals = Peripherals {
    gpio: true,
    i2c: true,
    spi: true,
    uart: true,
    adc: true,
};

/// One for the process, which is one run.
fn simulator(board: &Board) -> io::Result<&'static Simulator> {
    static SIMULATOR: OnceLock<Simulator> = OnceLock::new();
    if let Some(simulator) = SIMULATOR.get() {
        return Ok(simulator);
    }
    let started = Simulator::start(board)?;
    Ok(SIMULATOR.get_or_init(|| started))
}
