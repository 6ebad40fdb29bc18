//! `vyoma:device@0.1.0`: opens what the manifest was granted, by label or number. Which that is, platforms know.

use alloc::string::String;
use core::marker::PhantomData;

use crate::function;
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::services::{
    Converters, DeviceError, DigitalFlags, Edge, GpioError, I2cBuses, PinMode, PinSetup, Pins,
    SpiBuses,
};
use crate::trap::Trap;
use crate::wasi::gpio::{AnalogFlags, AnalogIn, Answer, InOutPin, InPin, OutPin};
use crate::wasi::{i2c, spi};

/// The interfaces over services `S`.
pub struct Device<S>(PhantomData<S>);

impl<S: Pins + I2cBuses + SpiBuses + Converters> Device<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] =
        &[Self::TYPES, Self::GPIO, Self::EDGES, Self::BUSES];

    /// `vyoma:device/types`: types only.
    pub const TYPES: &'static Interface<S> = &Interface {
        name: "vyoma:device/types@0.1.0",
        functions: &[],
        resources: &[],
    };

    /// `vyoma:device/gpio`
    pub const GPIO: &'static Interface<S> = &Interface {
        name: "vyoma:device/gpio@0.1.0",
        functions: &[
            function!("get-digital-in", digital_in::<S>),
            function!("get-digital-out", digital_out::<S>),
            function!("get-digital-in-out", digital_in_out::<S>),
            function!("get-analog-in", analog_in::<S>),
        ],
        resources: &[],
    };

    /// `vyoma:device/edges`
    pub const EDGES: &'static Interface<S> = &Interface {
        name: "vyoma:device/edges@0.1.0",
        functions: &[
            function!("next-edge", next_edge::<S>),
            function!("lost-edges", lost_edges::<S>),
        ],
        resources: &[],
    };

    /// `vyoma:device/buses`
    pub const BUSES: &'static Interface<S> = &Interface {
        name: "vyoma:device/buses@0.1.0",
        functions: &[
            function!("open-i2c", open_i2c::<S>),
            function!("open-spi", open_spi::<S>),
        ],
        resources: &[],
    };
}

fn open_pin<S: Pins, H: 'static>(
    cx: &mut Context<'_, S>,
    name: &str,
    mode: PinMode,
    flags: DigitalFlags,
    resource: fn(S::Pin) -> H,
) -> Answer<Own<H>> {
    let Some(setup) = PinSetup::new(mode, flags) else {
        return Ok(Err(GpioError::PinModeNotAvailable));
    };
    match cx.services.open_pin(name, setup) {
        Ok(pin) => cx.handles.push(resource(pin)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn digital_in<S: Pins>(
    cx: &mut Context<'_, S>,
    (name, flags): (String, DigitalFlags),
) -> Answer<Own<InPin<S::Pin>>> {
    open_pin(cx, &name, PinMode::In, flags, InPin)
}

fn digital_out<S: Pins>(
    cx: &mut Context<'_, S>,
    (name, flags): (String, DigitalFlags),
) -> Answer<Own<OutPin<S::Pin>>> {
    open_pin(cx, &name, PinMode::Out, flags, OutPin)
}

fn digital_in_out<S: Pins>(
    cx: &mut Context<'_, S>,
    (name, flags): (String, DigitalFlags),
) -> Answer<Own<InOutPin<S::Pin>>> {
    open_pin(cx, &name, PinMode::InOut, flags, InOutPin)
}

fn analog_in<S: Converters>(
    cx: &mut Context<'_, S>,
    (name, flags): (String, AnalogFlags),
) -> Answer<Own<AnalogIn<S::Channel>>> {
    let Some(inverted) = AnalogIn::<S::Channel>::inverted(flags) else {
        return Ok(Err(GpioError::PinModeNotAvailable));
    };
    match cx.services.open_channel(&name) {
        Ok(channel) => cx.handles.push(AnalogIn::new(channel, inverted)).map(Ok),
        Err(error) => Ok(Err(error.into())),
    }
}

fn next_edge<S: Pins>(
    cx: &mut Context<'_, S>,
    (pin,): (Borrow<InPin<S::Pin>>,),
) -> Answer<Option<Edge>> {
    Ok(cx.services.next_edge(&mut cx.handles.get(pin)?.0))
}

fn lost_edges<S: Pins>(
    cx: &mut Context<'_, S>,
    (pin,): (Borrow<InPin<S::Pin>>,),
) -> Result<u64, Trap> {
    Ok(cx.services.lost_edges(&mut cx.handles.get(pin)?.0))
}

type Opened<T> = Result<Result<Own<T>, DeviceError>, Trap>;

fn open_i2c<S: I2cBuses>(
    cx: &mut Context<'_, S>,
    (name,): (String,),
) -> Opened<i2c::Bus<S::I2cBus>> {
    match cx.services.open_i2c(&name) {
        Ok(bus) => cx.handles.push(i2c::Bus(bus)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn open_spi<S: SpiBuses>(
    cx: &mut Context<'_, S>,
    (name,): (String,),
) -> Opened<spi::Device<S::SpiDevice>> {
    match cx.services.open_spi(&name) {
        Ok(device) => cx.handles.push(spi::Device(device)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}
