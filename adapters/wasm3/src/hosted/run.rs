//! From an artefact to the end of a run.

use std::fs::File;

use vyoma_capabilities::lifecycle::Ending;
use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::program::{Needs, PAGE};
use vyoma_component::trap::Trap;
use vyoma_runtime::{EngineError, Instance, RunConfig, trap};
use vyoma_services::artefact::{self, Kind};
use vyoma_services::{HostSide, ending};

use super::mapping::Mapping;
use super::{TARGET, engine, engine_error, flags, stack};
use crate::engine::{Caller, Error, Function, Host, Limits, Machine, Stop};

/// The value stack of a guest. Set aside, not touched: costs what is used. A call takes 8 bytes for each parameter, local
/// and operand of its function, so this and [`stack::NATIVE`] are used up about together.
const VALUE_STACK: u32 = 4 << 20;

/// Most pages that a 32-bit memory can have.
const ALL_PAGES: u64 = 65536;

/// Loads, links and checks everything that can be without running the guest.
pub(super) fn load(file: &File, config: RunConfig) -> Result<Box<dyn Instance>, EngineError> {
    let mapping = Mapping::of(file)
        .map_err(|error| EngineError::Artefact(format!("can't be mapped: {error}")))?;
    let artefact = artefact::decode(mapping.bytes())?;
    artefact.fits(&engine(), &[TARGET], &[&flags()])?;
    if artefact.kind != Kind::CoreModule {
        return Err(EngineError::Artefact(format!(
            "holds {}, expected {}",
            artefact.kind,
            Kind::CoreModule
        )));
    }
    let memory_pages = memory_pages(&artefact.needs, config.memory_bytes)?;
    let host = HostSide::new(config, &artefact.imports)?;
    let limits = Limits {
        stack_bytes: VALUE_STACK,
        memory_pages,
        memory_bytes: None,
    };
    let lowest = stack::lowest().map_err(|message| EngineError::Engine {
        engine: "wasm3",
        message,
    })?;
    // SAFETY: the bytes stay where they are until `mapping` is dropped. It goes into the same `Loaded` as the machine, after
    // it, so it is dropped after it.
    let module: &'static [u8] = unsafe { &*std::ptr::from_ref(artefact.payload) };
    let mut machine = match Machine::new(module, &limits) {
        Ok(machine) => machine,
        // To every engine this is the first thing that a guest does.
        Err(Error::Trap(reason)) => return Ok(Box::new(StillBorn(reason))),
        Err(error) => return Err(engine_error(error)),
    };
    machine.limit_native_stack(lowest);
    let function = |name: &str| {
        machine.function(name).ok_or_else(|| {
            EngineError::Artefact(format!("its module exports no function `{name}`"))
        })
    };
    let run = function(artefact.run)?;
    let reallocs = artefact
        .reallocs
        .iter()
        .map(|name| function(name))
        .collect::<Result<_, _>>()?;
    if machine.imports() as usize != artefact.imports.len() {
        return Err(EngineError::Artefact(format!(
            "lists {} imports, its module has {}",
            artefact.imports.len(),
            machine.imports()
        )));
    }
    Ok(Box::new(Loaded {
        machine,
        run,
        routes: Routes {
            host,
            reallocs,
            trap: None,
        },
        _mapping: mapping,
    }))
}

/// The most pages that the guest gets, if it can start with them.
fn memory_pages(needs: &Needs, limit: Option<u64>) -> Result<u32, EngineError> {
    let bytes = needs.memory_pages.saturating_mul(PAGE);
    match limit {
        Some(limit) if bytes > limit => Err(EngineError::Refused(format!(
            "needs {} KiB of memory to start, its limit is {} KiB; raise `memory_kb`",
            bytes / 1024,
            limit / 1024
        ))),
        Some(limit) => Ok((limit / PAGE).min(ALL_PAGES) as u32),
        None => Ok(ALL_PAGES as u32),
    }
}

/// A guest whose data does not fit into its memory or table.
struct StillBorn(&'static str);

impl Instance for StillBorn {
    fn run(self: Box<Self>) -> Ending {
        Ending::Trapped(self.0.to_owned())
    }
}

struct Loaded {
    machine: Machine<'static>,
    run: Function,
    routes: Routes,
    /// Holds the machine's module: last, so that it is dropped last.
    _mapping: Mapping,
}

impl Instance for Loaded {
    fn run(mut self: Box<Self>) -> Ending {
        let outcome = self.machine.call(self.run, &[], &mut self.routes);
        match (outcome, self.routes.trap) {
            (Ok(Some(0)), _) => Ending::Exited(0),
            (Ok(Some(1)), _) => Ending::Exited(1),
            // Neither ok nor error.
            (Ok(_), _) => Ending::Trapped(trap::ABI.to_owned()),
            (Err(Error::Host), Some(reason)) => ending(&reason),
            // A program that is refused memory and can't go on aborts, which is `unreachable` in wasm.
            (Err(Error::Trap(trap::UNREACHABLE)), _) if self.machine.grow_refused() => {
                Ending::OutOfMemory
            }
            (Err(Error::Trap(reason)), _) => Ending::Trapped(reason.to_owned()),
            (Err(error), _) => Ending::Trapped(format!("host: {error}")),
        }
    }
}

/// The guest's imports, and why one of them ended it.
struct Routes {
    host: HostSide,
    reallocs: Vec<Function>,
    trap: Option<Trap>,
}

impl Host for Routes {
    fn call(&mut self, import: u32, slots: &mut [u64], guest: &mut Caller<'_>) -> Result<(), Stop> {
        let mut view = View {
            guest,
            reallocs: &self.reallocs,
        };
        self.host
            .call(import as usize, &mut view, slots)
            .map_err(|trap| {
                self.trap = Some(trap);
                Stop
            })
    }
}

/// The guest as host functions see it.
struct View<'a, 'c> {
    guest: &'a mut Caller<'c>,
    reallocs: &'a [Function],
}

impl Guest for View<'_, '_> {
    fn memory(&mut self) -> &mut [u8] {
        self.guest.memory()
    }

    fn realloc(
        &mut self,
        realloc: Realloc,
        old_pointer: u32,
        old_size: u32,
        alignment: u32,
        new_size: u32,
    ) -> Result<u32, Trap> {
        let function = self
            .reallocs
            .get(realloc.0 as usize)
            .ok_or(Trap::Abi("no such realloc"))?;
        let arguments = [old_pointer, old_size, alignment, new_size].map(u64::from);
        match self.guest.call(*function, &arguments) {
            Ok(Some(pointer)) => Ok(pointer as u32),
            Ok(None) => Err(Trap::Abi("realloc without a result")),
            Err(_) => Err(Trap::Guest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(needs: u64, limit: Option<u64>) -> Result<u32, String> {
        let needs = Needs {
            memory_pages: needs,
            ..Needs::default()
        };
        memory_pages(&needs, limit).map_err(|error| error.to_string())
    }

    #[test]
    fn memory_is_limited_to_whole_pages_and_to_what_wasm_can_address() {
        assert_eq!(pages(1, Some(3 * PAGE + 1)), Ok(3));
        assert_eq!(pages(1, Some(u64::MAX)), Ok(65536));
        assert_eq!(pages(1, None), Ok(65536));
        assert_eq!(
            pages(2, Some(PAGE)),
            Err(
                "needs 128 KiB of memory to start, its limit is 64 KiB; raise `memory_kb`"
                    .to_owned()
            )
        );
    }
}
