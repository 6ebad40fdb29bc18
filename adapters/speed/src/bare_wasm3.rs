//! wasm3 embedded with nothing around it: the core module of the artefact, and host functions that are found by their
//! number.

use std::ffi::{CStr, c_void};
use std::ptr;

use vyoma_services::artefact::Artefact;
use vyoma_wasm3_sys as sys;
use wasmparser::{ExternalKind, Parser, Payload};

use crate::bare::{Guest, Host};

/// Bytes of the value stack, as many as the adapter has.
const STACK: u32 = 4 << 20;

struct Binding {
    host: *const Host,
    import: usize,
    realloc: u32,
}

struct Running {
    runtime: *mut sys::Runtime,
    realloc: *mut sys::Function,
}

impl Guest for Running {
    fn memory(&mut self) -> &mut [u8] {
        let mut bytes = 0;
        // SAFETY: the guest waits for this host call, and has a memory.
        unsafe {
            let start = sys::vyoma_wasm3_memory(self.runtime, &raw mut bytes);
            std::slice::from_raw_parts_mut(start, bytes)
        }
    }

    fn realloc(&mut self, size: u32) -> Option<u32> {
        let (values, mut result) = ([0_u32, 0, 8, size], 0_u32);
        let arguments = values
            .each_ref()
            .map(|value| ptr::from_ref(value).cast::<c_void>());
        let place: *const c_void = (&raw mut result).cast();
        // SAFETY: `realloc` takes four i32 and gives one.
        let done = unsafe {
            sys::m3_Call(self.realloc, 4, arguments.as_ptr()).is_null()
                && sys::m3_GetResults(self.realloc, 1, &raw const place).is_null()
        };
        done.then_some(result)
    }
}

unsafe extern "C" fn native(
    runtime: *mut sys::Runtime,
    import: *mut sys::ImportContext,
    stack: *mut c_void,
    _memory: *mut c_void,
) -> *const c_void {
    // SAFETY: the userdata is a binding of `run`, which is under way. Results come first, arguments after them.
    unsafe {
        let binding = &*(*import).userdata.cast::<Binding>();
        let function = (*import).function;
        let (params, results) = (
            sys::m3_GetArgCount(function) as usize,
            sys::m3_GetRetCount(function) as usize,
        );
        let mut slots = [0_u64; 20];
        let stack = stack.cast::<u64>();
        for (index, slot) in slots.iter_mut().enumerate().take(params) {
            *slot = stack.add(results + index).read_unaligned();
        }
        let mut guest = Running {
            runtime,
            realloc: sys::vyoma_wasm3_function(sys::vyoma_wasm3_module(function), binding.realloc),
        };
        if (*binding.host)
            .call(binding.import, &mut guest, &mut slots)
            .is_none()
        {
            return c"host".as_ptr().cast();
        }
        if results > 0 {
            stack.write_unaligned(slots[0]);
        }
    }
    ptr::null()
}

/// Index of an exported function.
fn export(module: &[u8], name: &str) -> Result<u32, String> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.map_err(|error| error.to_string())? {
            for export in exports {
                let export = export.map_err(|error| error.to_string())?;
                if export.kind == ExternalKind::Func && export.name == name {
                    return Ok(export.index);
                }
            }
        }
    }
    Err(format!("no export `{name}`"))
}

fn check(outcome: sys::Outcome) -> Result<(), String> {
    if outcome.is_null() {
        return Ok(());
    }
    // SAFETY: wasm3's outcomes are texts that live for ever.
    Err(unsafe { CStr::from_ptr(outcome) }
        .to_string_lossy()
        .into_owned())
}

pub(crate) fn run(artefact: &Artefact<'_>, args: &[&str]) -> Result<(), String> {
    let host = Host::new(&artefact.imports, args);
    let realloc = export(
        artefact.payload,
        artefact.reallocs.first().ok_or("no realloc")?,
    )?;
    let name = export(artefact.payload, artefact.run)?;
    let bindings: Vec<Binding> = (0..artefact.imports.len())
        .map(|import| Binding {
            host: &raw const host,
            import,
            realloc,
        })
        .collect();
    // SAFETY: one thread, one module; payload and bindings live to the end of this function, where the process ends too.
    unsafe {
        let environment = sys::m3_NewEnvironment();
        let runtime = sys::m3_NewRuntime(environment, STACK, ptr::null_mut());
        let mut module = ptr::null_mut();
        check(sys::m3_ParseModule(
            environment,
            &raw mut module,
            artefact.payload.as_ptr(),
            artefact.payload.len() as u32,
        ))?;
        check(sys::m3_LoadModule(runtime, module))?;
        for (index, binding) in bindings.iter().enumerate() {
            let userdata = ptr::from_ref(binding).cast();
            check(sys::vyoma_wasm3_link(
                module,
                index as u32,
                native,
                userdata,
            ))?;
        }
        check(sys::m3_CompileModule(module))?;
        // No limit: the patched engine compares with this address, which is lower than any stack.
        sys::vyoma_wasm3_limit_stack(runtime, ptr::without_provenance_mut(1));
        check(sys::m3_Call(
            sys::vyoma_wasm3_function(module, name),
            0,
            ptr::null(),
        ))
    }
}
