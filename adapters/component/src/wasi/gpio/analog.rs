//! `wasi:gpio/analog`: channels of converters as pins. What a value is in volts, `vyoma:adc` tells.

use alloc::string::String;

use super::Answer;
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::services::{
    ActiveLevel, Converters, DigitalFlags, GpioError, PinMode, PinSetup, Pollable, Services,
};
use crate::trap::Trap;
use crate::{flags, function, record, resource};

/// `analog-flags`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnalogFlags(pub u8);

// The first two of `digital-flags`.
flags!(AnalogFlags, 2);

/// `analog-in-pin`
#[derive(Debug)]
pub struct AnalogIn<C> {
    channel: C,
    /// Whether low voltages are high values.
    inverted: bool,
}

impl<C> AnalogIn<C> {
    /// None when the flags contradict each other.
    pub(crate) fn inverted(flags: AnalogFlags) -> Option<bool> {
        PinSetup::new(PinMode::In, DigitalFlags(flags.0))
            .map(|setup| setup.active == ActiveLevel::ActiveLow)
    }

    pub(crate) fn new(channel: C, inverted: bool) -> Self {
        Self { channel, inverted }
    }
}

/// `analog-config`
struct AnalogConfig {
    label: String,
    mode: PinMode,
}

record!(AnalogConfig {
    label: String,
    mode: PinMode,
});

type Analog<S> = AnalogIn<<S as Converters>::Channel>;
type Events<S> = Pollable<<S as Services>::Wait>;

pub(super) const fn interface<S: Converters>() -> &'static Interface<S> {
    &Interface {
        name: "wasi:gpio/analog",
        functions: &[
            function!("[method]analog-in-pin.get-config", config::<S>),
            function!("[method]analog-in-pin.watch-for-ready", ready::<S>),
            function!("[method]analog-in-pin.read-raw", read_raw::<S>),
            function!("[method]analog-in-pin.read", read::<S>),
            function!("[method]analog-in-pin.watch-above-raw", watch::<S, u32>),
            function!("[method]analog-in-pin.watch-above", watch::<S, f32>),
            function!("[method]analog-in-pin.watch-below-raw", watch::<S, u32>),
            function!("[method]analog-in-pin.watch-below", watch::<S, f32>),
        ],
        resources: &[resource!("analog-in-pin", Analog<S>)],
    }
}

fn config<S: Converters>(
    cx: &mut Context<'_, S>,
    (pin,): (Borrow<Analog<S>>,),
) -> Result<AnalogConfig, Trap> {
    Ok(AnalogConfig {
        label: cx.services.channel_label(&cx.handles.get(pin)?.channel),
        mode: PinMode::In,
    })
}

fn ready<S: Converters>(
    cx: &mut Context<'_, S>,
    (_,): (Borrow<Analog<S>>,),
) -> Result<Own<Events<S>>, Trap> {
    cx.handles.push(Pollable::Ready)
}

/// A sample and the largest value.
fn sample<S: Converters>(cx: &mut Context<'_, S>, pin: Borrow<Analog<S>>) -> Answer<(u32, u32)> {
    let pin = cx.handles.get(pin)?;
    let max = cx.services.channel_range(&pin.channel).max;
    Ok(match cx.services.sample(&mut pin.channel) {
        Ok(value) if pin.inverted => Ok((max.saturating_sub(value), max)),
        Ok(value) => Ok((value.min(max), max)),
        Err(error) => Err(error.into()),
    })
}

fn read_raw<S: Converters>(cx: &mut Context<'_, S>, (pin,): (Borrow<Analog<S>>,)) -> Answer<u32> {
    Ok(sample(cx, pin)?.map(|(value, _)| value))
}

fn read<S: Converters>(cx: &mut Context<'_, S>, (pin,): (Borrow<Analog<S>>,)) -> Answer<f32> {
    Ok(sample(cx, pin)?.map(|(value, max)| value as f32 / max.max(1) as f32))
}

fn watch<S: Converters, T>(
    _: &mut Context<'_, S>,
    (_, _): (Borrow<Analog<S>>, T),
) -> Answer<Own<Events<S>>> {
    Ok(Err(GpioError::OperationNotSupported))
}
