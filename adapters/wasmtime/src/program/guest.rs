//! The edge between Wasmtime's core modules and the host functions: what a guest's call comes to, and the guest as a host
//! function sees it. Every instruction counts here: a pin is read in about a thousand, most of them the kernel's.

use std::cell::OnceCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::trap::Trap;
use vyoma_services::HostSide;
use wasmtime::{
    Caller, Error, Extern, Func, FuncType, Module, ModuleExport, Result, Store, TypedFunc, ValRaw,
};

use super::Ended;
use crate::limits::Limits;

/// What a store keeps for one run.
pub(super) struct State {
    limits: Limits,
    host: Rc<Host>,
    /// Where linear memory was when it was last looked for: it is there until [`Limits`] are asked whether it may grow.
    memory: NonNull<[u8]>,
}

/// What host functions use while they have the store.
struct Host {
    side: HostSide,
    /// None for a program without memory.
    memory: Option<ModuleExport>,
    reallocs: Vec<Allocator>,
}

/// A `realloc` of the guest, looked up when it is first needed: a start function calls the host before there is an instance
/// to ask.
struct Allocator {
    export: ModuleExport,
    function: OnceCell<TypedFunc<(u32, u32, u32, u32), u32>>,
}

impl State {
    /// None when the module lacks one of the exports.
    pub(super) fn new(
        limits: Limits,
        side: HostSide,
        module: &Module,
        memory: Option<&str>,
        reallocs: &[&str],
    ) -> Option<Self> {
        let memory = match memory {
            Some(name) => Some(module.get_export_index(name)?),
            None => None,
        };
        let reallocs = reallocs
            .iter()
            .map(|name| {
                Some(Allocator {
                    export: module.get_export_index(name)?,
                    function: OnceCell::new(),
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            limits,
            host: Rc::new(Host {
                side,
                memory,
                reallocs,
            }),
            memory: NonNull::from(&mut []),
        })
    }

    pub(super) fn limits(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// See [`Limits::refused`].
    pub(super) fn memory_refused(&self) -> bool {
        self.limits.refused()
    }
}

/// Import number `import`, whose type was made of the signature that the host side was linked with.
pub(super) fn function(store: &mut Store<State>, import: usize, ty: FuncType) -> Func {
    // What the calls have of which there are many in a second: copies for each number of them, without a loop.
    let values = ty.params().len().max(ty.results().len());
    match values {
        1 => with(store, import, ty, some::<1>),
        2 => with(store, import, ty, some::<2>),
        3 => with(store, import, ty, some::<3>),
        4 => with(store, import, ty, some::<4>),
        _ => with(store, import, ty, |values| values),
    }
}

/// `of` makes of a call's values as many as there are.
fn with(
    store: &mut Store<State>,
    import: usize,
    ty: FuncType,
    of: impl Fn(Values<'_>) -> Values<'_> + Send + Sync + 'static,
) -> Func {
    // SAFETY: `call` hands over the values as the slots that they are, and a host function that was linked with a signature
    // reads that many and leaves its result, if it has one, in the first.
    unsafe {
        Func::new_unchecked(store, ty, move |caller, values| {
            call(caller, import, of(values))
        })
    }
}

type Values<'a> = &'a mut [MaybeUninit<ValRaw>];

/// The first `N`: all of them, which the compiler learns here.
#[inline]
fn some<const N: usize>(values: Values<'_>) -> Values<'_> {
    values
        .first_chunk_mut::<N>()
        .map_or(&mut [], |values| values)
}

#[expect(
    clippy::inline_always,
    reason = "the copies for each number are what it is for"
)]
#[inline(always)]
fn call(caller: Caller<'_, State>, import: usize, values: Values<'_>) -> Result<()> {
    let host = Rc::as_ptr(&caller.data().host);
    let mut running = Running {
        caller,
        // SAFETY: the store keeps its host as long as it lives, and it lives longer than a call out of its guest.
        host: unsafe { &*host },
        failure: None,
    };
    let mut none = [0];
    let slots = if values.is_empty() {
        &mut none
    } else {
        slots(values)
    };
    match running.host.side.call(import, &mut running, slots) {
        Ok(()) => Ok(()),
        Err(trap) => Err(running.ended(trap)),
    }
}

/// The values as slots, one behind the other in the same place. The first stays where it is, and so does a result in it.
#[inline]
fn slots(values: Values<'_>) -> &mut [u64] {
    let slots: *mut u64 = values.as_mut_ptr().cast();
    for index in 1..values.len() {
        // SAFETY: a value is two slots long and begins with what it holds, so slot `2 * index` is the beginning of value `index`;
        // it is read before a value further on is moved there. Machine code wrote 8 bytes, or 4 for a 32-bit value, whose
        // other half is what its stack held and what no host function reads.
        unsafe { slots.add(index).write(slots.add(2 * index).read()) };
    }
    // SAFETY: so many were there or written above, within the place of the values, which stays borrowed. Of a function without
    // parameters the first is only the place of its result: nobody reads what the stack held there.
    unsafe { slice::from_raw_parts_mut(slots, values.len()) }
}

const _: () =
    assert!(size_of::<ValRaw>() == 2 * size_of::<u64>() && cfg!(target_endian = "little"));

/// A guest inside a host call.
struct Running<'a> {
    caller: Caller<'a, State>,
    host: &'a Host,
    /// Why a `realloc` did not return.
    failure: Option<Error>,
}

impl Running<'_> {
    /// Why the guest ends: the reason of the engine when the guest trapped in `realloc`, a host call in it included.
    #[cold]
    fn ended(&mut self, trap: Trap) -> Error {
        match self.failure.take() {
            Some(failure) if trap == Trap::Guest => failure,
            _ => Error::new(Ended(trap)),
        }
    }

    /// Of no bytes when there is none.
    #[cold]
    fn find_memory(&mut self) -> NonNull<[u8]> {
        let memory = (self.host.memory.as_ref())
            .and_then(|export| self.caller.get_module_export(export))
            .and_then(Extern::into_memory);
        let found = match memory {
            Some(memory) => NonNull::from(memory.data_mut(&mut self.caller)),
            None => NonNull::from(&mut []),
        };
        let state = self.caller.data_mut();
        state.limits.looked();
        state.memory = found;
        found
    }

    #[cold]
    fn find(&mut self, allocator: &Allocator) -> Option<()> {
        let export = self.caller.get_module_export(&allocator.export)?;
        let function = export.into_func()?.typed(&self.caller).ok()?;
        allocator.function.set(function).ok()
    }
}

impl Guest for Running<'_> {
    #[inline]
    fn memory(&mut self) -> &mut [u8] {
        let state = self.caller.data();
        let mut found = state.memory;
        if state.limits.asked() {
            found = self.find_memory();
        }
        // SAFETY: memory is as long as it was and where it was until it grows, for which the limits are asked first. Only the
        // guest and this host call touch it, and the guest does not run before `self` is used again.
        unsafe { found.as_mut() }
    }

    fn realloc(
        &mut self,
        realloc: Realloc,
        old_pointer: u32,
        old_size: u32,
        alignment: u32,
        new_size: u32,
    ) -> Result<u32, Trap> {
        const MISSING: Trap = Trap::Abi("no such realloc");
        let host = self.host;
        let allocator = host.reallocs.get(realloc.0 as usize).ok_or(MISSING)?;
        if allocator.function.get().is_none() {
            self.find(allocator).ok_or(MISSING)?;
        }
        let function = allocator.function.get().ok_or(MISSING)?;
        let arguments = (old_pointer, old_size, alignment, new_size);
        function.call(&mut self.caller, arguments).map_err(|error| {
            self.failure = Some(error);
            Trap::Guest
        })
    }
}
