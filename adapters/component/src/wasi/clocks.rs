//! `wasi:clocks@0.2`: monotonic-clock and wall-clock.

use core::marker::PhantomData;

use crate::function;
use crate::handles::Own;
use crate::host::{Context, Interface};
use crate::services::{Datetime, Instant, Pollable, Services};
use crate::trap::Trap;

/// The interfaces over services `S`.
pub struct Clocks<S>(PhantomData<S>);

impl<S: Services> Clocks<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[Self::MONOTONIC, Self::WALL];

    /// `wasi:clocks/monotonic-clock`
    pub const MONOTONIC: &'static Interface<S> = &Interface {
        name: "wasi:clocks/monotonic-clock",
        functions: &[
            function!("now", now::<S>),
            function!("resolution", resolution::<S>),
            function!("subscribe-instant", subscribe_instant::<S>),
            function!("subscribe-duration", subscribe_duration::<S>),
        ],
        resources: &[],
    };

    /// `wasi:clocks/wall-clock`
    pub const WALL: &'static Interface<S> = &Interface {
        name: "wasi:clocks/wall-clock",
        functions: &[
            function!("now", wall_now::<S>),
            function!("resolution", wall_resolution::<S>),
        ],
        resources: &[],
    };
}

fn now<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<Instant, Trap> {
    Ok(cx.services.monotonic_now())
}

fn resolution<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<u64, Trap> {
    Ok(cx.services.monotonic_resolution())
}

fn subscribe_instant<S: Services>(
    cx: &mut Context<'_, S>,
    (when,): (Instant,),
) -> Result<Own<Pollable<S::Wait>>, Trap> {
    cx.handles.push(Pollable::At(when))
}

fn subscribe_duration<S: Services>(
    cx: &mut Context<'_, S>,
    (duration,): (u64,),
) -> Result<Own<Pollable<S::Wait>>, Trap> {
    let now = cx.services.monotonic_now();
    cx.handles.push(Pollable::At(now.saturating_add(duration)))
}

fn wall_now<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<Datetime, Trap> {
    Ok(cx.services.wall_now())
}

fn wall_resolution<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<Datetime, Trap> {
    Ok(cx.services.wall_resolution())
}
