//! Components with devices, run as the engines without a component model run every one: the core module in it, with the
//! canonical ABI of `vyoma_component` and the host functions of `vyoma_services`.
//!
//! A call that lends a handle costs Wasmtime's component model about as much as a read of a pin costs the kernel; this way
//! costs a small part of that, and devices have one host side on every engine. Everything is on the thread that calls
//! `run`: no event loop, no second stack. Deliberately not here: components without devices, which are Wasmtime's and
//! wasmtime-wasi's own (`run`, `host`).

mod guest;
mod stack;
#[cfg(test)]
mod tests;
pub(crate) mod trailer;

use std::fs::File;

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_component::program::{CoreType, PAGE, Program, Signature};
use vyoma_component::trap::Trap;
use vyoma_runtime::{EngineError, Instance, RunConfig, trap};
use vyoma_services::HostSide;
use vyoma_services::artefact::Artefact;
use wasmtime::{Engine, Error, Extern, ExternType, FuncType, Module, Store, ValType};

use self::guest::State;
use crate::limits::Limits;
use crate::{one_line, run};

/// Whether a program imports anything that a device is behind.
pub(crate) fn has_devices(program: &Program<'_>) -> bool {
    program.imports.iter().any(|import| {
        let (interface, name) = import.target.names();
        Capability::of_import(interface, name).is_some_and(Capability::is_device)
    })
}

/// A guest before its first instruction.
struct Loaded {
    store: Store<State>,
    module: Module,
    imports: Vec<Extern>,
    run: String,
}

/// Maps the machine code, links and checks everything that can be without running the guest.
pub(crate) fn prepare(
    engine: &Engine,
    file: File,
    artefact: &Artefact<'_>,
    config: RunConfig,
) -> Result<Box<dyn Instance>, EngineError> {
    stack::check()?;
    // SAFETY: an artefact is machine code, so its origin has to be trusted. The file comes out of the store, where only
    // `vyomad admit` and the image build write, and is the outcome of `compile`; the store replaces files by rename and
    // never changes one in place, so the mapping stays what it was.
    let module = unsafe { Module::deserialize_open_file(engine, file) }
        .map_err(|error| EngineError::Artefact(one_line(&error)))?;
    let types = types(engine, &module, artefact)?;
    if let Some(limit) = config.memory_bytes {
        run::fits(artefact.needs.memory_pages.saturating_mul(PAGE), limit)?;
    }
    let limits = Limits::new(config.memory_bytes);
    let side = HostSide::new(config, &artefact.imports)?;
    let memory = memory(&module);
    let state = State::new(limits, side, &module, memory.as_deref(), &artefact.reallocs)
        .ok_or_else(|| EngineError::Artefact("its module lacks an export".to_owned()))?;
    let mut store = Store::new(engine, state);
    store.limiter(|state| state.limits());
    let imports = types
        .into_iter()
        .enumerate()
        .map(|(import, ty)| guest::function(&mut store, import, ty).into())
        .collect();
    Ok(Box::new(Loaded {
        store,
        module,
        imports,
        run: artefact.run.to_owned(),
    }))
}

/// The name of the memory that the module exports: it has one at most.
fn memory(module: &Module) -> Option<String> {
    module
        .exports()
        .find(|export| matches!(export.ty(), ExternType::Memory(_)))
        .map(|export| export.name().to_owned())
}

/// Types of the functions to be imported, and that the module exports what is said of it.
fn types(
    engine: &Engine,
    module: &Module,
    artefact: &Artefact<'_>,
) -> Result<Vec<FuncType>, EngineError> {
    let refused = |what: String| Err(EngineError::Artefact(what));
    let types: Vec<FuncType> = artefact
        .imports
        .iter()
        .map(|import| function_type(engine, &import.signature))
        .collect();
    if module.imports().len() != types.len() {
        return refused(format!(
            "lists {} imports, its module has {}",
            types.len(),
            module.imports().len()
        ));
    }
    for (found, said) in module.imports().zip(&types) {
        if !matches!(found.ty(), ExternType::Func(ty) if FuncType::eq(&ty, said)) {
            return refused(format!(
                "its module's import `{}` is no function {said}",
                found.name()
            ));
        }
    }
    let reallocs = artefact.reallocs.iter().map(|&name| (name, REALLOC));
    for (name, params) in reallocs.chain([(artefact.run, 0)]) {
        let signature = Signature {
            params: vec![CoreType::I32; params],
            result: Some(CoreType::I32),
        };
        let said = function_type(engine, &signature);
        let found = module.get_export(name);
        if !matches!(&found, Some(ExternType::Func(ty)) if FuncType::eq(ty, &said)) {
            return refused(format!("its module exports no function `{name}` {said}"));
        }
    }
    Ok(types)
}

/// Parameters of a `realloc`.
const REALLOC: usize = 4;

fn function_type(engine: &Engine, signature: &Signature) -> FuncType {
    let value = |core: CoreType| match core {
        CoreType::I32 => ValType::I32,
        CoreType::I64 => ValType::I64,
        CoreType::F32 => ValType::F32,
        CoreType::F64 => ValType::F64,
    };
    FuncType::new(
        engine,
        signature.params.iter().copied().map(value),
        signature.result.map(value),
    )
}

impl Instance for Loaded {
    fn run(self: Box<Self>) -> Ending {
        let Self {
            mut store,
            module,
            imports,
            run,
        } = *self;
        let mut started = false;
        let outcome = wasmtime::Instance::new(&mut store, &module, &imports).and_then(|instance| {
            started = true;
            instance
                .get_typed_func::<(), u32>(&mut store, &run)?
                .call(&mut store, ())
        });
        match outcome {
            Ok(0) => Ending::Exited(0),
            Ok(1) => Ending::Exited(1),
            // What a `result` lifts from is one of two.
            Ok(_) => Ending::Trapped(trap::ABI.to_owned()),
            Err(error) => ending(&error, started, store.data().memory_refused()),
        }
    }
}

fn ending(error: &Error, started: bool, memory_refused: bool) -> Ending {
    match error.downcast_ref() {
        Some(Ended(trap)) => vyoma_services::ending(trap),
        None => run::ending(error, started, memory_refused),
    }
}

/// Why a host function did not return to the guest.
#[derive(Debug)]
struct Ended(Trap);

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Ended {}
