//! The edge between Wasmtime's core modules and the host functions: what a guest's call comes to, and the guest as a host
//! function sees it.

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;

use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::trap::Trap;
use vyoma_services::HostSide;
use wasmtime::{
    Caller, Error, Func, FuncType, Memory, Module, ModuleExport, ResourceLimiter, Result, Store,
    TypedFunc, ValRaw,
};

use super::Ended;
use crate::limits::Limits;

/// Most parameters of a host function: 16, and a pointer for results.
const MAX_PARAMS: usize = 17;

/// A `realloc` of the guest.
type Allocator = TypedFunc<(u32, u32, u32, u32), u32>;

/// What a store keeps for one run.
pub(super) struct State {
    limits: Limits,
    side: Rc<HostSide>,
    /// None for a program without memory.
    memory: Option<Export<Memory>>,
    reallocs: Vec<Export<Allocator>>,
}

/// An export, looked up when it is first needed: a start function calls the host before there is an instance to ask.
struct Export<T> {
    place: ModuleExport,
    found: Option<T>,
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
        Some(Self {
            limits,
            side: Rc::new(side),
            memory: match memory {
                Some(name) => Some(Export::new(module, name)?),
                None => None,
            },
            reallocs: reallocs
                .iter()
                .map(|name| Export::new(module, name))
                .collect::<Option<_>>()?,
        })
    }

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }

    /// See [`Limits::refused`].
    pub(super) fn memory_refused(&self) -> bool {
        self.limits.refused()
    }
}

impl<T> Export<T> {
    fn new(module: &Module, name: &str) -> Option<Self> {
        Some(Self {
            place: module.get_export_index(name)?,
            found: None,
        })
    }
}

/// Import number `import`, of a type that a host function has.
pub(super) fn function(store: &mut Store<State>, import: usize, ty: FuncType) -> Option<Func> {
    if ty.params().len() > MAX_PARAMS || ty.results().len() > 1 {
        return None;
    }
    // SAFETY: `call` reads the values as the slots that they are, whatever their types, and writes one value at most: the
    // host function's result. `HostSide` was linked with signatures of which `ty` was made, so it is of its type.
    let function = unsafe {
        Func::new_unchecked(store, ty, move |caller, values| {
            call(caller, import, values)
        })
    };
    Some(function)
}

fn call(
    caller: Caller<'_, State>,
    import: usize,
    values: &mut [MaybeUninit<ValRaw>],
) -> Result<()> {
    let side = Rc::clone(&caller.data().side);
    let mut slots = [MaybeUninit::<u64>::uninit(); MAX_PARAMS];
    slots[0].write(0);
    let count = values.len().min(MAX_PARAMS);
    for (slot, value) in slots.iter_mut().zip(&*values) {
        // SAFETY: a `ValRaw` is 16 bytes of plain data that wasm wrote the beginning of: 4 bytes for a 32-bit value, whose
        // slot's other half no host function reads. What is not written is whatever machine code left in its stack.
        slot.write(unsafe { value.assume_init_ref().get_u64() });
    }
    // SAFETY: the first and all up to `count` were written above.
    let slots = unsafe { slots[..count.max(1)].assume_init_mut() };
    let mut running = Running {
        caller,
        memory: None,
        failure: None,
    };
    match side.call(import, &mut running, slots) {
        Ok(()) => {
            // There is a place for a result, or one of an argument that nobody reads any more.
            if let Some(value) = values.first_mut() {
                value.write(ValRaw::u64(slots[0]));
            }
            Ok(())
        }
        Err(trap) => Err(running.ended(trap)),
    }
}

/// A guest inside a host call.
struct Running<'a> {
    caller: Caller<'a, State>,
    /// Linear memory, once it was asked for: it stays where it is until the guest is called.
    memory: Option<NonNull<[u8]>>,
    /// Why a `realloc` did not return.
    failure: Option<Error>,
}

impl Running<'_> {
    /// Why the guest ends: the reason of the engine when the guest trapped in `realloc`, a host call in it included.
    #[cold]
    fn ended(self, trap: Trap) -> Error {
        self.failure
            .filter(|_| trap == Trap::Guest)
            .unwrap_or_else(|| Error::new(Ended(trap)))
    }

    fn find_memory(&mut self) -> Option<NonNull<[u8]>> {
        let export = self.caller.data().memory.as_ref()?;
        let memory = match export.found {
            Some(memory) => memory,
            None => self.look_up_memory()?,
        };
        Some(NonNull::from(memory.data_mut(&mut self.caller)))
    }

    #[cold]
    fn look_up_memory(&mut self) -> Option<Memory> {
        let place = self.caller.data().memory.as_ref()?.place;
        let memory = self.caller.get_module_export(&place)?.into_memory()?;
        self.caller.data_mut().memory.as_mut()?.found = Some(memory);
        Some(memory)
    }

    fn allocator(&mut self, realloc: Realloc) -> Option<Allocator> {
        let index = realloc.0 as usize;
        let export = self.caller.data().reallocs.get(index)?;
        if let Some(found) = &export.found {
            return Some(found.clone());
        }
        let place = export.place;
        let function = self.caller.get_module_export(&place)?.into_func()?;
        let found: Allocator = function.typed(&self.caller).ok()?;
        self.caller.data_mut().reallocs[index].found = Some(found.clone());
        Some(found)
    }
}

impl Guest for Running<'_> {
    #[inline]
    fn memory(&mut self) -> &mut [u8] {
        let memory = self.memory.unwrap_or_else(|| {
            let found = self.find_memory().unwrap_or(NonNull::from(&mut []));
            self.memory = Some(found);
            found
        });
        // SAFETY: the instance is inside of this host call; before it runs again, `self` is needed, and the memory is
        // looked for anew.
        unsafe { &mut *memory.as_ptr() }
    }

    fn realloc(
        &mut self,
        realloc: Realloc,
        old_pointer: u32,
        old_size: u32,
        alignment: u32,
        new_size: u32,
    ) -> Result<u32, Trap> {
        let allocator = self
            .allocator(realloc)
            .ok_or(Trap::Abi("no such realloc"))?;
        self.memory = None;
        allocator
            .call(
                &mut self.caller,
                (old_pointer, old_size, alignment, new_size),
            )
            .map_err(|error| {
                self.failure = Some(error);
                Trap::Guest
            })
    }
}
