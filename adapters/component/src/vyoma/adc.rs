//! `vyoma:adc@0.1.0`: channels of converters, in their own values and in microvolts.

use alloc::string::String;
use core::marker::PhantomData;

use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::services::{Converters, DeviceError, Range};
use crate::trap::Trap;
use crate::{function, resource};

/// The interfaces over services `S`.
pub struct Adc<S>(PhantomData<S>);

/// `channel`
#[derive(Debug)]
pub struct Channel<C>(C);

type Handle<S> = Borrow<Channel<<S as Converters>::Channel>>;
type Answer<T> = Result<Result<T, DeviceError>, Trap>;

impl<S: Converters> Adc<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[Self::ADC];

    /// `vyoma:adc/adc`
    pub const ADC: &'static Interface<S> = &Interface {
        name: "vyoma:adc/adc@0.1.0",
        functions: &[
            function!("open", open::<S>),
            function!("[method]channel.get-range", range::<S>),
            function!("[method]channel.read-raw", read_raw::<S>),
            function!("[method]channel.read-microvolts", read_microvolts::<S>),
        ],
        resources: &[resource!("channel", Channel<S::Channel>)],
    };
}

fn open<S: Converters>(
    cx: &mut Context<'_, S>,
    (name,): (String,),
) -> Answer<Own<Channel<S::Channel>>> {
    match cx.services.open_channel(&name) {
        Ok(channel) => cx.handles.push(Channel(channel)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn range<S: Converters>(cx: &mut Context<'_, S>, (channel,): (Handle<S>,)) -> Result<Range, Trap> {
    Ok(cx.services.channel_range(&cx.handles.get(channel)?.0))
}

fn read_raw<S: Converters>(cx: &mut Context<'_, S>, (channel,): (Handle<S>,)) -> Answer<u32> {
    let channel = &mut cx.handles.get(channel)?.0;
    let max = cx.services.channel_range(channel).max;
    Ok(cx.services.sample(channel).map(|value| value.min(max)))
}

fn read_microvolts<S: Converters>(
    cx: &mut Context<'_, S>,
    (channel,): (Handle<S>,),
) -> Answer<u32> {
    let channel = &mut cx.handles.get(channel)?.0;
    let range = cx.services.channel_range(channel);
    Ok(cx
        .services
        .sample(channel)
        .map(|value| range.to_microvolts(value.min(range.max))))
}
