//! Register files, as sensors have them.

use alloc::vec::Vec;

use vyoma_capabilities::board::{Fault, I2cDevice};

use crate::wire::Operation;

/// A device on a bus.
#[derive(Debug)]
pub(crate) struct RegisterFile {
    pub(crate) address: u8,
    width: usize,
    /// 256 registers.
    bytes: Vec<u8>,
    /// The register that is read next.
    pointer: u8,
    pub(crate) fault: Option<Fault>,
    /// Transfers that work before the fault.
    pub(crate) after: u32,
}

impl RegisterFile {
    pub(crate) fn new(device: &I2cDevice) -> Self {
        let width = device.width.clamp(1, 2) as usize;
        let mut file = Self {
            address: device.address,
            width,
            bytes: alloc::vec![0; 256 * width],
            pointer: 0,
            fault: device.fault,
            after: device.after,
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

    pub(crate) fn transfer(&mut self, operations: &[Operation]) -> Result<Vec<Vec<u8>>, Fault> {
        if let Some(fault) = self.fault {
            match self.after.checked_sub(1) {
                Some(left) => self.after = left,
                None => return Err(fault),
            }
        }
        let mut read = Vec::new();
        for operation in operations {
            match operation {
                Operation::Write(bytes) | Operation::Transfer(bytes) => {
                    if let Some((register, rest)) = bytes.split_first() {
                        self.pointer = *register;
                        self.put(*register, rest);
                    }
                }
                Operation::Read(length) => read.push(self.take(*length as usize)),
            }
        }
        Ok(read)
    }

    /// Reads on from the pointer. Registers of one byte follow each other in one read and leave the pointer behind the
    /// last; those of two bytes leave it where it is, as a TMP105 does.
    fn take(&mut self, length: usize) -> Vec<u8> {
        let start = usize::from(self.pointer) * self.width;
        let all = self.bytes.len();
        let bytes = (0..length).map(|offset| self.bytes[(start + offset) % all]);
        let bytes = bytes.collect();
        if self.width == 1 {
            self.pointer = self.pointer.wrapping_add(length as u8);
        }
        bytes
    }
}
