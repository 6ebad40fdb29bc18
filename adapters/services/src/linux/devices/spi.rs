//! SPI devices: `/dev/spidev*`, whose mode and speed the daemon has set, or a simulated board.

use spidev::{Spidev, SpidevTransfer};
use vyoma_capabilities::board::Kind;
use vyoma_component::services::{DeviceError, SpiBuses, SpiError, SpiOperation};
use vyoma_sim::wire::{Message, Operation, Request};

use super::channel::Channel;
use super::{Lease, Opened};
use crate::linux::Linux;

/// A device that an app has open.
pub struct Device {
    lease: Lease,
    channel: Channel,
}

impl SpiBuses for Linux {
    type SpiDevice = Device;

    fn open_spi(&mut self, name: &str) -> Result<Device, DeviceError> {
        let (_, lease) = self.devices.open(Kind::Spi, name, &self.config)?;
        Ok(Device {
            lease,
            channel: Channel::default(),
        })
    }

    fn spi_transaction(
        &mut self,
        device: &mut Device,
        operations: &mut [SpiOperation<'_>],
    ) -> Result<(), SpiError> {
        match &*device.lease.handle {
            Opened::Spi(spidev) => kernel(spidev, operations),
            _ => simulated(&device.channel, &device.lease, operations),
        }
    }
}

fn kernel(spidev: &Spidev, operations: &mut [SpiOperation<'_>]) -> Result<(), SpiError> {
    let outcome = match operations {
        [] => Ok(()),
        // Most are one; it needs no list.
        [only] => spidev.transfer(&mut transfer(only)),
        all => {
            let mut transfers: Vec<_> = all.iter_mut().map(transfer).collect();
            spidev.transfer_multiple(&mut transfers)
        }
    };
    outcome.map_err(|error| SpiError::Other(format!("spidev: {error}")))
}

fn transfer<'a>(operation: &'a mut SpiOperation<'_>) -> SpidevTransfer<'a, 'a> {
    match operation {
        SpiOperation::Read(buffer) => SpidevTransfer::read(buffer),
        SpiOperation::Write(bytes) => SpidevTransfer::write(bytes),
        SpiOperation::Transfer(buffer, bytes) => SpidevTransfer::read_write(bytes, buffer),
        // Microseconds, and at least as long as asked for; longer than 65 ms no device asks.
        SpiOperation::Delay(nanoseconds) => {
            SpidevTransfer::delay(u16::try_from(nanoseconds.div_ceil(1000)).unwrap_or(u16::MAX))
        }
    }
}

fn simulated(
    channel: &Channel,
    lease: &Lease,
    operations: &mut [SpiOperation<'_>],
) -> Result<(), SpiError> {
    let list = operations.iter().filter_map(|operation| match operation {
        SpiOperation::Read(buffer) => Some(Operation::Read(buffer.len() as u32)),
        SpiOperation::Write(bytes) => Some(Operation::Write(bytes.to_vec())),
        SpiOperation::Transfer(_, bytes) => Some(Operation::Transfer(bytes.to_vec())),
        SpiOperation::Delay(_) => None,
    });
    let request = Request::Spi(list.collect());
    let Some(Message::Read(read)) = channel.ask(lease.descriptor(), &request, |_| {}) else {
        return Err(SpiError::Other("the device does not answer".to_owned()));
    };
    let buffers = operations
        .iter_mut()
        .filter_map(|operation| match operation {
            SpiOperation::Read(buffer) | SpiOperation::Transfer(buffer, _) => Some(buffer),
            SpiOperation::Write(_) | SpiOperation::Delay(_) => None,
        });
    for (buffer, bytes) in buffers.zip(read) {
        if buffer.len() == bytes.len() {
            buffer.copy_from_slice(&bytes);
        }
    }
    Ok(())
}
