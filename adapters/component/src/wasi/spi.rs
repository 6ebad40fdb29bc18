//! `wasi:spi@0.2.0-draft` after the proposal, over [`SpiBuses`].

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::abi::{Buffer, Bytes, Few};
use crate::handles::{Borrow, Lent, Own};
use crate::host::{Context, Interface};
use crate::services::{SpiBuses, SpiError, SpiOperation};
use crate::trap::Trap;
use crate::{function, resource, variant};

/// Most operations of a transaction.
pub const MAX_OPERATIONS: usize = 64;
/// Most bytes of a transaction, read and written ones together: what Linux's spidev takes at once unless it is told otherwise.
pub const MAX_BYTES: u64 = 4096;

/// The interfaces over services `S`.
pub struct Spi<S>(PhantomData<S>);

/// `spi-device`: a device of the platform.
#[derive(Debug)]
pub struct Device<D>(pub D);

type Handle<S> = Borrow<Device<<S as SpiBuses>::SpiDevice>>;
type Driver<S> = Lent<Device<<S as SpiBuses>::SpiDevice>>;

impl<S: SpiBuses> Spi<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[Self::SPI];

    /// `wasi:spi/spi`
    pub const SPI: &'static Interface<S> = &Interface {
        name: "wasi:spi/spi@0.2.0-draft",
        functions: &[
            function!("[method]spi-device.read", read::<S>),
            function!("[method]spi-device.write", write::<S>),
            function!("[method]spi-device.transfer", transfer::<S>),
            function!("[method]spi-device.transaction", transaction::<S>),
            function!("open", open::<S>),
        ],
        resources: &[resource!("spi-device", Device<S::SpiDevice>)],
    };
}

/// `operation`
enum Operation {
    Read(u64),
    Write(Bytes),
    Transfer(Bytes),
    Delay(u32),
}

variant!(lift Operation { 0 Read(u64), 1 Write(Bytes), 2 Transfer(Bytes), 3 Delay(u32) });

impl Operation {
    /// Bytes that it reads.
    fn reads(&self) -> u64 {
        match self {
            Self::Read(length) => *length,
            Self::Transfer(bytes) => bytes.len() as u64,
            Self::Write(_) | Self::Delay(_) => 0,
        }
    }

    /// Bytes on the wire.
    fn bytes(&self) -> u64 {
        match self {
            Self::Write(bytes) => bytes.len() as u64,
            _ => self.reads(),
        }
    }
}

/// `operation-result`
enum Outcome {
    Read(Buffer),
    Write,
    Transfer(Buffer),
    Delay,
}

variant!(lower Outcome { 0 Read(Buffer), 1 Write, 2 Transfer(Buffer), 3 Delay });

type Answer<T> = Result<Result<T, SpiError>, Trap>;

/// Each operation gives what it read; nothing when it reads nothing.
fn transact<S: SpiBuses>(
    cx: &mut Context<'_, S>,
    device: Handle<S>,
    operations: &[Operation],
) -> Answer<Vec<Buffer>> {
    let total = operations
        .iter()
        .try_fold(0_u64, |sum, operation| sum.checked_add(operation.bytes()));
    if operations.len() > MAX_OPERATIONS || total.is_none_or(|total| total > MAX_BYTES) {
        return Ok(Err(limit()));
    }
    let mut buffers: Vec<Buffer> = operations
        .iter()
        .map(|operation| Buffer(vec![0; operation.reads() as usize]))
        .collect();
    let memory: &[u8] = cx.guest.memory();
    let mut list = Vec::with_capacity(operations.len());
    for (operation, Buffer(buffer)) in operations.iter().zip(&mut buffers) {
        list.push(match operation {
            Operation::Read(_) => SpiOperation::Read(buffer),
            Operation::Write(bytes) => SpiOperation::Write(bytes.of(memory)?),
            Operation::Transfer(bytes) => SpiOperation::Transfer(buffer, bytes.of(memory)?),
            Operation::Delay(nanoseconds) => SpiOperation::Delay(*nanoseconds),
        });
    }
    let device = &mut cx.handles.get(device)?.0;
    let outcome = cx.services.spi_transaction(device, &mut list);
    Ok(outcome.map(|()| buffers))
}

/// Why so many bytes can't be in a transaction.
fn limit() -> SpiError {
    SpiError::Other("at most 64 operations and 4096 bytes in a transaction".to_string())
}

// The calls of drivers: one operation, which goes without the lists of a transaction.

fn read<S: SpiBuses>(cx: &mut Context<'_, S>, (device, length): (Driver<S>, u64)) -> Answer<Few> {
    let device = &mut device.get(cx.handles)?.0;
    if length > MAX_BYTES {
        return Ok(Err(limit()));
    }
    let mut read = Few::new(length as usize);
    let mut operations = [SpiOperation::Read(read.bytes())];
    let outcome = cx.services.spi_transaction(device, &mut operations);
    Ok(outcome.map(|()| read))
}

fn write<S: SpiBuses>(cx: &mut Context<'_, S>, (device, bytes): (Driver<S>, Bytes)) -> Answer<()> {
    let device = &mut device.get(cx.handles)?.0;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(Err(limit()));
    }
    let mut operations = [SpiOperation::Write(bytes.get(cx.guest)?)];
    Ok(cx.services.spi_transaction(device, &mut operations))
}

fn transfer<S: SpiBuses>(
    cx: &mut Context<'_, S>,
    (device, bytes): (Driver<S>, Bytes),
) -> Answer<Few> {
    let device = &mut device.get(cx.handles)?.0;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(Err(limit()));
    }
    let mut read = Few::new(bytes.len());
    let mut operations = [SpiOperation::Transfer(read.bytes(), bytes.get(cx.guest)?)];
    let outcome = cx.services.spi_transaction(device, &mut operations);
    Ok(outcome.map(|()| read))
}

fn transaction<S: SpiBuses>(
    cx: &mut Context<'_, S>,
    (device, operations): (Handle<S>, Vec<Operation>),
) -> Answer<Vec<Outcome>> {
    let read = transact(cx, device, &operations)?;
    let outcome = |(buffer, operation): (Buffer, &Operation)| match operation {
        Operation::Read(_) => Outcome::Read(buffer),
        Operation::Write(_) => Outcome::Write,
        Operation::Transfer(_) => Outcome::Transfer(buffer),
        Operation::Delay(_) => Outcome::Delay,
    };
    Ok(read.map(|buffers| buffers.into_iter().zip(&operations).map(outcome).collect()))
}

fn open<S: SpiBuses>(
    cx: &mut Context<'_, S>,
    (name,): (String,),
) -> Answer<Own<Device<S::SpiDevice>>> {
    match cx.services.open_spi(&name) {
        Ok(device) => cx.handles.push(Device(device)).map(Ok),
        Err(error) => Ok(Err(SpiError::Other(error.name().to_string()))),
    }
}
