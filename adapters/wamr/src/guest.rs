//! The edge between WAMR and the host functions: what WAMR calls, and the guest as a host function sees it.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};

use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::program::{CoreType, Import};
use vyoma_component::trap::Trap;
use vyoma_services::HostSide;
use vyoma_wamr_sys::{self as sys, Cells, Words};

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
    cells: Cells,
}

impl Binding {
    /// None for a signature that no host function has.
    pub(crate) fn new(host: *const Host, import: usize, of: &Import<'_>) -> Option<Self> {
        let signature = &of.signature;
        Some(Self {
            host,
            import,
            cells: Cells::new(
                signature.params.iter().copied().map(CoreType::is_wide),
                signature.result.map(CoreType::is_wide),
            )?,
        })
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

/// Every import of every guest.
///
/// # Safety
///
/// For WAMR to call, with a [`Binding`] attached and the cells of the import's parameters and result.
pub(crate) unsafe extern "C" fn call_host(
    env: *mut sys::wasm_exec_env,
    binding: *mut c_void,
    cells: *const u32,
    result: *mut u32,
) -> bool {
    // SAFETY: what is attached was attached by `Natives::register`: a binding that lives as long as the module, whose host
    // lives as long as the run. `env` runs.
    let (binding, host) = unsafe {
        let binding = &*binding.cast::<Binding>();
        (binding, &*binding.host)
    };
    let mut words = Words::new();
    // SAFETY: the cells are those of the import's signature, of which the binding was made.
    let slots = unsafe { binding.cells.read(cells, &mut words) };
    let mut guest = Running {
        env,
        host,
        // SAFETY: `env` runs.
        memory: unsafe { Place::of(env) },
    };
    let Err(trap) = host.side.call(binding.import, &mut guest, slots) else {
        // SAFETY: as above.
        unsafe { binding.cells.write(slots[0], result) };
        return true;
    };
    // The engine has its own reason when the guest trapped in `realloc`, unless that was a host call again.
    if trap != Trap::Guest {
        host.trap.borrow_mut().get_or_insert(trap);
        // SAFETY: the instance runs; WAMR copies the text.
        unsafe {
            let instance = sys::wasm_runtime_get_module_inst(env);
            sys::wasm_runtime_set_exception(instance, c"host".as_ptr());
        }
    }
    false
}

/// A guest inside a host call.
struct Running<'a> {
    env: *mut sys::wasm_exec_env,
    host: &'a Host,
    /// Linear memory: it stays where it is until the guest is called.
    memory: Place,
}

impl Guest for Running<'_> {
    #[inline]
    fn memory(&mut self) -> &mut [u8] {
        // SAFETY: the instance is inside of this host call; before it runs again, `self` is needed, and the place is told anew.
        unsafe { self.memory.slice() }
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
            unsafe {
                let instance = sys::wasm_runtime_get_module_inst(self.env);
                sys::wasm_runtime_lookup_function(instance, export.name.as_ptr())
            }
        });
        if function.is_null() {
            return Err(Trap::Abi("no such realloc"));
        }
        let mut cells = [old_pointer, old_size, alignment, new_size];
        // SAFETY: the function is of this instance, which is inside of a host call; it takes four i32 and gives one, as its
        // program says. Afterwards the instance waits again.
        let done = unsafe {
            let done = sys::vyoma_wamr_call_allocator(self.env, function, cells.as_mut_ptr());
            self.memory = Place::of(self.env);
            done
        };
        if done { Ok(cells[0]) } else { Err(Trap::Guest) }
    }
}

/// Where the linear memory of an instance is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    start: NonNull<u8>,
    length: usize,
}

impl Place {
    /// As it is now.
    ///
    /// # Safety
    ///
    /// The instance of `env` must be alive.
    pub(crate) unsafe fn of(env: *mut sys::wasm_exec_env) -> Self {
        let mut length = 0;
        // SAFETY: as the caller promises.
        let start = unsafe { sys::vyoma_wamr_memory(env, &raw mut length) };
        match NonNull::new(start) {
            Some(start) => Self {
                start,
                length: length as usize,
            },
            None => Self {
                start: NonNull::dangling(),
                length: 0,
            },
        }
    }

    /// Bytes of it.
    pub(crate) fn length(self) -> usize {
        self.length
    }

    /// The bytes themselves.
    ///
    /// # Safety
    ///
    /// The instance must not have run since the place was told, and must not run while the slice is in use.
    #[inline]
    unsafe fn slice<'a>(self) -> &'a mut [u8] {
        // SAFETY: so many bytes are there, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}
