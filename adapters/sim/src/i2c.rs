//! Devices on a bus: register files, as sensors have them, and what else a board can have there.

use alloc::vec::Vec;

use vyoma_capabilities::board::{Fault, I2cDevice, I2cPart};

use crate::ssd1306::Ssd1306;
use crate::wire::Operation;

/// A device on a bus.
#[derive(Debug)]
pub(crate) struct Slave {
    pub(crate) address: u8,
    pub(crate) part: Part,
    pub(crate) fault: Option<Fault>,
    /// Transfers that work before the fault.
    pub(crate) after: u32,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum Part {
    Registers(RegisterFile),
    Display(Ssd1306),
}

impl Slave {
    pub(crate) fn new(device: &I2cDevice) -> Self {
        Self {
            address: device.address,
            part: match device.part {
                I2cPart::Registers => Part::Registers(RegisterFile::new(device)),
                I2cPart::Ssd1306 => Part::Display(Ssd1306::new()),
            },
            fault: device.fault,
            after: device.after,
        }
    }

    pub(crate) fn transfer(&mut self, operations: &[Operation]) -> Result<Vec<Vec<u8>>, Fault> {
        if let Some(fault) = self.fault {
            let Some(left) = self.after.checked_sub(1) else {
                // In the middle of it: what came first in the transaction has been done.
                if let (Fault::Bus | Fault::Timeout, [first, _, ..]) = (fault, operations) {
                    self.part.operate(first);
                }
                return Err(fault);
            };
            self.after = left;
        }
        Ok(operations
            .iter()
            .filter_map(|operation| self.part.operate(operation))
            .collect())
    }
}

impl Part {
    /// What was read, if the operation reads.
    fn operate(&mut self, operation: &Operation) -> Option<Vec<u8>> {
        match (operation, self) {
            (Operation::Write(bytes) | Operation::Transfer(bytes), Self::Registers(file)) => {
                file.write(bytes);
                None
            }
            (Operation::Write(bytes) | Operation::Transfer(bytes), Self::Display(display)) => {
                display.write(bytes);
                None
            }
            (Operation::Read(length), Self::Registers(file)) => Some(file.read(*length as usize)),
            (Operation::Read(length), Self::Display(display)) => {
                Some(alloc::vec![display.status(); *length as usize])
            }
        }
    }
}

/// Registers, and the one that is read next.
#[derive(Debug)]
pub(crate) struct RegisterFile {
    width: usize,
    /// 256 registers.
    bytes: Vec<u8>,
    pointer: u8,
}

impl RegisterFile {
    fn new(device: &I2cDevice) -> Self {
        let width = device.width.clamp(1, 2) as usize;
        let mut file = Self {
            width,
            bytes: alloc::vec![0; 256 * width],
            pointer: 0,
        };
        for (register, bytes) in &device.registers {
            file.put(*register, bytes);
        }
        file
    }

    /// Writes bytes from a register on, going round at the end.
    pub(crate) fn put(&mut self, register: u8, bytes: &[u8]) {
        let length = self.bytes.len();
        let start = usize::from(register) * self.width;
        for (offset, byte) in bytes.iter().enumerate() {
            self.bytes[(start + offset) % length] = *byte;
        }
    }

    /// Bytes from a register on, going round at the end.
    pub(crate) fn get(&self, register: u8, length: usize) -> Vec<u8> {
        let start = usize::from(register) * self.width;
        let all = self.bytes.len();
        (0..length)
            .map(|offset| self.bytes[(start + offset) % all])
            .collect()
    }

    /// The first byte is the register.
    fn write(&mut self, bytes: &[u8]) {
        if let Some((register, rest)) = bytes.split_first() {
            self.pointer = *register;
            self.put(*register, rest);
        }
    }

    /// Reads on from the pointer. Registers of one byte follow each other in one read and leave the pointer behind the
    /// last; those of two bytes leave it where it is, as a TMP105 does.
    fn read(&mut self, length: usize) -> Vec<u8> {
        let bytes = self.get(self.pointer, length);
        if self.width == 1 {
            self.pointer = self.pointer.wrapping_add(length as u8);
        }
        bytes
    }
}
