//! `wasi:i2c@0.2.0-draft` after the proposal, over [`I2cBuses`]. Buses are opened by `vyoma:device/buses`.

use alloc::vec;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::abi::{Buffer, Bytes, Few};
use crate::handles::{Borrow, Lent};
use crate::host::{Context, Interface};
use crate::services::{I2cBuses, I2cError, I2cOperation};
use crate::trap::Trap;
use crate::{function, resource, variant};

/// Most operations of a transaction: those that Linux takes at once (I2C_RDWR_IOCTL_MAX_MSGS).
pub const MAX_OPERATIONS: usize = 42;
/// Most bytes of an operation: as Linux's i2c-dev has it.
pub const MAX_BYTES: u64 = 8192;

/// The interfaces over services `S`.
pub struct I2c<S>(PhantomData<S>);

/// `i2c`: a bus of the platform.
#[derive(Debug)]
pub struct Bus<B>(pub B);

type Handle<S> = Borrow<Bus<<S as I2cBuses>::I2cBus>>;
type Driver<S> = Lent<Bus<<S as I2cBuses>::I2cBus>>;

impl<S: I2cBuses> I2c<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[Self::I2C];

    /// `wasi:i2c/i2c`
    pub const I2C: &'static Interface<S> = &Interface {
        name: "wasi:i2c/i2c@0.2.0-draft",
        functions: &[
            function!("[method]i2c.transaction", transaction::<S>),
            function!("[method]i2c.read", read::<S>),
            function!("[method]i2c.write", write::<S>),
            function!("[method]i2c.write-read", write_read::<S>),
        ],
        resources: &[resource!("i2c", Bus<S::I2cBus>)],
    };
}

/// `operation`
enum Operation {
    Read(u64),
    Write(Bytes),
}

variant!(lift Operation { 0 Read(u64), 1 Write(Bytes) });

type Answer<T> = Result<Result<T, I2cError>, Trap>;

/// Reads give what they read, in order.
fn transaction<S: I2cBuses>(
    cx: &mut Context<'_, S>,
    (bus, address, operations): (Handle<S>, u16, Vec<Operation>),
) -> Answer<Vec<Buffer>> {
    let length = |operation: &Operation| match operation {
        Operation::Read(length) => *length,
        Operation::Write(bytes) => bytes.len() as u64,
    };
    if operations.len() > MAX_OPERATIONS || !operations.iter().map(length).all(fits) {
        return Ok(Err(I2cError::Other));
    }
    let mut buffers: Vec<Buffer> = operations
        .iter()
        .filter_map(|operation| match operation {
            Operation::Read(length) => Some(Buffer(vec![0; *length as usize])),
            Operation::Write(_) => None,
        })
        .collect();
    let memory: &[u8] = cx.guest.memory();
    let mut free = buffers.iter_mut();
    let mut list = Vec::with_capacity(operations.len());
    for operation in &operations {
        list.push(match operation {
            Operation::Write(bytes) => I2cOperation::Write(bytes.of(memory)?),
            Operation::Read(_) => I2cOperation::Read(
                free.next()
                    .map_or(&mut [], |buffer| buffer.0.as_mut_slice()),
            ),
        });
    }
    let bus = &mut cx.handles.get(bus)?.0;
    let outcome = cx.services.i2c_transaction(bus, address, &mut list);
    Ok(outcome.map(|()| buffers))
}

/// Whether an operation of so many bytes may be.
fn fits(length: u64) -> bool {
    length <= MAX_BYTES
}

// The calls of drivers: a register read or written, which go without the lists of a transaction.

fn read<S: I2cBuses>(
    cx: &mut Context<'_, S>,
    (bus, address, length): (Driver<S>, u16, u64),
) -> Answer<Few> {
    let bus = &mut bus.get(cx.handles)?.0;
    if !fits(length) {
        return Ok(Err(I2cError::Other));
    }
    let mut read = Few::new(length as usize);
    let mut operations = [I2cOperation::Read(read.bytes())];
    let outcome = cx.services.i2c_transaction(bus, address, &mut operations);
    Ok(outcome.map(|()| read))
}

fn write<S: I2cBuses>(
    cx: &mut Context<'_, S>,
    (bus, address, bytes): (Driver<S>, u16, Bytes),
) -> Answer<()> {
    let bus = &mut bus.get(cx.handles)?.0;
    if !fits(bytes.len() as u64) {
        return Ok(Err(I2cError::Other));
    }
    let mut operations = [I2cOperation::Write(bytes.get(cx.guest)?)];
    Ok(cx.services.i2c_transaction(bus, address, &mut operations))
}

fn write_read<S: I2cBuses>(
    cx: &mut Context<'_, S>,
    (bus, address, bytes, length): (Driver<S>, u16, Bytes, u64),
) -> Answer<Few> {
    let bus = &mut bus.get(cx.handles)?.0;
    if !fits(bytes.len() as u64) || !fits(length) {
        return Ok(Err(I2cError::Other));
    }
    let mut read = Few::new(length as usize);
    let mut operations = [
        I2cOperation::Write(bytes.get(cx.guest)?),
        I2cOperation::Read(read.bytes()),
    ];
    let outcome = cx.services.i2c_transaction(bus, address, &mut operations);
    Ok(outcome.map(|()| read))
}
