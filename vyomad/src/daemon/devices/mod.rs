//! Pins, buses, serial ports and converters: opens what an app is granted when it starts, keeps what must not be shared from
//! being shared, and makes outputs safe when the app is gone. Called by `launch` and `supervisor`.
//!
//! Who comes first has it: an app that starts later and declares the same is told so by the interface's error when it opens it,
//! and starts all the same. Exclusive are pins that may be driven, (I2C bus, address), SPI devices and serial ports; inputs
//! and channels of converters are shared.

mod choose;
mod kernel;

pub(crate) use choose::{named, of_this_machine};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use vyoma_capabilities::board::{self, Board, Details, Device, Refusal, Safe};
use vyoma_capabilities::control::sim::{SimAnswer, SimRequest};
use vyoma_capabilities::control::{ControlError, ErrorKind};
use vyoma_capabilities::manifest::Direction;
use vyoma_capabilities::resolve::Grants;

use super::operate;

/// The devices of this machine.
#[derive(Debug)]
pub(crate) struct Devices {
    board: Board,
    #[cfg(feature = "simulate")]
    simulator: Option<vyoma_sim::Simulator>,
    table: RefCell<Table>,
}

/// Who has what.
#[derive(Debug, Default)]
struct Table {
    claims: Vec<Claim>,
    /// Lines of pins that were asked of the kernel, by chip and line. They stay ours from then on, so that an output keeps its
    /// safe state, and so that an app that starts again finds its pin as it is.
    lines: BTreeMap<(usize, u32), File>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    app: Rc<str>,
    what: What,
}

/// What can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Pin {
        chip: usize,
        line: u32,
        input_only: bool,
        safe: Safe,
    },
    I2c {
        bus: usize,
        address: Option<u8>,
    },
    Spi(usize),
    Uart(usize),
}

impl What {
    fn of(device: &Device) -> Option<Self> {
        let place = device.place;
        Some(match device.details {
            Details::Pin {
                line,
                direction,
                safe,
                ..
            } => Self::Pin {
                chip: place,
                line,
                input_only: direction == Some(Direction::Input),
                safe,
            },
            Details::I2c { address } => Self::I2c {
                bus: place,
                address,
            },
            Details::Spi => Self::Spi(place),
            Details::Uart { .. } => Self::Uart(place),
            Details::Adc { .. } => return None,
        })
    }

    /// Whether two apps can't have both.
    fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Pin { input_only: a, .. }, Self::Pin { input_only: b, .. }) => {
                self.is_same_line(other) && !(a && b)
            }
            (
                Self::I2c { bus, address },
                Self::I2c {
                    bus: other,
                    address: theirs,
                },
            ) => bus == other && (address.is_none() || theirs.is_none() || address == theirs),
            _ => self == other,
        }
    }

    fn is_same_line(self, other: Self) -> bool {
        match (self, other) {
            (
                Self::Pin { chip, line, .. },
                Self::Pin {
                    chip: theirs,
                    line: other,
                    ..
                },
            ) => (chip, line) == (theirs, other),
            _ => false,
        }
    }
}

/// What an app gets: the devices of its grants, and a descriptor for each that it can open.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) list: Vec<Device>,
    pub(crate) descriptors: Vec<Option<OwnedFd>>,
    /// The descriptors are a simulated board's.
    pub(crate) simulated: bool,
    /// What the app does without, one line each.
    pub(crate) notes: Vec<String>,
}

impl Devices {
    /// Those of a board that the kernel has.
    pub(crate) fn new(board: Board) -> Self {
        Self {
            board,
            #[cfg(feature = "simulate")]
            simulator: None,
            table: RefCell::default(),
        }
    }

    /// Those of a board in memory.
    #[cfg(feature = "simulate")]
    pub(crate) fn simulated(board: Board) -> std::io::Result<Self> {
        Ok(Self {
            simulator: Some(vyoma_sim::Simulator::start(&board)?),
            ..Self::new(board)
        })
    }

    /// Opens what `grants` give to an app that is about to start.
    pub(crate) fn give(&self, app: &Rc<str>, grants: &Grants) -> Given {
        let mut given = Given {
            list: board::devices(&self.board, grants),
            ..Given::default()
        };
        let mut list = std::mem::take(&mut given.list);
        for device in &mut list {
            let opened = match device.refused {
                Some(refusal) => Err((refusal, String::from("the board has none"))),
                None => self.open(app, device, &mut given),
            };
            given.descriptors.push(match opened {
                Ok(descriptor) => Some(descriptor),
                Err((refusal, why)) => {
                    device.refused = Some(refusal);
                    let kind = device.kind.capability();
                    let name = device.label.as_ref().unwrap_or(&device.number);
                    given.notes.push(format!("{kind} {name}: {why}"));
                    None
                }
            });
        }
        given.list = list;
        given
    }

    fn open(
        &self,
        app: &Rc<str>,
        device: &mut Device,
        given: &mut Given,
    ) -> Result<OwnedFd, (Refusal, String)> {
        let what = What::of(device);
        if let Some(what) = what
            && let Some(holder) = self.holder(app, what)
        {
            let why = format!("the app {holder} has it");
            return Err((Refusal::AlreadyInUse, why));
        }
        #[cfg(feature = "simulate")]
        if let Some(simulator) = &self.simulator {
            given.simulated = true;
            let socket = simulator.open(device);
            let socket = socket.map_err(|error| (Refusal::HardwareFault, error.to_string()))?;
            self.claim(app, what);
            return Ok(socket);
        }
        let _ = given;
        let descriptor = self.open_kernel(app, device)?;
        self.claim(app, what);
        Ok(descriptor)
    }

    fn open_kernel(
        &self,
        app: &Rc<str>,
        device: &mut Device,
    ) -> Result<OwnedFd, (Refusal, String)> {
        let Some(What::Pin {
            chip, line, safe, ..
        }) = What::of(device)
        else {
            return kernel::open(&self.board, device);
        };
        let mut table = self.table.borrow_mut();
        if let Details::Pin { shared, .. } = &mut device.details {
            // Whoever reads the pin already has its edges: the kernel has one queue for a line.
            *shared = table.claims.iter().any(|claim| {
                claim.app != *app
                    && matches!(claim.what, What::Pin { chip: c, line: l, .. } if (c, l) == (chip, line))
            });
        }
        let file = match table.lines.entry((chip, line)) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                let name = &self.board.gpio[chip].chip;
                unknown.insert(kernel::request(name, line, safe)?)
            }
        };
        file.try_clone()
            .map(OwnedFd::from)
            .map_err(|error| (Refusal::HardwareFault, error.to_string()))
    }

    fn holder(&self, app: &Rc<str>, what: What) -> Option<Rc<str>> {
        let table = self.table.borrow();
        let mut others = table.claims.iter().filter(|claim| claim.app != *app);
        others
            .find(|claim| claim.what.excludes(what))
            .map(|claim| Rc::clone(&claim.app))
    }

    fn claim(&self, app: &Rc<str>, what: Option<What>) {
        if let Some(what) = what {
            self.table.borrow_mut().claims.push(Claim {
                app: Rc::clone(app),
                what,
            });
        }
    }

    /// What an operator asks of the simulated board.
    #[cfg(feature = "simulate")]
    pub(crate) fn simulate(&self, request: &SimRequest) -> Result<Option<SimAnswer>, ControlError> {
        match &self.simulator {
            Some(simulator) => simulator.ask(request),
            None => Err(nothing_simulated()),
        }
    }

    /// What an operator asks of the simulated board, which this program can't have.
    #[cfg(not(feature = "simulate"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    pub(crate) fn simulate(&self, _: &SimRequest) -> Result<Option<SimAnswer>, ControlError> {
        Err(nothing_simulated())
    }

    /// An app is gone, however it ended: what it had is free, and what it drove is safe. A simulated board sees to its
    /// outputs by itself when the app's sockets close.
    pub(crate) fn release(&self, app: &str) {
        let mut table = self.table.borrow_mut();
        let Table { claims, lines } = &mut *table;
        claims.retain(|claim| {
            if &*claim.app != app {
                return true;
            }
            if let What::Pin {
                chip,
                line,
                input_only: false,
                safe,
            } = claim.what
                && let Some(file) = lines.get(&(chip, line))
            {
                kernel::make_safe(file, safe);
            }
            false
        });
    }
}

fn nothing_simulated() -> ControlError {
    operate::refuse(
        ErrorKind::State,
        "no board is simulated here; expected a daemon started with vyomad --hosted --simulate BOARD",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(line: u32, input_only: bool) -> What {
        What::Pin {
            chip: 0,
            line,
            input_only,
            safe: Safe::Input,
        }
    }

    #[test]
    fn inputs_are_shared_and_everything_else_is_one_apps() {
        assert!(!pin(1, true).excludes(pin(1, true)));
        assert!(pin(1, true).excludes(pin(1, false)));
        assert!(pin(1, false).excludes(pin(1, false)));
        assert!(!pin(1, false).excludes(pin(2, false)));
        assert!(What::Spi(0).excludes(What::Spi(0)));
        assert!(!What::Spi(0).excludes(What::Uart(0)));
    }

    #[test]
    fn an_i2c_bus_is_shared_by_address() {
        let bus = |address| What::I2c { bus: 0, address };
        assert!(!bus(Some(0x48)).excludes(bus(Some(0x76))));
        assert!(bus(Some(0x48)).excludes(bus(Some(0x48))));
        assert!(bus(None).excludes(bus(Some(0x48))));
        assert!(bus(Some(0x48)).excludes(bus(None)));
    }
}
