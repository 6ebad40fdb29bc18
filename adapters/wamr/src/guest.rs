//! The edge between WAMR and the host functions: what WAMR calls, and the guest as a host function sees it.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CString, c_void};
use std::ptr;

use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::program::{CoreType, Import};
use vyoma_component::trap::Trap;
use vyoma_services::HostSide;
use vyoma_wamr_sys as sys;

thread_local! {
    /// The run of this thread, for the one callback that gets nothing attached.
    static CURRENT: Cell<*const Host> = const { Cell::new(ptr::null()) };
}

/// What one run keeps for the calls that come out of the guest.
pub(crate) struct Host {
    side: HostSide,
    /// The exports that are `realloc` functions.
    reallocs: Vec<ReallocExport>,
    /// Why a host call ended the guest.
    trap: RefCell<Option<Trap>>,
    /// Bytes of linear memory that the guest had when it was last refused more.
    refused_at: Cell<Option<u64>>,
}

struct ReallocExport {
    name: CString,
    function: OnceCell<*mut sys::wasm_function_inst>,
}

/// What is attached to an import: which one, and for whom.
pub(crate) struct Binding {
    host: *const Host,
    import: usize,
    /// Bit n: slot n holds a value of 32 bits, whatever WAMR left above it.
    narrow: u32,
}

impl Binding {
    pub(crate) fn new(host: *const Host, import: usize, of: &Import<'_>) -> Self {
        let narrow = of
            .signature
            .params
            .iter()
            .enumerate()
            .filter(|(_, param)| matches!(param, CoreType::I32 | CoreType::F32))
            .fold(0, |mask, (slot, _)| mask | 1 << slot);
        Self {
            host,
            import,
            narrow,
        }
    }
}

impl Host {
    pub(crate) fn new(side: HostSide, reallocs: &[&str]) -> Option<Self> {
        let reallocs = reallocs
            .iter()
            .map(|&name| {
                Some(ReallocExport {
                    name: CString::new(name).ok()?,
                    function: OnceCell::new(),
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            side,
            reallocs,
            trap: RefCell::new(None),
            refused_at: Cell::new(None),
        })
    }

    /// Makes this the run of the thread.
    pub(crate) fn enter(&self) {
        CURRENT.set(ptr::from_ref(self));
    }

    /// No run any more on this thread.
    pub(crate) fn leave() {
        CURRENT.set(ptr::null());
    }

    /// Why a host call ended the guest, if one did.
    pub(crate) fn take_trap(&self) -> Option<Trap> {
        self.trap.borrow_mut().take()
    }

    /// Whether the guest's last request for memory was refused, when it has `bytes` now: memory only grows, so a later
    /// request that was granted shows.
    pub(crate) fn memory_was_refused(&self, bytes: u64) -> bool {
        self.refused_at.get() == Some(bytes)
    }
}

/// WAMR could not grow linear memory.
///
/// # Safety
///
/// For WAMR to call.
pub(crate) unsafe extern "C" fn memory_refused(
    _pages: u32,
    bytes: u64,
    _memory: u32,
    _reason: u32,
    _instance: *mut sys::wasm_module_inst,
    _env: *mut sys::wasm_exec_env,
    _data: *mut c_void,
) {
    let host = CURRENT.get();
    if !host.is_null() {
        // SAFETY: set by `Host::enter` of the run that is under way on this thread, and taken back before it ends.
        unsafe { &*host }.refused_at.set(Some(bytes));
    }
}

/// Every import of every guest: WAMR's raw convention.
///
/// # Safety
///
/// For WAMR to call, with a [`Binding`] attached and as many cells as the import has parameters, at least one.
pub(crate) unsafe extern "C" fn call_host(env: *mut sys::wasm_exec_env, cells: *mut u64) {
    // SAFETY: `env` runs, and what is attached was attached by `Natives::register`: a binding that lives as long as the
    // module, whose host lives as long as the run.
    let (binding, host, instance) = unsafe {
        let binding = &*sys::wasm_runtime_get_function_attachment(env).cast::<Binding>();
        (
            binding,
            &*binding.host,
            sys::wasm_runtime_get_module_inst(env),
        )
    };
    // SAFETY: linking compared the signature with the host function's, and `slots` is its number of parameters or 1; WAMR
    // has at least that many cells.
    let slots = unsafe { std::slice::from_raw_parts_mut(cells, host.side.slots(binding.import)) };
    for (index, slot) in slots.iter_mut().enumerate() {
        if binding.narrow >> index & 1 == 1 {
            *slot = u64::from(*slot as u32);
        }
    }
    let mut guest = Running {
        env,
        instance,
        host,
    };
    let Err(trap) = host.side.call(binding.import, &mut guest, slots) else {
        return;
    };
    // The engine has its own reason when the guest trapped in `realloc`, unless that was a host call again.
    if trap != Trap::Guest {
        host.trap.borrow_mut().get_or_insert(trap);
        // SAFETY: the instance runs; WAMR copies the text.
        unsafe { sys::wasm_runtime_set_exception(instance, c"host".as_ptr()) };
    }
}

/// A guest inside a host call.
struct Running<'a> {
    env: *mut sys::wasm_exec_env,
    instance: *mut sys::wasm_module_inst,
    host: &'a Host,
}

impl Guest for Running<'_> {
    fn memory(&mut self) -> &mut [u8] {
        // SAFETY: the instance runs on this thread, which is here; its memory stays in place until it is called again, for
        // which `self` is needed.
        unsafe { memory(self.instance) }
    }

    fn realloc(
        &mut self,
        realloc: Realloc,
        old_pointer: u32,
        old_size: u32,
        alignment: u32,
        new_size: u32,
    ) -> Result<u32, Trap> {
        let export = self
            .host
            .reallocs
            .get(realloc.0 as usize)
            .ok_or(Trap::Abi("no such realloc"))?;
        let function = *export.function.get_or_init(|| {
            // SAFETY: the instance runs, the name ends with a zero byte.
            unsafe { sys::wasm_runtime_lookup_function(self.instance, export.name.as_ptr()) }
        });
        if function.is_null() {
            return Err(Trap::Abi("no such realloc"));
        }
        let mut cells = [old_pointer, old_size, alignment, new_size];
        // SAFETY: the function is of this instance and takes four i32, as its program says.
        let done = unsafe {
            sys::wasm_runtime_call_wasm(self.env, function, cells.len() as u32, cells.as_mut_ptr())
        };
        if done { Ok(cells[0]) } else { Err(Trap::Guest) }
    }
}

/// The linear memory of an instance, as it is now.
///
/// # Safety
///
/// The instance must be alive, and must not run while the slice is in use.
pub(crate) unsafe fn memory<'a>(instance: *mut sys::wasm_module_inst) -> &'a mut [u8] {
    // SAFETY: as the caller promises; a memory of WAMR is pages times bytes of a page long from its base on.
    unsafe {
        let memory = sys::wasm_runtime_get_default_memory(instance);
        if memory.is_null() {
            return &mut [];
        }
        let base = sys::wasm_memory_get_base_address(memory).cast::<u8>();
        let length = sys::wasm_memory_get_cur_page_count(memory)
            * sys::wasm_memory_get_bytes_per_page(memory);
        if base.is_null() || length == 0 {
            return &mut [];
        }
        std::slice::from_raw_parts_mut(base, length as usize)
    }
}
