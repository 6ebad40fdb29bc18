//! wasm3 as both Linux and the microcontroller use it: one module, one guest, host functions by their number.
//!
//! `no_std`, and without an allocator of its own: wasm3 takes its memory from the C functions that the program provides.
//! Modules are expected to be valid (wasm3 checks them once more). Everything is compiled when a [`Machine`] is
//! made, so that neither memory nor an instruction that wasm3 lacks can be missing in the middle of a run. It deliberately
//! knows no component, no interface and no operating system. wasm3 can't be interrupted: a guest that never ends is stopped
//! by whoever owns the thread.

use core::ffi::{CStr, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{NonNull, null, null_mut};

use vyoma_wasm3_sys as sys;

use crate::{exports, words};

/// Parameters of an import at most: 16, and a pointer for results (canonical ABI, MAX_FLAT_PARAMS).
pub const MAX_PARAMS: usize = 17;

/// Why a machine was not made, or why a call did not return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The guest trapped: one of [`crate::words`]. Making a machine traps when a segment does not fit its memory or table.
    Trap(&'static str),
    /// A host function ended the guest.
    Host,
    /// There is no memory for what the engine itself needs.
    Memory,
    /// wasm3 would not have the module, in its own words.
    Module(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap(reason) | Self::Module(reason) => reason,
            Self::Host => "ended by a host function",
            Self::Memory => "no memory for the engine's own structures",
        })
    }
}

impl core::error::Error for Error {}

/// How much a guest may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the value stack: parameters, locals and operands of all calls that are under way. It does not grow.
    pub stack_bytes: u32,
    /// Most pages (64 KiB) of linear memory; the module may declare fewer.
    pub memory_pages: u32,
    /// Bytes of linear memory that there really are, when that is less than the pages say; accesses past them trap.
    /// For guests whose `__heap_base` tells what they use, on machines where a page is a lot. Such a memory can't grow: its
    /// `memory_pages` should be what it starts with.
    pub memory_bytes: Option<u32>,
}

/// What a guest's imports are.
pub trait Host {
    /// Calls the import of that number (its place among the module's imports). One parameter a slot, 32-bit ones in the
    /// low half; the result, if there is one, goes into the first slot. There is always a first slot.
    fn call(&mut self, import: u32, slots: &mut [u64], guest: &mut Caller<'_>) -> Result<(), Stop>;
}

/// The guest ends. Why is for the host to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// A function of a machine's module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function(u32);

/// One guest.
pub struct Machine<'m> {
    environment: NonNull<sys::Environment>,
    runtime: NonNull<sys::Runtime>,
    /// Owned by `runtime` once it is loaded.
    module: *mut sys::Module,
    bytes: &'m [u8],
}

/// What a host function that is under way works with. wasm3 has a pointer to it in the runtime.
struct Context<'c> {
    /// Absent while a host function runs: none other may be called then.
    host: Option<&'c mut dyn Host>,
    /// Why a call that a host function made did not return.
    nested: Option<Error>,
}

impl<'m> Machine<'m> {
    /// Loads `module`, in place: makes its memory and tables, links its imports to the host's functions and compiles it all.
    pub fn new(module: &'m [u8], limits: &Limits) -> Result<Self, Error> {
        // SAFETY: takes no argument; null is handled.
        let environment = NonNull::new(unsafe { sys::m3_NewEnvironment() }).ok_or(Error::Memory)?;
        // SAFETY: the environment is alive, and freed after the runtime (Drop). The pointer is set before each call.
        let runtime =
            unsafe { sys::m3_NewRuntime(environment.as_ptr(), limits.stack_bytes, null_mut()) };
        let Some(runtime) = NonNull::new(runtime) else {
            // SAFETY: made above, and nothing else has it.
            unsafe { sys::m3_FreeEnvironment(environment.as_ptr()) };
            return Err(Error::Memory);
        };
        // From here on Drop frees what there is.
        let mut machine = Self {
            environment,
            runtime,
            module: null_mut(),
            bytes: module,
        };
        machine.load(limits)?;
        machine.link()?;
        // SAFETY: the module is loaded.
        check(unsafe { sys::m3_CompileModule(machine.module) })?;
        Ok(machine)
    }

    fn load(&mut self, limits: &Limits) -> Result<(), Error> {
        let length = u32::try_from(self.bytes.len()).map_err(|_| Error::Module("too large"))?;
        let mut module = null_mut();
        // SAFETY: the bytes live as long as `self` ('m), longer than the module. A module that did not parse is freed by wasm3.
        check(unsafe {
            sys::m3_ParseModule(
                self.environment.as_ptr(),
                &raw mut module,
                self.bytes.as_ptr(),
                length,
            )
        })?;
        // SAFETY: the module is parsed and not loaded, the runtime has no module yet.
        let outcome = check(unsafe {
            sys::vyoma_wasm3_limit_pages(module, limits.memory_pages);
            if let Some(bytes) = limits.memory_bytes {
                sys::vyoma_wasm3_limit_bytes(self.runtime.as_ptr(), bytes);
            }
            sys::m3_LoadModule(self.runtime.as_ptr(), module)
        });
        match outcome {
            Ok(()) => self.module = module,
            // SAFETY: loading failed, so the module is still ours.
            Err(_) => unsafe { sys::m3_FreeModule(module) },
        }
        outcome
    }

    fn link(&mut self) -> Result<(), Error> {
        for index in 0..self.imports() {
            // SAFETY: the index is below the number of functions, the module is loaded.
            let function = unsafe { sys::vyoma_wasm3_function(self.module, index) };
            // SAFETY: as above.
            let (params, results) =
                unsafe { (sys::m3_GetArgCount(function), sys::m3_GetRetCount(function)) };
            if params as usize > MAX_PARAMS || results > 1 {
                return Err(Error::Module(
                    "an import with too many parameters or results",
                ));
            }
            // The number travels as the pointer that wasm3 keeps for each import.
            let number = core::ptr::without_provenance(index as usize);
            // SAFETY: the index is that of an import. The function is called by wasm3 only, as its type says.
            check(unsafe { sys::vyoma_wasm3_link(self.module, index, host_call, number) })?;
        }
        Ok(())
    }

    /// Imported functions.
    pub fn imports(&self) -> u32 {
        // SAFETY: the module is loaded.
        unsafe { sys::vyoma_wasm3_imports(self.module) }
    }

    /// The exported function of that name.
    pub fn function(&self, name: &str) -> Option<Function> {
        // SAFETY: the module is loaded.
        let functions = unsafe { sys::vyoma_wasm3_functions(self.module) };
        exports::function(self.bytes, name)
            .filter(|&index| index < functions)
            .map(Function)
    }

    /// Gives back the memory that compiling took, one and a half kilobytes on 32 bits: everything is compiled.
    ///
    /// # Safety
    /// The program's C function `realloc` never moves a block that it makes smaller.
    pub unsafe fn forget_compiler(&mut self) {
        // SAFETY: `new` has compiled all functions, so the end of the runtime is used no more; as the caller promises, the
        // rest stays where it is.
        unsafe { sys::vyoma_wasm3_forget_compiler(self.runtime.as_ptr()) };
    }

    /// A wasm call traps from now on when it finds the native stack below `lowest`. The stack of whoever calls
    /// [`Machine::call`] has to reach further down by what a host function needs, and by 64 bytes for each nested loop of
    /// the guest's innermost function. Until this is called, guests have 4 KiB.
    pub fn limit_native_stack(&mut self, lowest: usize) {
        let lowest = core::ptr::without_provenance_mut(lowest);
        // SAFETY: the address is only compared with.
        unsafe { sys::vyoma_wasm3_limit_stack(self.runtime.as_ptr(), lowest) };
    }

    /// Calls `function`; before the first call, the module's start function. 32-bit arguments and results are in the low
    /// half. After an error, other than in making the call, the guest's state is what the trap left.
    pub fn call(
        &mut self,
        function: Function,
        arguments: &[u64],
        host: &mut dyn Host,
    ) -> Result<Option<u64>, Error> {
        let mut context = Context {
            host: Some(host),
            nested: None,
        };
        let pointer: *mut Context<'_> = &raw mut context;
        // SAFETY: the context outlives the call. Only `host_call` uses the pointer, only during the call, and nothing
        // here touches `context` until it is over.
        let outcome = unsafe {
            sys::vyoma_wasm3_set_userdata(self.runtime.as_ptr(), pointer.cast());
            call(self.module, function, arguments)
        };
        match outcome {
            Err(Error::Host) => Err(context.nested.unwrap_or(Error::Host)),
            other => other,
        }
    }

    /// The linear memory as it is now.
    pub fn memory(&mut self) -> &mut [u8] {
        // SAFETY: no guest runs while `self` is borrowed.
        unsafe { memory(self.runtime.as_ptr()) }
    }

    /// Whether the guest's last request for memory was refused, so that an abort after it was for want of memory.
    pub fn grow_refused(&self) -> bool {
        // SAFETY: the runtime is alive.
        unsafe { sys::vyoma_wasm3_grow_refused(self.runtime.as_ptr()) != 0 }
    }

    /// Bytes of compiled code, with the unused rest of its pages.
    pub fn code_bytes(&self) -> u32 {
        // SAFETY: the runtime is alive.
        unsafe { sys::vyoma_wasm3_code_bytes(self.runtime.as_ptr()) }
    }

    /// Bytes of the value stack that were ever used, as far as can be seen: up to the last that is not zero.
    pub fn stack_used(&mut self) -> usize {
        let mut bytes = 0;
        // SAFETY: the stack is that many initialised bytes, and no guest runs while `self` is borrowed.
        let stack = unsafe {
            let stack = sys::vyoma_wasm3_stack(self.runtime.as_ptr(), &raw mut bytes);
            core::slice::from_raw_parts(stack.cast::<u8>(), bytes as usize)
        };
        stack
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| (last + 1).next_multiple_of(sys::SLOT))
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed only here, the module with its runtime, the environment last.
        unsafe {
            sys::m3_FreeRuntime(self.runtime.as_ptr());
            sys::m3_FreeEnvironment(self.environment.as_ptr());
        }
    }
}

/// Bytes that wasm3 takes for a module before it compiles anything, names and types apart: what an admission can count on a
/// machine where each kilobyte does.
pub fn metadata_bytes(functions: u32, globals: u32) -> u32 {
    // SAFETY: these are constants of the C code.
    let size = |structure| unsafe { sys::vyoma_wasm3_size(structure) };
    let each = functions
        .saturating_mul(size(3))
        .saturating_add(globals.saturating_mul(size(4)));
    each.saturating_add(size(0) + size(1) + size(2))
}

/// A guest that is inside a host call.
pub struct Caller<'c> {
    runtime: *mut sys::Runtime,
    module: *mut sys::Module,
    context: *mut Context<'c>,
    borrowed: PhantomData<&'c mut ()>,
}

impl Caller<'_> {
    /// The linear memory as it is now. [`Caller::call`] may grow and move it.
    pub fn memory(&mut self) -> &mut [u8] {
        // SAFETY: the guest waits for the host, and whoever could run it needs `self`.
        unsafe { memory(self.runtime) }
    }

    /// Calls a function of the guest, which can't call the host meanwhile. When it fails, the guest has to end: return
    /// [`Stop`].
    pub fn call(&mut self, function: Function, arguments: &[u64]) -> Result<Option<u64>, Error> {
        // SAFETY: the module is loaded, and the runtime's context is the one of this call.
        let outcome = unsafe { call(self.module, function, arguments) };
        if let Err(error) = outcome {
            // SAFETY: the context outlives the host call that `self` is part of, and nothing else uses it now.
            unsafe { (*self.context).nested = Some(error) };
        }
        outcome
    }
}

/// # Safety
/// The runtime is alive and no guest runs on it while the slice is.
unsafe fn memory<'a>(runtime: *mut sys::Runtime) -> &'a mut [u8] {
    let mut bytes = 0;
    // SAFETY: as the caller promises; loading made the memory, an empty one at least.
    unsafe {
        let start = sys::vyoma_wasm3_memory(runtime, &raw mut bytes);
        core::slice::from_raw_parts_mut(start, bytes)
    }
}

/// # Safety
/// The module is loaded, and its runtime's pointer is to a context that is alive.
unsafe fn call(
    module: *mut sys::Module,
    function: Function,
    arguments: &[u64],
) -> Result<Option<u64>, Error> {
    // SAFETY: a `Function` is an index that was checked.
    let function = unsafe { sys::vyoma_wasm3_function(module, function.0) };
    let mut pointers = [null::<c_void>(); MAX_PARAMS];
    for (pointer, argument) in pointers.iter_mut().zip(arguments) {
        *pointer = (&raw const *argument).cast();
    }
    if arguments.len() > MAX_PARAMS {
        return Err(Error::Module("too many arguments"));
    }
    let count = arguments.len() as u32;
    // SAFETY: wasm3 checks the count and reads 4 or 8 bytes through each pointer; the machine is little-endian.
    check(unsafe { sys::m3_Call(function, count, pointers.as_ptr()) })?;
    // SAFETY: the function is alive.
    if unsafe { sys::m3_GetRetCount(function) } == 0 {
        return Ok(None);
    }
    let mut result = 0_u64;
    let place: *const c_void = (&raw mut result).cast();
    // SAFETY: 4 or 8 bytes are written to `result`; more results than one are an error.
    check(unsafe { sys::m3_GetResults(function, 1, &raw const place) })?;
    Ok(Some(result))
}

/// What wasm3 calls for every import.
unsafe extern "C" fn host_call(
    runtime: *mut sys::Runtime,
    import: *mut sys::ImportContext,
    stack: *mut c_void,
    _memory: *mut c_void,
) -> *const c_void {
    // SAFETY: wasm3 gives its own structures. A guest only runs in `Machine::call`, which set the context.
    let (import, context) =
        unsafe { (&*import, sys::m3_GetUserData(runtime).cast::<Context<'_>>()) };
    // SAFETY: see above; the borrow ends here.
    let Some(host) = (unsafe { (*context).host.take() }) else {
        return words::LEAVING.as_ptr().cast();
    };
    // SAFETY: the function is the import's.
    let (params, results, module) = unsafe {
        (
            sys::m3_GetArgCount(import.function) as usize,
            sys::m3_GetRetCount(import.function) as usize,
            sys::vyoma_wasm3_module(import.function),
        )
    };
    // A copy: a call of the guest from within the host call uses the same place of the stack.
    let mut slots = [0_u64; MAX_PARAMS];
    let stack = stack.cast::<u64>();
    for (index, slot) in slots.iter_mut().enumerate().take(params) {
        // SAFETY: results come first, then parameters; linking checked their number. A 32-bit value leaves the upper half of
        // its place as it was, which no host function reads. The stack may be aligned to 4 bytes only.
        *slot = unsafe { stack.add(results + index).read_unaligned() };
    }
    let mut caller = Caller {
        runtime,
        module,
        context,
        borrowed: PhantomData,
    };
    let outcome = host.call(
        import.userdata.addr() as u32,
        &mut slots[..params.max(1)],
        &mut caller,
    );
    // SAFETY: the context is alive, and nothing else uses it now.
    unsafe { (*context).host = Some(host) };
    if outcome.is_err() {
        return words::STOPPED.as_ptr().cast();
    }
    if results > 0 {
        // SAFETY: the result's place is the first.
        unsafe { stack.write_unaligned(slots[0]) };
    }
    null()
}

fn check(outcome: sys::Outcome) -> Result<(), Error> {
    if outcome.is_null() {
        return Ok(());
    }
    // SAFETY: wasm3 answers with string literals, and `host_call` with constants.
    Err(words::error(unsafe { CStr::from_ptr(outcome) }))
}
