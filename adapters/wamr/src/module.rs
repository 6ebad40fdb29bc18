//! The process's one WAMR runtime, and modules in it.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::{Mutex, Once, PoisonError};

use vyoma_component::program::Import;
use vyoma_runtime::EngineError;
use vyoma_wamr_sys as sys;

use crate::engine_error;
use crate::guest;

/// Room for what WAMR says when it fails; its own buffers are 128 bytes.
const ERROR: usize = 256;

/// WAMR looks host functions up in one list per process: only one module may load at a time.
static LOADING: Mutex<()> = Mutex::new(());

static START: Once = Once::new();

/// A loaded module. What WAMR found for its imports is bound to it.
#[derive(Debug)]
pub(crate) struct Module(*mut sys::wasm_module);

impl Module {
    /// Loads a core module or machine code. Import `n` will call [`guest::call_host`] with `bindings[n]` attached, which
    /// must outlive the module. Changes the payload, and needs it no more afterwards.
    pub(crate) fn load(
        payload: &mut [u8],
        imports: &[Import<'_>],
        bindings: &[*const c_void],
    ) -> Result<Self, EngineError> {
        let size = u32::try_from(payload.len())
            .map_err(|_| EngineError::Artefact("a payload of over 4 GiB".to_owned()))?;
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        start()?;
        let mut natives = Natives::register(imports, bindings)?;
        let mut name = *b"\0";
        let arguments = sys::LoadArgs {
            name: name.as_mut_ptr().cast(),
            clone_wasm_binary: false,
            wasm_binary_freeable: true,
            no_resolve: false,
        };
        let mut error = [0; ERROR];
        // SAFETY: the runtime is started; the buffer is `size` bytes that WAMR may write to, the arguments and the error buffer
        // live through the call.
        let module = unsafe {
            sys::wasm_runtime_load_ex(
                payload.as_mut_ptr(),
                size,
                &raw const arguments,
                error.as_mut_ptr(),
                ERROR as u32,
            )
        };
        natives.unregister();
        if module.is_null() {
            return Err(engine_error(message(&error)));
        }
        let module = Self(module);
        // SAFETY: the module was just loaded.
        if !unsafe { sys::wasm_runtime_is_underlying_binary_freeable(module.0) } {
            return Err(engine_error("keeps parts of the payload"));
        }
        Ok(module)
    }

    /// Makes an instance and runs its start function. The error is WAMR's message.
    pub(crate) fn instantiate(
        &self,
        stack: u32,
        max_pages: u32,
    ) -> Result<*mut sys::wasm_module_inst, String> {
        let arguments = sys::InstantiationArgs {
            default_stack_size: stack,
            host_managed_heap_size: 0,
            max_memory_pages: max_pages,
        };
        let mut error = [0; ERROR];
        // SAFETY: the module is loaded; arguments and error buffer live through the call.
        let instance = unsafe {
            sys::wasm_runtime_instantiate_ex(
                self.0,
                &raw const arguments,
                error.as_mut_ptr(),
                ERROR as u32,
            )
        };
        if instance.is_null() {
            return Err(message(&error));
        }
        Ok(instance)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: it was loaded, and instances are gone: they borrow it.
        unsafe { sys::wasm_runtime_unload(self.0) }
    }
}

/// The version that the linked WAMR says it has.
#[cfg(test)]
pub(crate) fn version() -> String {
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: three places to write a number to.
    unsafe {
        sys::wasm_runtime_get_version(&raw mut major, &raw mut minor, &raw mut patch);
    }
    format!("{major}.{minor}.{patch}")
}

fn start() -> Result<(), EngineError> {
    START.call_once(|| {
        // SAFETY: once per process, and before any other use of WAMR.
        if unsafe { sys::wasm_runtime_init() } {
            // SAFETY: the runtime is started, and the function is there for the life of the process.
            unsafe {
                sys::wasm_runtime_set_enlarge_mem_error_callback(
                    Some(guest::memory_refused),
                    ptr::null_mut(),
                );
            }
            STARTED.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    if STARTED.load(std::sync::atomic::Ordering::Relaxed) {
        return Ok(());
    }
    Err(engine_error("does not start"))
}

static STARTED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Text of one of WAMR's error buffers.
fn message(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|&byte| byte as u8)
        .take_while(|&byte| byte != 0)
        .collect();
    let text = String::from_utf8_lossy(&bytes);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Host functions as WAMR's loader finds them; registered for the time of one load.
struct Natives {
    /// Module and field name of each, and the symbol that points into them. Boxed, so that they stay where they are.
    entries: Vec<(CString, CString, Box<sys::NativeSymbol>)>,
    registered: usize,
}

impl Natives {
    fn register(imports: &[Import<'_>], bindings: &[*const c_void]) -> Result<Self, EngineError> {
        let mut natives = Self {
            entries: Vec::with_capacity(imports.len()),
            registered: 0,
        };
        for (import, &binding) in imports.iter().zip(bindings) {
            let text = |text: &str| {
                CString::new(text)
                    .map_err(|_| EngineError::Refused("imports a name with a zero byte".to_owned()))
            };
            let (module, field) = (text(&import.module)?, text(&import.field)?);
            let call: sys::raw_native = guest::call_host;
            let symbol = Box::new(sys::NativeSymbol {
                symbol: field.as_ptr(),
                func_ptr: call as *mut c_void,
                signature: ptr::null(),
                attachment: binding.cast_mut(),
            });
            natives.entries.push((module, field, symbol));
        }
        for (module, _, symbol) in &mut natives.entries {
            // SAFETY: names and symbol live in `natives`, which takes the registration back before it goes.
            let done = unsafe {
                sys::wasm_runtime_register_natives_raw(module.as_ptr(), &raw mut **symbol, 1)
            };
            if !done {
                return Err(engine_error("no memory for host functions"));
            }
            natives.registered += 1;
        }
        Ok(natives)
    }

    fn unregister(&mut self) {
        for (module, _, symbol) in self.entries.iter_mut().take(self.registered) {
            // SAFETY: exactly what was registered.
            unsafe {
                sys::wasm_runtime_unregister_natives(module.as_ptr(), &raw mut **symbol);
            }
        }
        self.registered = 0;
    }
}

impl Drop for Natives {
    fn drop(&mut self) {
        self.unregister();
    }
}

/// What a failed call left in an instance, without WAMR's prefix.
///
/// # Safety
///
/// The instance must be alive.
pub(crate) unsafe fn exception(instance: *mut sys::wasm_module_inst) -> Option<String> {
    // SAFETY: as the caller promises.
    let text = unsafe { sys::wasm_runtime_get_exception(instance) };
    if text.is_null() {
        return None;
    }
    // SAFETY: WAMR's exceptions end with a zero byte, and stay until the next one.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    Some(text.strip_prefix("Exception: ").unwrap_or(&text).to_owned())
}
