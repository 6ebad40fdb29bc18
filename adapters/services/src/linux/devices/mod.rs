//! Pins, buses, serial ports and converters on descriptors that the daemon opened: the kernel's, or sockets to a simulated
//! board. Nothing is opened here, so nothing here can be opened that was not granted.

mod channel;
mod converters;
mod i2c;
mod pins;
mod serial;
mod spi;

use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use spidev::Spidev;
use vyoma_capabilities::board::{Device, Kind, Refusal};
use vyoma_component::services::DeviceError;
use vyoma_runtime::RunConfig;
use vyoma_runtime::devices::{Devices as Given, Handle};

/// The devices of one run.
pub(crate) struct Devices {
    given: Given,
    places: Vec<Place>,
}

/// What is behind a device, with its one descriptor: the sandbox allows by its number what may be asked of it.
enum Opened {
    Kernel(File),
    Spi(Spidev),
    Simulated(OwnedFd),
}

/// A device that can be opened: one at a time.
#[derive(Clone)]
struct Place {
    handle: Option<Rc<Opened>>,
    open: Rc<Cell<bool>>,
    edge: Rc<Cell<u32>>,
}

/// The right to use a device; it ends when it is dropped.
struct Lease {
    handle: Rc<Opened>,
    open: Rc<Cell<bool>>,
    /// The kernel's number of the last edge of a line that was read.
    edge: Rc<Cell<u32>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.open.set(false);
    }
}

impl Devices {
    pub(crate) fn new(mut given: Given) -> Self {
        let handles = std::mem::take(&mut given.handles);
        let opened = |kind, handle| match (kind, handle) {
            (Kind::Spi, Handle::Kernel(file)) => Opened::Spi(Spidev::new(file)),
            (_, Handle::Kernel(file)) => Opened::Kernel(file),
            (_, Handle::Simulated(socket)) => Opened::Simulated(socket),
        };
        let places = given
            .list
            .iter()
            .zip(handles)
            .map(|(device, handle)| Place {
                handle: handle.map(|handle| Rc::new(opened(device.kind, handle))),
                open: Rc::default(),
                edge: Rc::default(),
            });
        Self {
            places: places.collect(),
            given,
        }
    }

    /// The device of that name, for whoever opens it first.
    fn open(
        &self,
        kind: Kind,
        name: &str,
        config: &RunConfig,
    ) -> Result<(&Device, Lease), DeviceError> {
        let found = self.given.find(kind, name, &config.grants);
        let place = found.map_err(|refusal| {
            if matches!(refusal, Refusal::NotAllowed | Refusal::NotSupported) {
                config.activity.refused(kind.capability());
            }
            refused(refusal)
        })?;
        let Place { handle, open, edge } = self
            .places
            .get(place)
            .cloned()
            .ok_or(DeviceError::HardwareFault)?;
        let handle = handle.ok_or(DeviceError::HardwareFault)?;
        if open.replace(true) {
            return Err(DeviceError::AlreadyInUse);
        }
        Ok((&self.given.list[place], Lease { handle, open, edge }))
    }
}

impl Lease {
    /// The kernel's descriptor of the device; none for a simulated one.
    fn kernel(&self) -> Option<BorrowedFd<'_>> {
        match &*self.handle {
            Opened::Kernel(file) => Some(file.as_fd()),
            Opened::Spi(device) => Some(device.inner().as_fd()),
            Opened::Simulated(_) => None,
        }
    }

    /// The kernel's descriptor or the socket.
    fn descriptor(&self) -> BorrowedFd<'_> {
        match &*self.handle {
            Opened::Kernel(file) => file.as_fd(),
            Opened::Spi(device) => device.inner().as_fd(),
            Opened::Simulated(socket) => socket.as_fd(),
        }
    }
}

/// As the board labels it, else its number.
fn label(device: &Device) -> String {
    device.label.as_ref().unwrap_or(&device.number).clone()
}

fn refused(refusal: Refusal) -> DeviceError {
    match refusal {
        Refusal::NotAllowed => DeviceError::NotAllowed,
        Refusal::NotSupported => DeviceError::NotSupported,
        Refusal::AlreadyInUse => DeviceError::AlreadyInUse,
        Refusal::NoSuchDevice => DeviceError::NoSuchDevice,
        Refusal::HardwareFault => DeviceError::HardwareFault,
    }
}
