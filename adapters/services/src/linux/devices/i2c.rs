//! I2C buses: `/dev/i2c-*` with `I2C_RDWR` (Linux, Documentation/i2c/dev-interface), or a simulated board.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use vyoma_capabilities::board::{Details, Fault, Kind};
use vyoma_component::services::{
    DeviceError, I2cBuses, I2cError, I2cOperation, NoAcknowledgeSource,
};
use vyoma_sim::wire::{Message, Operation, Request};

use super::Lease;
use super::channel::Channel;
use crate::linux::Linux;

/// A bus that an app has open.
pub struct Bus {
    lease: Lease,
    /// The only address that exists for the app.
    address: Option<u8>,
    channel: Channel,
}

impl I2cBuses for Linux {
    type I2cBus = Bus;

    fn open_i2c(&mut self, name: &str) -> Result<Bus, DeviceError> {
        let (device, lease) = self.devices.open(Kind::I2c, name, &self.config)?;
        let Details::I2c { address } = device.details else {
            return Err(DeviceError::HardwareFault);
        };
        Ok(Bus {
            lease,
            address,
            channel: Channel::default(),
        })
    }

    fn i2c_transaction(
        &mut self,
        bus: &mut Bus,
        address: u16,
        operations: &mut [I2cOperation<'_>],
    ) -> Result<(), I2cError> {
        if bus.address.is_some_and(|only| u16::from(only) != address) {
            return Err(I2cError::NoAcknowledge(NoAcknowledgeSource::Address));
        }
        if operations.is_empty() {
            return Ok(());
        }
        match bus.lease.kernel() {
            Some(device) => kernel(device, address, operations),
            None => simulated(bus, address, operations),
        }
    }
}

/// `struct i2c_msg` of linux/i2c.h
#[repr(C)]
struct Part {
    address: u16,
    flags: u16,
    length: u16,
    bytes: *mut u8,
}

impl Part {
    const NONE: Self = Self {
        address: 0,
        flags: 0,
        length: 0,
        bytes: std::ptr::null_mut(),
    };
}

/// `struct i2c_rdwr_ioctl_data` of linux/i2c-dev.h
#[repr(C)]
struct Parts {
    parts: *mut Part,
    count: u32,
}

/// linux/i2c-dev.h
const I2C_RDWR: rustix::ioctl::Opcode = 0x0707;
/// linux/i2c.h
const I2C_M_RD: u16 = 1;
const I2C_M_TEN: u16 = 0x10;

/// Operations that go without the heap: a register is written and read with two.
const FEW: usize = 2;

fn kernel(
    device: BorrowedFd<'_>,
    address: u16,
    operations: &mut [I2cOperation<'_>],
) -> Result<(), I2cError> {
    let wide = if address > 0x7f { I2C_M_TEN } else { 0 };
    let (mut few, mut many) = ([const { Part::NONE }; FEW], Vec::new());
    let parts = if let Some(few) = few.get_mut(..operations.len()) {
        few
    } else {
        many.resize_with(operations.len(), || Part::NONE);
        many.as_mut_slice()
    };
    for (part, operation) in parts.iter_mut().zip(operations) {
        let (flags, length, bytes) = match operation {
            I2cOperation::Read(buffer) => (I2C_M_RD, buffer.len(), buffer.as_mut_ptr()),
            // The kernel only reads what is written to a device.
            I2cOperation::Write(bytes) => (0, bytes.len(), bytes.as_ptr().cast_mut()),
        };
        *part = Part {
            address,
            flags: flags | wide,
            length: length as u16,
            bytes,
        };
    }
    let mut list = Parts {
        count: parts.len() as u32,
        parts: parts.as_mut_ptr(),
    };
    // SAFETY: `list` is what I2C_RDWR takes. Its parts point to buffers that outlive the call, each as long as it says (at
    // most 8192, so that the length fits), and those that the kernel writes to were borrowed mutably.
    let outcome = unsafe {
        let call = rustix::ioctl::Updater::<I2C_RDWR, Parts>::new(&mut list);
        rustix::ioctl::ioctl(device, call)
    };
    outcome.map_err(failed)
}

/// Linux, Documentation/i2c/fault-codes.
fn failed(errno: Errno) -> I2cError {
    match errno {
        Errno::NXIO => I2cError::NoAcknowledge(NoAcknowledgeSource::Address),
        Errno::REMOTEIO => I2cError::NoAcknowledge(NoAcknowledgeSource::Unknown),
        Errno::AGAIN => I2cError::ArbitrationLoss,
        Errno::OVERFLOW => I2cError::Overrun,
        Errno::INVAL | Errno::OPNOTSUPP | Errno::NOMEM => I2cError::Other,
        _ => I2cError::Bus,
    }
}

fn simulated(bus: &Bus, address: u16, operations: &mut [I2cOperation<'_>]) -> Result<(), I2cError> {
    let list = operations.iter().map(|operation| match operation {
        I2cOperation::Read(buffer) => Operation::Read(buffer.len() as u32),
        I2cOperation::Write(bytes) => Operation::Write(bytes.to_vec()),
    });
    let request = Request::I2c {
        address,
        operations: list.collect(),
    };
    let answer = bus.channel.ask(bus.lease.descriptor(), &request, |_| {});
    let read = match answer {
        Some(Message::Read(read)) => read,
        Some(Message::Fault(fault)) => {
            return Err(match fault {
                Fault::Nak => I2cError::NoAcknowledge(NoAcknowledgeSource::Address),
                Fault::NakData => I2cError::NoAcknowledge(NoAcknowledgeSource::Data),
                Fault::Bus | Fault::Timeout => I2cError::Bus,
                Fault::Arbitration => I2cError::ArbitrationLoss,
            });
        }
        _ => return Err(I2cError::Bus),
    };
    let buffers = operations
        .iter_mut()
        .filter_map(|operation| match operation {
            I2cOperation::Read(buffer) => Some(buffer),
            I2cOperation::Write(_) => None,
        });
    for (buffer, bytes) in buffers.zip(read) {
        if buffer.len() == bytes.len() {
            buffer.copy_from_slice(&bytes);
        }
    }
    Ok(())
}
