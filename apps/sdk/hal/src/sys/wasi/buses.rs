//! wasi:i2c/i2c, wasi:spi/spi, and vyoma:device/buses.

use embedded_hal::i2c::Operation as I2cOperation;
use embedded_hal::spi::Operation as SpiOperation;
use vyoma::__private::received;

use super::many::{Kind, Transaction};
use super::{Answer, Owned, TEXT};
use crate::{OpenError, i2c, spi};

/// Opens a bus or a device by its name.
fn open(
    name: &str,
    function: unsafe extern "C" fn(*const u8, usize, *mut u8),
) -> Result<u32, OpenError> {
    // SAFETY: pointer and length are a text's; the result (8 bytes) has room.
    Answer::of(|answer| unsafe { function(name.as_ptr(), name.len(), answer) })
        .value(OpenError::case)
}

#[derive(Debug)]
pub(crate) struct I2c(Owned);

impl I2c {
    pub(crate) fn open(bus: &str) -> Result<Self, OpenError> {
        Ok(Self(Owned(open(bus, open_i2c)?, drop_i2c)))
    }

    pub(crate) fn write(&self, address: u16, write: &[u8]) -> Result<(), i2c::Error> {
        // SAFETY: the bus is open, pointer and length are a slice's; the result (3 bytes) has room.
        let answer = Answer::of(|answer| unsafe {
            i2c_write(
                self.0.0,
                address.into(),
                write.as_ptr(),
                write.len(),
                answer,
            );
        });
        if answer.is_err() {
            return Err(i2c::Error::case(answer.byte(1), answer.byte(2)));
        }
        Ok(())
    }

    pub(crate) fn read(&self, address: u16, read: &mut [u8]) -> Result<(), i2c::Error> {
        let length = read.len() as u64;
        // SAFETY: the bus is open; the result (12 bytes) has room.
        reading(read, |answer| unsafe {
            i2c_read(self.0.0, address.into(), length, answer);
        })
    }

    pub(crate) fn write_read(
        &self,
        address: u16,
        write: &[u8],
        read: &mut [u8],
    ) -> Result<(), i2c::Error> {
        let length = read.len() as u64;
        // SAFETY: the bus is open, pointer and length are a slice's; the result (12 bytes) has room.
        reading(read, |answer| unsafe {
            let (start, count) = (write.as_ptr(), write.len());
            i2c_write_read(self.0.0, address.into(), start, count, length, answer);
        })
    }

    pub(crate) fn transaction(
        &self,
        address: u16,
        operations: &mut [I2cOperation<'_>],
    ) -> Result<(), i2c::Error> {
        let too_much = i2c::Error(embedded_hal::i2c::ErrorKind::Other);
        let mut all = Transaction::default();
        for operation in operations.iter() {
            match operation {
                I2cOperation::Read(read) => all.add(Kind::Read(read.len())),
                I2cOperation::Write(write) => all.add(Kind::Write(0, write)),
            }
            .ok_or(too_much)?;
        }
        // SAFETY: the bus is open, pointer and length are a list's of operations; the result (12 bytes) has room.
        let call = |list, count, answer| unsafe {
            i2c_transaction(self.0.0, address.into(), list, count, answer);
        };
        // The elements are lists: 8 bytes.
        all.make(8, call, |answer, mut lists| {
            if answer.is_err() {
                return Err(i2c::Error::case(answer.byte(4), answer.byte(5)));
            }
            for operation in operations {
                if let I2cOperation::Read(read) = operation {
                    lists.next_into(read);
                }
            }
            Ok(())
        })
    }
}

/// Calls a function that hands over what was read, as many bytes as `read` has.
fn reading(read: &mut [u8], call: impl FnOnce(*mut u8)) -> Result<(), i2c::Error> {
    let mut answer = Answer::default();
    received(read, || {
        call(answer.0.as_mut_ptr());
        (!answer.is_err()).then(|| answer.list(4))
    });
    if answer.is_err() {
        return Err(i2c::Error::case(answer.byte(4), answer.byte(5)));
    }
    Ok(())
}

/// The case of `wasi:spi/spi.error` that has a text.
const OTHER: u8 = 4;

#[derive(Debug)]
pub(crate) struct Spi(Owned);

impl Spi {
    pub(crate) fn open(device: &str) -> Result<Self, OpenError> {
        Ok(Self(Owned(open(device, open_spi)?, drop_spi)))
    }

    pub(crate) fn write(&self, write: &[u8]) -> Result<(), spi::Error> {
        // SAFETY: the device is open, pointer and length are a slice's; the result (16 bytes) has room.
        let answer = Answer::with_text(OTHER, |answer| unsafe {
            spi_write(self.0.0, write.as_ptr(), write.len(), answer);
        });
        answer.value(spi::Error::case).map(drop)
    }

    pub(crate) fn read(&self, read: &mut [u8]) -> Result<(), spi::Error> {
        let length = read.len() as u64;
        // SAFETY: the device is open; the result (16 bytes) has room.
        exchanging(read, |answer| unsafe { spi_read(self.0.0, length, answer) })
    }

    /// Both have the same length.
    pub(crate) fn transfer(&self, read: &mut [u8], write: &[u8]) -> Result<(), spi::Error> {
        // SAFETY: the device is open, pointer and length are a slice's; the result (16 bytes) has room.
        exchanging(read, |answer| unsafe {
            spi_transfer(self.0.0, write.as_ptr(), write.len(), answer);
        })
    }

    pub(crate) fn transfer_in_place(&self, buffer: &mut [u8]) -> Result<(), spi::Error> {
        let (start, length) = (buffer.as_ptr(), buffer.len());
        // SAFETY: as above. The host takes what is to be written before it hands over what was read.
        exchanging(buffer, |answer| unsafe {
            spi_transfer(self.0.0, start, length, answer);
        })
    }

    pub(crate) fn transaction(
        &self,
        operations: &mut [SpiOperation<'_, u8>],
    ) -> Result<(), spi::Error> {
        let mut all = Transaction::default();
        for operation in operations.iter() {
            match operation {
                SpiOperation::Read(read) => all.add(Kind::Read(read.len())),
                SpiOperation::Write(write) => all.add(Kind::Write(0, write)),
                SpiOperation::Transfer(read, write) if read.len() == write.len() => {
                    all.add(Kind::Write(write.len(), write))
                }
                // What is longer is read with zeroes, or written and what comes back ignored: in two operations.
                SpiOperation::Transfer(read, write) => {
                    let both = read.len().min(write.len());
                    let (first, rest) = write.split_at_checked(both).unwrap_or((write, &[]));
                    all.add(Kind::Write(both, first)).and_then(|()| {
                        if rest.is_empty() {
                            all.add(Kind::Read(read.len() - both))
                        } else {
                            all.add(Kind::Write(0, rest))
                        }
                    })
                }
                SpiOperation::TransferInPlace(buffer) => all.add(Kind::Write(buffer.len(), buffer)),
                SpiOperation::DelayNs(nanoseconds) => all.add(Kind::Delay(*nanoseconds)),
            }
            .ok_or(spi::Error::Other)?;
        }
        // SAFETY: the device is open, pointer and length are a list's of operations; the result (16 bytes) has room.
        let call = |list, count, answer| unsafe { spi_transaction(self.0.0, list, count, answer) };
        // The elements are variants: 12 bytes.
        all.make(12, call, |answer, mut results| {
            answer.value(spi::Error::case)?;
            for operation in operations {
                match operation {
                    SpiOperation::Read(read) => results.next_into(read),
                    SpiOperation::TransferInPlace(buffer) => results.next_into(buffer),
                    SpiOperation::Transfer(read, write) => {
                        let both = read.len().min(write.len());
                        let (first, rest) = read.split_at_mut_checked(both).unwrap_or_default();
                        results.next_into(first);
                        if first.len() != write.len() || !rest.is_empty() {
                            results.next_into(rest);
                        }
                    }
                    SpiOperation::Write(_) | SpiOperation::DelayNs(_) => results.next_into(&mut []),
                }
            }
            Ok(())
        })
    }
}

/// Calls a function that hands over what was read, as many bytes as `read` has, or an error with a text, which is longer than
/// few bytes.
fn exchanging(read: &mut [u8], call: impl FnOnce(*mut u8)) -> Result<(), spi::Error> {
    let mut answer = Answer::default();
    let get = || {
        call(answer.0.as_mut_ptr());
        let text = answer.text(OTHER);
        text.or_else(|| (!answer.is_err()).then(|| answer.list(4)))
    };
    if read.len() < TEXT {
        let mut place = [0; TEXT];
        received(&mut place, get);
        for (byte, got) in read.iter_mut().zip(place) {
            *byte = got;
        }
    } else {
        received(read, get);
    }
    answer.value(spi::Error::case).map(drop)
}

extern "C" fn drop_i2c(bus: u32) {
    import_drop_i2c(bus);
}

extern "C" fn drop_spi(device: u32) {
    import_drop_spi(device);
}

#[link(wasm_import_module = "vyoma:device/buses@0.1.0")]
unsafe extern "C" {
    #[link_name = "open-i2c"]
    fn open_i2c(bus: *const u8, length: usize, answer: *mut u8);
    #[link_name = "open-spi"]
    fn open_spi(device: *const u8, length: usize, answer: *mut u8);
}

#[link(wasm_import_module = "wasi:i2c/i2c@0.2.0-draft")]
unsafe extern "C" {
    #[link_name = "[resource-drop]i2c"]
    safe fn import_drop_i2c(bus: u32);
    #[link_name = "[method]i2c.read"]
    fn i2c_read(bus: u32, address: u32, length: u64, answer: *mut u8);
    #[link_name = "[method]i2c.write"]
    fn i2c_write(bus: u32, address: u32, bytes: *const u8, length: usize, answer: *mut u8);
    #[link_name = "[method]i2c.write-read"]
    fn i2c_write_read(
        bus: u32,
        address: u32,
        bytes: *const u8,
        length: usize,
        read: u64,
        answer: *mut u8,
    );
    #[link_name = "[method]i2c.transaction"]
    fn i2c_transaction(
        bus: u32,
        address: u32,
        operations: *const u8,
        count: usize,
        answer: *mut u8,
    );
}

#[link(wasm_import_module = "wasi:spi/spi@0.2.0-draft")]
unsafe extern "C" {
    #[link_name = "[resource-drop]spi-device"]
    safe fn import_drop_spi(device: u32);
    #[link_name = "[method]spi-device.read"]
    fn spi_read(device: u32, length: u64, answer: *mut u8);
    #[link_name = "[method]spi-device.write"]
    fn spi_write(device: u32, bytes: *const u8, length: usize, answer: *mut u8);
    #[link_name = "[method]spi-device.transfer"]
    fn spi_transfer(device: u32, bytes: *const u8, length: usize, answer: *mut u8);
    #[link_name = "[method]spi-device.transaction"]
    fn spi_transaction(device: u32, operations: *const u8, count: usize, answer: *mut u8);
}
