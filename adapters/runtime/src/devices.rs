//! The devices of one run: which there are, and the descriptors that were opened for it. Opening them is the daemon's; what
//! can be done with them is the services'.

use std::fs::File;
use std::os::fd::OwnedFd;

use vyoma_capabilities::board::{Answer, Device, Kind, Refusal};
use vyoma_capabilities::profile::Peripherals;
use vyoma_capabilities::resolve::Grants;

/// What an app can open.
#[derive(Debug, Default)]
pub struct Devices {
    /// What the platform has at all.
    pub peripherals: Peripherals,
    /// What the grants come to on this board.
    pub list: Vec<Device>,
    /// A descriptor for each that can be opened, in the same order.
    pub handles: Vec<Option<Handle>>,
}

/// What is behind a device.
#[derive(Debug)]
pub enum Handle {
    /// The kernel: a line request (GPIO uAPI v2), `/dev/i2c-*`, `/dev/spidev*`, a terminal, or an IIO channel's raw value.
    Kernel(File),
    /// A socket to a simulated board (vyoma-sim).
    Simulated(OwnedFd),
}

impl Devices {
    /// Where in the list the device is that an app means, or why there is none.
    pub fn find(&self, kind: Kind, name: &str, grants: &Grants) -> Result<usize, Refusal> {
        match Answer::of(kind, name, &self.list, grants, self.peripherals) {
            Answer::Device(place) => Ok(place),
            Answer::Refused(refusal) => Err(refusal),
        }
    }
}
