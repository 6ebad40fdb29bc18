//! `vyoma:uart@0.1.0`: a serial port and its two streams.

use alloc::string::String;
use core::marker::PhantomData;

use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::services::{DeviceError, Services, UartConfig, Uarts};
use crate::trap::Trap;
use crate::{function, resource};

/// The interfaces over services `S`.
pub struct Uart<S>(PhantomData<S>);

/// `port`
#[derive(Debug)]
pub struct Port<P>(P);

impl<S: Uarts> Uart<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[Self::UART];

    /// `vyoma:uart/uart`
    pub const UART: &'static Interface<S> = &Interface {
        name: "vyoma:uart/uart@0.1.0",
        functions: &[
            function!("open", open::<S>),
            function!("[method]port.get-config", config::<S>),
            function!("[method]port.lost", lost::<S>),
        ],
        resources: &[resource!("port", Port<S::Port>)],
    };
}

/// A port with what is read and what is written.
type Opened<S> = (
    Own<Port<<S as Uarts>::Port>>,
    Own<<S as Services>::Input>,
    Own<<S as Services>::Output>,
);

fn open<S: Uarts>(
    cx: &mut Context<'_, S>,
    (name, config): (String, Option<UartConfig>),
) -> Result<Result<Opened<S>, DeviceError>, Trap> {
    let (port, input, output) = match cx.services.open_uart(&name, config) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok((
        cx.handles.push(Port(port))?,
        cx.handles.push(input)?,
        cx.handles.push(output)?,
    )))
}

fn config<S: Uarts>(
    cx: &mut Context<'_, S>,
    (port,): (Borrow<Port<S::Port>>,),
) -> Result<UartConfig, Trap> {
    Ok(cx.services.uart_config(&cx.handles.get(port)?.0))
}

fn lost<S: Uarts>(cx: &mut Context<'_, S>, (port,): (Borrow<Port<S::Port>>,)) -> Result<u64, Trap> {
    Ok(cx.services.uart_lost(&mut cx.handles.get(port)?.0))
}
