//! Pins, buses, serial ports and converters under Wasmtime: the host functions of `vyoma-component` over `vyoma-services`,
//! which the other engines use, linked as they are. Nothing here knows what any of them does.
//!
//! Wasmtime hands over values, host functions take the canonical ABI's core values and memory: [`values`] is between them for
//! any type, [`typed`] for the calls that are made most often.
//! Resources that cross over to wasi:io (pollables, streams) become wasmtime-wasi's ([`io`]).

mod io;
mod typed;
mod values;

use std::sync::Arc;

use send_wrapper::SendWrapper;
use vyoma_capabilities::capability::Capability;
use vyoma_component::guest::Realloc;
use vyoma_component::handles::Handles;
use vyoma_component::host::{Call, Context, Function, Interface, Platform};
use vyoma_component::services::Pollable;
use vyoma_component::trap::Trap;
use vyoma_runtime::{EngineError, RunConfig};
use vyoma_services::{Linux, Monotonic};
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Linker, Resource, ResourceAny, ResourceDynamic, ResourceType, Val};
use wasmtime::{Error, Result, StoreContextMut};
use wasmtime_wasi::HostMonotonicClock;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};

use crate::host::{Host, MAX_HANDLES};

/// The packages that are not wasmtime-wasi's.
const PACKAGES: [&str; 4] = ["wasi:gpio/", "wasi:i2c/", "wasi:spi/", "vyoma:"];

/// The version of WASI that an interface has which names none.
const WASI: &str = "0.2.0";

/// What the host functions work on. They and everything of theirs stay on the one thread of an app's process.
pub(crate) struct Devices {
    /// Each look at it asks which thread this is: once per call is enough.
    state: SendWrapper<State>,
    /// Memory of typed calls.
    scratch: values::Scratch,
}

struct State {
    services: Linux,
    handles: Handles,
}

/// Why a host function did not return to the guest.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) Trap);

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Ended {}

impl Devices {
    /// The devices that `config` hands over.
    pub(crate) fn new(config: &mut RunConfig) -> Result<Self, EngineError> {
        let mut only = RunConfig::stdio_only(&config.name, &[]);
        only.grants.clone_from(&config.grants);
        // Files and sockets are wasmtime-wasi's.
        only.grants.filesystem = false;
        only.grants.network = None;
        only.devices = std::mem::take(&mut config.devices);
        only.activity = Arc::clone(&config.activity);
        let state = State {
            services: Linux::new(only)?,
            handles: Handles::new(MAX_HANDLES as u32),
        };
        Ok(Self {
            state: SendWrapper::new(state),
            scratch: values::Scratch::default(),
        })
    }

    /// The clock by which edges are dated.
    pub(crate) fn clock(&self) -> Clock {
        Clock(self.state.services.clock())
    }
}

/// The clock of an app.
pub(crate) struct Clock(Monotonic);

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        Monotonic::resolution()
    }

    fn now(&self) -> u64 {
        self.0.now()
    }
}

/// Links everything about devices.
pub(crate) fn add_to_linker(linker: &mut Linker<Host>) -> Result<()> {
    let interfaces = Linux::interfaces().filter(|interface| {
        PACKAGES
            .iter()
            .any(|package| interface.name.starts_with(package))
    });
    let mut tag = 0;
    for interface in interfaces {
        add(linker, interface, &mut tag)?;
    }
    Ok(())
}

fn add(
    linker: &mut Linker<Host>,
    interface: &'static Interface<Linux>,
    tag: &mut u32,
) -> Result<()> {
    let name = if interface.name.contains('@') {
        interface.name.to_owned()
    } else {
        format!("{}@{WASI}", interface.name)
    };
    let mut instance = linker.instance(&name)?;
    for resource in interface.resources {
        let used = Capability::of_import(interface.name, resource.name);
        let ty = ResourceType::host_dynamic(*tag);
        *tag += 1;
        let drop = resource.drop;
        instance.resource(resource.name, ty, move |mut store, handle| {
            let host = store.data_mut();
            if let Some(capability) = used {
                host.activity.used(capability);
            }
            let state = &mut *host.devices.state;
            let mut context = Context {
                services: &mut state.services,
                handles: &mut state.handles,
                guest: &mut values::Scratch::default(),
            };
            drop(&mut context, handle).map_err(ended)
        })?;
    }
    for function in interface.functions {
        let used = Capability::of_import(interface.name, function.name);
        if typed::add(&mut instance, interface.name, function, used)? {
            continue;
        }
        instance.func_new(function.name, move |store, ty, arguments, results| {
            if let Some(capability) = used {
                store.data().activity.used(capability);
            }
            call(store, function, &ty, arguments, results)
        })?;
    }
    Ok(())
}

fn call(
    mut store: StoreContextMut<'_, Host>,
    function: &'static Function<Linux>,
    ty: &ComponentFunc,
    arguments: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let mut scratch = values::Scratch::default();
    let mut slots = Vec::with_capacity(16);
    for (value, (_, ty)) in arguments.iter().zip(ty.params()) {
        values::lower(&mut Store(&mut store), value, &ty, &mut slots, &mut scratch)?;
    }
    let result = ty.results().next();
    let place = match &result {
        Some(ty) if values::flat(ty) > 1 => {
            let (size, align) = values::layout(ty);
            let place = scratch.allocate(size, align);
            slots.push(place.into());
            Some(place)
        }
        _ => None,
    };
    if slots.is_empty() {
        slots.push(0);
    }
    let state = &mut *store.data_mut().devices.state;
    invoke(state, function, &mut slots, &mut scratch)?;
    if let (Some(ty), Some(result)) = (result, results.first_mut()) {
        let place = place.unwrap_or_else(|| scratch.put(&slots[0].to_le_bytes()));
        *result = values::load(&mut Store(&mut store), &ty, place, &scratch)?;
    }
    Ok(())
}

/// Calls a host function with core values; `scratch` is what it takes for the guest's memory.
fn invoke(
    state: &mut State,
    function: &Function<Linux>,
    slots: &mut [u64],
    scratch: &mut values::Scratch,
) -> Result<()> {
    (function.call)(&mut Call {
        context: Context {
            services: &mut state.services,
            handles: &mut state.handles,
            guest: scratch,
        },
        realloc: Some(Realloc(0)),
        slots,
    })
    .map_err(ended)
}

fn ended(trap: Trap) -> Error {
    Error::new(Ended(trap))
}

/// How handles cross over.
struct Store<'a, 'b>(&'a mut StoreContextMut<'b, Host>);

impl values::Resources for Store<'_, '_> {
    fn lower(&mut self, resource: ResourceAny) -> Result<u32> {
        Ok(resource.try_into_resource_dynamic(&mut *self.0)?.rep())
    }

    fn lift(&mut self, ty: ResourceType, handle: u32) -> Result<ResourceAny> {
        let host = self.0.data_mut();
        if ty == ResourceType::host::<DynPollable>() {
            let pollable = take::<Pollable<_>>(host, handle)?;
            let pollable = io::pollable(&mut host.table, pollable)?;
            return pollable.try_into_resource_any(&mut *self.0);
        }
        if ty == ResourceType::host::<DynInputStream>() {
            let stream: DynInputStream = Box::new(io::Input::new(take(host, handle)?));
            let stream: Resource<DynInputStream> = host.table.push(stream)?;
            return stream.try_into_resource_any(&mut *self.0);
        }
        if ty == ResourceType::host::<DynOutputStream>() {
            let stream: DynOutputStream = Box::new(io::Output::new(take(host, handle)?));
            let stream: Resource<DynOutputStream> = host.table.push(stream)?;
            return stream.try_into_resource_any(&mut *self.0);
        }
        let tag = tag(&ty)?;
        ResourceDynamic::new_own(handle, tag).try_into_resource_any(&mut *self.0)
    }
}

/// What a handle of ours stands for; it is wasmtime-wasi's from now on.
fn take<T: 'static>(host: &mut Host, handle: u32) -> Result<T> {
    host.devices.state.handles.remove(handle).map_err(ended)
}

/// Which of ours it is.
fn tag(ty: &ResourceType) -> Result<u32> {
    let resources = Linux::interfaces().map(|interface| interface.resources.len());
    let count = u32::try_from(resources.sum::<usize>())?;
    (0..count)
        .find(|tag| ResourceType::host_dynamic(*tag) == *ty)
        .ok_or_else(|| Error::msg("a resource that is no device's"))
}
