//! `wasi:gpio/digital`: one pin of the platform behind each of three resource types.

use super::Answer;
use crate::handles::{Borrow, Lent, Own};
use crate::host::{Context, Interface};
use crate::services::{DigitalConfig, PinEvent, PinState, Pins, Pollable, Services};
use crate::trap::Trap;
use crate::{function, resource};

/// `digital-in-pin`
#[derive(Debug)]
pub struct InPin<P>(pub P);

/// `digital-out-pin`
#[derive(Debug)]
pub struct OutPin<P>(pub P);

/// `digital-in-out-pin`
#[derive(Debug)]
pub struct InOutPin<P>(pub P);

/// A resource that is a pin.
pub(super) trait Holds<P>: 'static {
    /// The pin in it.
    fn pin(&mut self) -> &mut P;
}

macro_rules! holds {
    ($($name:ident),+) => {
        $(impl<P: 'static> Holds<P> for $name<P> {
            fn pin(&mut self) -> &mut P {
                &mut self.0
            }
        })+
    };
}

holds!(InPin, OutPin, InOutPin);

type In<S> = InPin<<S as Pins>::Pin>;
type Out<S> = OutPin<<S as Pins>::Pin>;
type InOut<S> = InOutPin<<S as Pins>::Pin>;
type Events<S> = Pollable<<S as Services>::Wait>;

pub(super) const fn interface<S: Pins>() -> &'static Interface<S> {
    &Interface {
        name: "wasi:gpio/digital",
        functions: &[
            function!("[method]digital-out-pin.get-config", config::<S, Out<S>>),
            function!(
                "[method]digital-out-pin.watch-for-ready",
                ready::<S, Out<S>>
            ),
            function!("[method]digital-out-pin.set-state", set_state::<S, Out<S>>),
            function!(
                "[method]digital-out-pin.set-active",
                set_active::<S, Out<S>>
            ),
            function!(
                "[method]digital-out-pin.set-inactive",
                set_inactive::<S, Out<S>>
            ),
            function!("[method]digital-out-pin.toggle", toggle::<S, Out<S>>),
            function!("[method]digital-in-pin.get-config", config::<S, In<S>>),
            function!("[method]digital-in-pin.watch-for-ready", ready::<S, In<S>>),
            function!("[method]digital-in-pin.read", read::<S, In<S>>),
            function!("[method]digital-in-pin.is-active", is_active::<S, In<S>>),
            function!(
                "[method]digital-in-pin.is-inactive",
                is_inactive::<S, In<S>>
            ),
            function!(
                "[method]digital-in-pin.watch-state",
                watch_state::<S, In<S>>
            ),
            function!(
                "[method]digital-in-pin.watch-active",
                watch_active::<S, In<S>>
            ),
            function!(
                "[method]digital-in-pin.watch-inactive",
                watch_inactive::<S, In<S>>
            ),
            function!(
                "[method]digital-in-pin.watch-falling-edge",
                watch_falling::<S, In<S>>
            ),
            function!(
                "[method]digital-in-pin.watch-rising-edge",
                watch_rising::<S, In<S>>
            ),
            function!(
                "[method]digital-in-out-pin.get-config",
                config::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.watch-for-ready",
                ready::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.set-state",
                set_state::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.set-active",
                set_active::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.set-inactive",
                set_inactive::<S, InOut<S>>
            ),
            function!("[method]digital-in-out-pin.toggle", toggle::<S, InOut<S>>),
            function!("[method]digital-in-out-pin.read", read::<S, InOut<S>>),
            function!(
                "[method]digital-in-out-pin.is-active",
                is_active::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.is-inactive",
                is_inactive::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.watch-state",
                watch_state::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.watch-active",
                watch_active::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.watch-inactive",
                watch_inactive::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.watch-falling-edge",
                watch_falling::<S, InOut<S>>
            ),
            function!(
                "[method]digital-in-out-pin.watch-rising-edge",
                watch_rising::<S, InOut<S>>
            ),
        ],
        resources: &[
            resource!("digital-out-pin", Out<S>),
            resource!("digital-in-pin", In<S>),
            resource!("digital-in-out-pin", InOut<S>),
        ],
    }
}

fn config<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Result<DigitalConfig, Trap> {
    Ok(cx.services.pin_config(pin.get(cx.handles)?.pin()))
}

/// Pins are ready when opening them returned.
fn ready<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (_,): (Borrow<H>,),
) -> Result<Own<Events<S>>, Trap> {
    cx.handles.push(Pollable::Ready)
}

fn set_state<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin, state): (Lent<H>, PinState),
) -> Answer<()> {
    Ok(cx.services.set_pin(pin.get(cx.handles)?.pin(), state))
}

fn set_active<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<()> {
    Ok(cx
        .services
        .set_pin(pin.get(cx.handles)?.pin(), PinState::Active))
}

fn set_inactive<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<()> {
    Ok(cx
        .services
        .set_pin(pin.get(cx.handles)?.pin(), PinState::Inactive))
}

fn toggle<S: Pins, H: Holds<S::Pin>>(cx: &mut Context<'_, S>, (pin,): (Lent<H>,)) -> Answer<()> {
    let state = match read(cx, (pin,))? {
        Ok(state) => state,
        Err(error) => return Ok(Err(error)),
    };
    let state = PinState::from(state == PinState::Inactive);
    Ok(cx.services.set_pin(pin.get(cx.handles)?.pin(), state))
}

#[cfg_attr(target_os = "linux", inline)]
fn read<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<PinState> {
    Ok(cx.services.pin_state(pin.get(cx.handles)?.pin()))
}

fn is_active<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<bool> {
    Ok(read(cx, (pin,))?.map(|state| state == PinState::Active))
}

fn is_inactive<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<bool> {
    Ok(read(cx, (pin,))?.map(|state| state == PinState::Inactive))
}

fn watch<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    pin: Lent<H>,
    event: PinEvent,
) -> Answer<Own<Events<S>>> {
    match cx.services.watch_pin(pin.get(cx.handles)?.pin(), event) {
        Ok(pollable) => cx.handles.push(pollable).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn watch_state<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin, state): (Lent<H>, PinState),
) -> Answer<Own<Events<S>>> {
    watch(cx, pin, PinEvent::State(state))
}

fn watch_active<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<Own<Events<S>>> {
    watch(cx, pin, PinEvent::State(PinState::Active))
}

fn watch_inactive<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<Own<Events<S>>> {
    watch(cx, pin, PinEvent::State(PinState::Inactive))
}

fn watch_falling<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<Own<Events<S>>> {
    watch(cx, pin, PinEvent::Edge(PinState::Inactive))
}

fn watch_rising<S: Pins, H: Holds<S::Pin>>(
    cx: &mut Context<'_, S>,
    (pin,): (Lent<H>,),
) -> Answer<Own<Events<S>>> {
    watch(cx, pin, PinEvent::Edge(PinState::Active))
}
