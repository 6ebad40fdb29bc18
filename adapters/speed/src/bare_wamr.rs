//! WAMR embedded with nothing around it: the machine code of the artefact, and natives that are found by their number.

use std::ffi::{CStr, CString, c_void};
use std::ptr;

use vyoma_component::program::CoreType;
use vyoma_services::artefact::Artefact;
use vyoma_wamr_sys::{self as sys, Cells, Words};

use crate::bare::{Guest, Host};

struct Binding {
    host: *const Host,
    import: usize,
    cells: Cells,
    realloc: *const CString,
}

struct Running<'a> {
    env: *mut sys::wasm_exec_env,
    instance: *mut sys::wasm_module_inst,
    realloc: &'a CStr,
}

impl Guest for Running<'_> {
    fn memory(&mut self) -> &mut [u8] {
        let mut length = 0;
        // SAFETY: the instance waits for this host call, and has a memory.
        unsafe {
            let start = sys::vyoma_wamr_memory(self.env, &raw mut length);
            std::slice::from_raw_parts_mut(start, length as usize)
        }
    }

    fn realloc(&mut self, size: u32) -> Option<u32> {
        let mut cells = [0, 0, 8, size];
        // SAFETY: the instance runs; `realloc` takes four i32 and gives one.
        let done = unsafe {
            let function = sys::wasm_runtime_lookup_function(self.instance, self.realloc.as_ptr());
            !function.is_null()
                && sys::vyoma_wamr_call_allocator(self.env, function, cells.as_mut_ptr())
        };
        done.then_some(cells[0])
    }
}

unsafe extern "C" fn native(
    env: *mut sys::wasm_exec_env,
    binding: *mut c_void,
    cells: *const u32,
    result: *mut u32,
) -> bool {
    // SAFETY: what is attached is a binding of `run`, which is under way; the cells are those of its import.
    unsafe {
        let binding = &*binding.cast::<Binding>();
        let instance = sys::wasm_runtime_get_module_inst(env);
        let mut guest = Running {
            env,
            instance,
            realloc: &*binding.realloc,
        };
        let mut words = Words::new();
        let slots = binding.cells.read(cells, &mut words);
        let answer = (*binding.host).call(binding.import, &mut guest, slots);
        if answer.is_none() {
            sys::wasm_runtime_set_exception(instance, c"host".as_ptr());
            return false;
        }
        binding.cells.write(slots[0], result);
        true
    }
}

pub(crate) fn run(artefact: &Artefact<'_>, args: &[&str]) -> Result<(), String> {
    let text = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let host = Host::new(&artefact.imports, args);
    let realloc = text(artefact.reallocs.first().ok_or("no realloc")?)?;
    let name = text(artefact.run)?;
    let (mut names, mut bindings) = (Vec::new(), Vec::new());
    for (index, import) in artefact.imports.iter().enumerate() {
        names.push((text(&import.module)?, text(&import.field)?));
        bindings.push(Binding {
            host: &raw const host,
            import: index,
            cells: Cells::new(
                import
                    .signature
                    .params
                    .iter()
                    .copied()
                    .map(CoreType::is_wide),
                import.signature.result.map(CoreType::is_wide),
            )
            .ok_or("too many parameters")?,
            realloc: &raw const realloc,
        });
    }
    let call: sys::raw_native = native;
    let mut symbols: Vec<sys::NativeSymbol> = names
        .iter()
        .zip(&bindings)
        .map(|((_, field), binding)| sys::NativeSymbol {
            symbol: field.as_ptr(),
            func_ptr: call as *mut c_void,
            signature: ptr::null(),
            attachment: ptr::from_ref(binding).cast_mut().cast(),
        })
        .collect();
    let mut payload = artefact.payload.to_vec();
    let mut error = [0; 256];
    let mut empty = *b"\0";
    let load = sys::LoadArgs {
        name: empty.as_mut_ptr().cast(),
        clone_wasm_binary: false,
        wasm_binary_freeable: false,
        no_resolve: false,
    };
    let make = sys::InstantiationArgs {
        default_stack_size: 1 << 20,
        host_managed_heap_size: 0,
        max_memory_pages: 0,
    };
    let mut returned = [0_u32; 1];
    // SAFETY: one thread, one module; names, symbols, bindings and payload live to the end of this function, where the
    // process ends too.
    unsafe {
        if !sys::wasm_runtime_init() {
            return Err("WAMR does not start".to_owned());
        }
        for ((module, _), symbol) in names.iter().zip(&mut symbols) {
            sys::wasm_runtime_register_natives_raw(module.as_ptr(), symbol, 1);
        }
        let module = sys::wasm_runtime_load_ex(
            payload.as_mut_ptr(),
            payload.len() as u32,
            &raw const load,
            error.as_mut_ptr(),
            error.len() as u32,
        );
        if module.is_null() {
            return Err(CStr::from_ptr(error.as_ptr())
                .to_string_lossy()
                .into_owned());
        }
        let instance = sys::wasm_runtime_instantiate_ex(
            module,
            &raw const make,
            error.as_mut_ptr(),
            error.len() as u32,
        );
        if instance.is_null() {
            return Err(CStr::from_ptr(error.as_ptr())
                .to_string_lossy()
                .into_owned());
        }
        let env = sys::wasm_runtime_create_exec_env(instance, 1 << 20);
        let function = sys::wasm_runtime_lookup_function(instance, name.as_ptr());
        if env.is_null() || function.is_null() {
            return Err("no memory, or no such export".to_owned());
        }
        if !sys::wasm_runtime_call_wasm(env, function, 0, returned.as_mut_ptr()) {
            let why = sys::wasm_runtime_get_exception(instance);
            return Err(CStr::from_ptr(why).to_string_lossy().into_owned());
        }
    }
    Ok(())
}
