//! From an artefact to the end of a run.

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::ptr;

use vyoma_capabilities::lifecycle::Ending;
use vyoma_component::program::PAGE;
use vyoma_runtime::{EngineError, Instance, RunConfig, trap};
use vyoma_services::HostSide;
use vyoma_services::artefact::{Artefact, Kind};
use vyoma_wamr_sys as sys;

use crate::guest::{Binding, Host, Place};
use crate::module::{self, Module};
use crate::{engine_error, stack, words};

/// Bytes of the interpreter's own stack, as large as the native stack that machine code gets. Touched as it is used.
const INTERPRETER_STACK: u32 = 1 << 20;

/// Machine code uses the native stack; WAMR wants one of its own all the same.
const MACHINE_CODE_STACK: u32 = 8 << 10;

/// Most pages that a memory can have.
const MAX_PAGES: u64 = 65536;

/// A guest before its first instruction. Fields go in this order: the module's bindings point to the host.
struct Loaded {
    module: Module,
    _bindings: Vec<Binding>,
    host: Box<Host>,
    run: CString,
    stack: u32,
    /// 0: as many as the module allows.
    max_pages: u32,
    /// Lowest address of the stack of the thread that loaded, which is the one that runs.
    lowest: usize,
    /// Stays on its thread.
    _thread: PhantomData<*const ()>,
}

/// Links, loads and checks everything that can be without running the guest.
pub(crate) fn prepare(
    artefact: &Artefact<'_>,
    config: RunConfig,
) -> Result<Box<dyn Instance>, EngineError> {
    let needs = artefact.needs.memory_pages * PAGE;
    if let Some(limit) = config.memory_bytes
        && needs > limit
    {
        return Err(EngineError::Refused(format!(
            "needs {} KiB of memory to start, its limit is {} KiB; raise `memory_kb`",
            needs / 1024,
            limit / 1024
        )));
    }
    let max_pages = config.memory_bytes.map_or(0, |limit| {
        // A limit of no page at all is one that only a program without memory passed: 0 would mean no limit.
        (limit / PAGE).clamp(1, MAX_PAGES) as u32
    });
    let bad_name = || EngineError::Artefact("a name with a zero byte".to_owned());
    let run = CString::new(artefact.run).map_err(|_| bad_name())?;
    let side = HostSide::new(config, &artefact.imports)?;
    let host = Box::new(Host::new(side, &artefact.reallocs).ok_or_else(bad_name)?);
    let bindings: Vec<Binding> = artefact
        .imports
        .iter()
        .enumerate()
        .map(|(index, import)| Binding::new(&raw const *host, index, import))
        .collect::<Option<_>>()
        .ok_or_else(|| EngineError::Artefact("a host function of too many parameters".into()))?;
    let attachments: Vec<*const c_void> = bindings
        .iter()
        .map(|binding| ptr::from_ref::<Binding>(binding).cast())
        .collect();
    let mut payload = artefact.payload.to_vec();
    let module = Module::load(&mut payload, &artefact.imports, &attachments)?;
    Ok(Box::new(Loaded {
        module,
        _bindings: bindings,
        host,
        run,
        stack: match artefact.kind {
            Kind::CoreModule => INTERPRETER_STACK,
            Kind::MachineCode => MACHINE_CODE_STACK,
        },
        max_pages,
        lowest: stack::lowest()?,
        _thread: PhantomData,
    }))
}

impl Instance for Loaded {
    fn run(self: Box<Self>) -> Ending {
        if let Err(error) = stack::set_boundary(self.lowest) {
            return Ending::NotStarted(error.to_string());
        }
        self.host.enter();
        let ending = self.start();
        Host::leave();
        ending
    }
}

impl Loaded {
    fn start(&self) -> Ending {
        let instance = match self.module.instantiate(self.stack, self.max_pages) {
            Ok(instance) => Made(instance),
            Err(message) => return self.not_made(&message),
        };
        // SAFETY: the instance lives.
        let env = unsafe { sys::wasm_runtime_create_exec_env(instance.0, self.stack) };
        if env.is_null() {
            return Ending::NotStarted(engine_error("no memory for its stack").to_string());
        }
        let env = Env(env);
        // SAFETY: the instance lives, the name ends with a zero byte.
        let run = unsafe { sys::wasm_runtime_lookup_function(instance.0, self.run.as_ptr()) };
        if run.is_null() {
            return Ending::NotStarted(engine_error("no function to run").to_string());
        }
        let mut result = [0_u32];
        // SAFETY: the function is of this instance, takes nothing and returns one i32, as its program says.
        if unsafe { sys::wasm_runtime_call_wasm(env.0, run, 0, result.as_mut_ptr()) } {
            return match result[0] {
                0 => Ending::Exited(0),
                1 => Ending::Exited(1),
                // What a `result` lifts from is one of two.
                _ => Ending::Trapped(trap::ABI.to_owned()),
            };
        }
        // SAFETY: the instance lives and does not run any more.
        let (exception, bytes) = unsafe {
            (
                module::exception(instance.0).unwrap_or_default(),
                Place::of(env.0).length() as u64,
            )
        };
        self.trapped(&exception, bytes)
    }

    fn trapped(&self, exception: &str, bytes: u64) -> Ending {
        if let Some(trap) = self.host.take_trap() {
            return vyoma_services::ending(&trap);
        }
        let words = words::translate(exception);
        // A program that is refused memory and can't go on aborts, which is `unreachable` in wasm.
        if words == trap::UNREACHABLE && self.host.memory_was_refused(bytes) {
            return Ending::OutOfMemory;
        }
        Ending::Trapped(words)
    }

    /// The ending when no instance came about: a trap of the start function or of a segment, or no memory.
    fn not_made(&self, message: &str) -> Ending {
        if let Some(trap) = self.host.take_trap() {
            return vyoma_services::ending(&trap);
        }
        if words::is_trap(message) {
            return Ending::Trapped(words::translate(message));
        }
        Ending::NotStarted(engine_error(message).to_string())
    }
}

/// An instance, given back at its end.
struct Made(*mut sys::wasm_module_inst);

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: it was made and is given back once; nothing runs in it.
        unsafe { sys::wasm_runtime_deinstantiate(self.0) }
    }
}

/// The means to run one, given back before it.
struct Env(*mut sys::wasm_exec_env);

impl Drop for Env {
    fn drop(&mut self) {
        // SAFETY: it was made and is given back once; nothing runs with it.
        unsafe { sys::wasm_runtime_destroy_exec_env(self.0) }
    }
}
