//! From a component in flash to something that can run. Runs on the loader's stack, which all apps share in turn, because
//! reading and compiling need a deeper one than running does.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::vec::Vec;

use vyoma_adapter_wasm3::engine::{Error, Function, Limits, Machine};
use vyoma_component::host;
use vyoma_component::program::{PAGE, Program, Refusal};

use super::Loaded;
use super::svc::{call, end, end_formatted, end_with};
use crate::calls::{Call, End};

/// Bytes of wasm3's value stack: parameters, locals and operands of all calls that are under way. Formatting a float, the
/// deepest that small apps do, takes half of it.
const VALUE_STACK: u32 = 2048;

/// Loads the component of `length` bytes at `address`.
///
/// # Safety
/// The bytes are there and stay the same as long as the app lives.
pub(crate) unsafe extern "C" fn load(address: u32, length: u32, _: u32, _: u32) -> ! {
    // SAFETY: as the caller promises.
    let component: &'static [u8] = unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance(address as usize),
            length as usize,
        )
    };
    match prepare(component) {
        Ok(loaded) => {
            let loaded = Box::leak(Box::new(loaded));
            call(Call::Loaded, [(&raw mut *loaded).addr() as u32, 0, 0]);
        }
        Err(Failure::Engine(Error::Memory)) => end(End::NoRoom, 0, 0),
        Err(Failure::Engine(Error::Trap(reason))) => end_with(End::Trap, reason),
        Err(Failure::Engine(error)) => end_formatted(End::Refused, format_args!("{error}")),
        Err(Failure::Refused(why)) => end_formatted(End::Refused, format_args!("{why}")),
        Err(Failure::Unlinked(why)) => end_formatted(End::Refused, format_args!("{why}")),
        Err(Failure::Other(why)) => end_with(End::Refused, why),
    }
    end(End::Refused, 0, 0)
}

enum Failure {
    Engine(Error),
    Refused(Refusal),
    Unlinked(host::Unlinked),
    Other(&'static str),
}

impl From<Refusal> for Failure {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}

fn prepare(component: &'static [u8]) -> Result<Loaded, Failure> {
    // What reading a component needs is given back before anything that stays is allocated, but for these: their number has
    // to be known first, so the component is read twice.
    let (imports, reallocs) = {
        let program = Program::of(component)?;
        (program.imports.len(), program.reallocs.len())
    };
    let mut links = Vec::with_capacity(imports);
    let mut functions = Vec::with_capacity(reallocs);
    let mut names = Vec::with_capacity(reallocs);
    let program = Program::of(component)?;
    for import in &program.imports {
        links.push(host::link(import).map_err(Failure::Unlinked)?);
    }
    let (module, run) = (borrowed(&program.module)?, borrowed(&program.run)?);
    for name in &program.reallocs {
        names.push(borrowed(name)?);
    }
    let needs = program.needs;
    drop(program);

    let pages = needs.memory_pages.min(PAGE) as u32;
    let machine = Machine::new(
        module,
        &Limits {
            stack_bytes: VALUE_STACK,
            memory_pages: pages,
            memory_bytes: needs
                .heap_base
                .map(|base| base.next_multiple_of(16))
                .filter(|base| u64::from(*base) < u64::from(pages) * PAGE),
        },
    )
    .map_err(Failure::Engine)?;
    let function = |name: &str| -> Result<Function, Failure> {
        machine.function(name).ok_or(Failure::Other(
            "its module lacks a function that its component names",
        ))
    };
    let run = function(run)?;
    for name in names {
        functions.push(function(name)?);
    }
    Ok(Loaded {
        run,
        machine,
        reallocs: functions,
        links,
    })
}

/// Parts of a program that is not joined from several modules are all in the component's own bytes.
fn borrowed<T: ToOwned + ?Sized>(part: &Cow<'static, T>) -> Result<&'static T, Failure> {
    match part {
        Cow::Borrowed(part) => Ok(part),
        Cow::Owned(_) => Err(Failure::Other("it has several core modules")),
    }
}
