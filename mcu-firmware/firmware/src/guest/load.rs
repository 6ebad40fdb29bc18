//! From a component in flash to something that can run. Runs on the loader's stack, which all apps share in turn, because
//! reading and compiling need a deeper one than running does.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::vec::Vec;

use vyoma_adapter_wasm3::engine::{Error, Function, Limits, Machine};
use vyoma_component::host;
use vyoma_component::program::{Needs, PAGE, Program, Refusal};

use super::Loaded;
use super::services::Board;
use super::svc::{call, end, end_formatted, end_with};
use crate::calls::{Call, End};
use crate::constants::STACK_BYTES;
use crate::memory;

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
    let mut needs = 0;
    match prepare(component, &mut needs) {
        Ok(loaded) => {
            let loaded = Box::leak(Box::new(loaded));
            let code = loaded.machine.code_bytes();
            let linear = loaded.machine.memory().len() as u32;
            let address = (&raw mut *loaded).addr() as u32;
            call(Call::Loaded, [address, code, linear]);
        }
        Err(Failure::Engine(Error::Memory)) => end(End::NoRoom, needs, 0),
        Err(failure) => failed(failure),
    }
    end(End::Refused, 0, 0)
}

/// Looks at the component of `length` bytes at `address`: whether it can be run here, and what it needs.
///
/// # Safety
/// The bytes are there and stay the same meanwhile.
pub(crate) unsafe extern "C" fn look(address: u32, length: u32, _: u32, _: u32) -> ! {
    // SAFETY: as the caller promises.
    let component: &'static [u8] = unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance(address as usize),
            length as usize,
        )
    };
    let looked = || -> Result<u32, Failure> {
        let program = Program::of(component)?;
        for import in &program.imports {
            host::link::<Board>(import).map_err(Failure::Unlinked)?;
        }
        borrowed(&program.module)?;
        Ok(bytes(&program.needs))
    };
    match looked() {
        Ok(needs) => end(End::Needs, needs, 0),
        Err(failure) => failed(failure),
    }
}

/// Bytes of memory that it needs, about.
fn bytes(needs: &Needs) -> u32 {
    let bytes = needs.microcontroller_bytes(STACK_BYTES.into());
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn failed(failure: Failure) -> ! {
    match failure {
        Failure::Engine(Error::Trap(reason)) => end_with(End::Trap, reason),
        Failure::Engine(error) => end_formatted(End::Refused, format_args!("{error}")),
        Failure::Refused(why) => end_formatted(End::Refused, format_args!("{why}")),
        Failure::Unlinked(why) => end_formatted(End::Refused, format_args!("{why}")),
        Failure::Other(why) => end_with(End::Refused, why),
    }
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

fn prepare(component: &'static [u8], estimate: &mut u32) -> Result<Loaded, Failure> {
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
    *estimate = bytes(&needs);
    drop(program);

    let pages = needs.memory_pages.min(PAGE) as u32;
    let mut machine = Machine::new(
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
    // SAFETY: `realloc` is memory.rs's, which makes a block smaller where it is.
    unsafe { machine.forget_compiler() };
    memory::find_holes();
    Ok(Loaded {
        run,
        machine,
        reallocs: functions,
        links,
    })
}

/// Parts of a program that is not joined from several modules are all in the component's own bytes.
#[expect(clippy::ptr_arg, reason = "which of the two it is, is the question")]
fn borrowed<T: ToOwned + ?Sized>(part: &Cow<'static, T>) -> Result<&'static T, Failure> {
    match part {
        Cow::Borrowed(part) => Ok(part),
        Cow::Owned(_) => Err(Failure::Other("it has several core modules")),
    }
}
