//! A loaded component's run, from its `run` function's start to its end.

use vyoma_adapter_wasm3::engine::{Caller, Error, Function, Host, Stop};
use vyoma_adapter_wasm3::words;
use vyoma_component::guest::{Guest, Realloc};
use vyoma_component::handles::Handles;
use vyoma_component::host::{self, Linked};
use vyoma_component::trap::Trap;

use super::Loaded;
use super::services::Board;
use super::svc::{end, end_formatted, end_with};
use crate::calls::End;
use crate::memory;

/// Handles that an app may hold: each takes some 40 bytes of its arena, which ends it sooner.
const MAX_HANDLES: u32 = 256;

/// What stays of the native stack below the deepest call of the guest: host functions take up to half of it.
const RESERVE: u32 = 1536;

/// Runs what [`super::load`] made, at `address`, on a stack whose lowest address is `bottom`.
///
/// # Safety
/// It was made in this app's arena and is nobody else's.
pub(crate) unsafe extern "C" fn run(address: u32, bottom: u32, _: u32, _: u32) -> ! {
    let loaded: *mut Loaded = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: as the caller promises.
    let loaded = unsafe { &mut *loaded };
    loaded
        .machine
        .limit_native_stack((bottom + RESERVE) as usize);
    let mut routes = Routes {
        board: Board::default(),
        handles: Handles::new(MAX_HANDLES),
        links: &loaded.links,
        reallocs: &loaded.reallocs,
        trap: None,
    };
    let outcome = loaded.machine.call(loaded.run, &[], &mut routes);
    match (outcome, routes.trap) {
        (Ok(Some(0)), _) => end(End::Exit, 0, 0),
        (Ok(Some(1)), _) => end(End::Exit, 1, 0),
        // Neither ok nor error.
        (Ok(_), _) => end_formatted(End::Trap, format_args!("{}", Trap::Abi(""))),
        (Err(Error::Host), Some(Trap::Exit(code))) => end(End::Exit, code.into(), 0),
        // A list for which there was no memory is no value, either.
        (Err(Error::Host), Some(Trap::Abi(_))) if memory::was_refused() => end(End::Memory, 0, 0),
        (Err(Error::Host), Some(reason)) => end_formatted(End::Trap, format_args!("{reason}")),
        // A program that is refused memory and can't go on aborts, which is `unreachable` in wasm.
        (Err(Error::Trap(words::UNREACHABLE)), _) if loaded.machine.grow_refused() => {
            end(End::Memory, 0, 0)
        }
        (Err(Error::Memory), _) => end(End::Memory, 0, 0),
        (Err(Error::Trap(reason)), _) => end_with(End::Trap, reason),
        (Err(error), _) => end_formatted(End::Trap, format_args!("host: {error}")),
    }
}

/// The guest's imports, and why one of them ended it.
struct Routes<'a> {
    board: Board,
    handles: Handles,
    links: &'a [Linked<Board>],
    reallocs: &'a [Function],
    trap: Option<Trap>,
}

impl Host for Routes<'_> {
    fn call(&mut self, import: u32, slots: &mut [u64], guest: &mut Caller<'_>) -> Result<(), Stop> {
        let mut view = View {
            guest,
            reallocs: self.reallocs,
        };
        let outcome = match self.links.get(import as usize) {
            Some(linked) => {
                host::call(linked, &mut self.board, &mut self.handles, &mut view, slots)
            }
            None => Err(Trap::Abi("no such import")),
        };
        outcome.map_err(|trap| {
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
