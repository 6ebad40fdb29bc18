//! `wasi:sockets/ip-name-lookup`: one look-up is one stream of addresses.

use alloc::string::String;
use core::marker::PhantomData;

use super::{Answer, ErrorCode, IpAddress, Network, Sockets};
use crate::handles::{Borrow, Own};
use crate::host::{Context, Interface};
use crate::services::Pollable;
use crate::trap::Trap;
use crate::{function, resource};

/// The resource `resolve-address-stream`.
pub(super) struct ResolveAddressStream<S: Sockets>(S::Lookup);

/// The interface over services `S`.
pub struct NameLookup<S>(PhantomData<S>);

impl<S: Sockets> NameLookup<S> {
    /// `wasi:sockets/ip-name-lookup`
    pub const IP_NAME_LOOKUP: &'static Interface<S> = &Interface {
        name: "wasi:sockets/ip-name-lookup",
        functions: &[
            function!("resolve-addresses", resolve::<S>),
            function!(
                "[method]resolve-address-stream.resolve-next-address",
                next_address::<S>
            ),
            function!("[method]resolve-address-stream.subscribe", subscribe::<S>),
        ],
        resources: &[resource!("resolve-address-stream", ResolveAddressStream<S>)],
    };
}

fn resolve<S: Sockets>(
    cx: &mut Context<'_, S>,
    (_, name): (Borrow<Network>, String),
) -> Answer<Own<ResolveAddressStream<S>>> {
    if !cx.services.network_granted() {
        return Ok(Err(ErrorCode::AccessDenied));
    }
    match cx.services.resolve(name) {
        Ok(lookup) => cx.handles.push(ResolveAddressStream(lookup)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn next_address<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (Borrow<ResolveAddressStream<S>>,),
) -> Answer<Option<IpAddress>> {
    let stream = cx.handles.get(this)?;
    let next = cx.services.next_address(&mut stream.0);
    Ok(next.map(|address| address.map(Into::into)))
}

fn subscribe<S: Sockets>(
    cx: &mut Context<'_, S>,
    (this,): (Borrow<ResolveAddressStream<S>>,),
) -> Result<Own<Pollable<S::Wait>>, Trap> {
    let ready = cx.services.lookup_ready(&cx.handles.get(this)?.0);
    cx.handles.push_child(ready, this)
}
