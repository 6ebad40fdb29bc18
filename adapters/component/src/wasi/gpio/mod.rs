//! `wasi:gpio@0.2.0` after the proposal, with the parts that can be had here (see `capabilities/wit/deps/gpio.wit`): digital
//! pins over [`Pins`], analogue inputs over [`Converters`], delays over the clock. Pins are opened by `vyoma:device/gpio`.

mod analog;
mod digital;

use core::marker::PhantomData;

pub use analog::{AnalogFlags, AnalogIn};
pub use digital::{InOutPin, InPin, OutPin};

use crate::function;
use crate::host::{Context, Interface};
use crate::services::{Converters, GpioError, Pins, Pollable, Services};
use crate::trap::Trap;

/// What a function of the package gives to the guest, or why it does not return.
pub type Answer<T> = Result<Result<T, GpioError>, Trap>;

/// The interfaces over services `S`.
pub struct Gpio<S>(PhantomData<S>);

impl<S: Pins + Converters> Gpio<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] =
        &[Self::GENERAL, Self::DIGITAL, Self::ANALOG, Self::DELAY];

    /// `wasi:gpio/general`: types only.
    pub const GENERAL: &'static Interface<S> = &Interface {
        name: "wasi:gpio/general",
        functions: &[],
        resources: &[],
    };

    /// `wasi:gpio/digital`
    pub const DIGITAL: &'static Interface<S> = digital::interface();

    /// `wasi:gpio/analog`
    pub const ANALOG: &'static Interface<S> = analog::interface();

    /// `wasi:gpio/delay`
    pub const DELAY: &'static Interface<S> = &Interface {
        name: "wasi:gpio/delay",
        functions: &[
            function!("delay-ns", delay::<S, 1>),
            function!("delay-us", delay::<S, 1_000>),
            function!("delay-ms", delay::<S, 1_000_000>),
        ],
        resources: &[],
    };
}

fn delay<S: Services, const NANOSECONDS: u64>(
    cx: &mut Context<'_, S>,
    (count,): (u32,),
) -> Result<(), Trap> {
    let now = cx.services.monotonic_now();
    let until = now.saturating_add(u64::from(count) * NANOSECONDS);
    cx.services.poll(&[Pollable::At(until)]);
    Ok(())
}
