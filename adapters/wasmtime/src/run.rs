//! From a mapped artefact to the end of a run.

use std::str::Utf8Error;

use tokio::runtime::Runtime;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_runtime::{EngineError, Instance, RunConfig, trap};
use wasmtime::component::Component;
use wasmtime::{Engine, Error, Store, Trap};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::host::{self, Host};
use crate::{engine_error, one_line};

/// Threads for name look-up, which the C library only does blocking. Without the `network` grant none is ever made.
const LOOKUP_THREADS: usize = 2;

/// Bytes of a page of linear memory; other sizes are not admitted.
const PAGE: u64 = 65536;

struct Loaded {
    runtime: Runtime,
    store: Store<Host>,
    command: CommandPre<Host>,
}

/// Links and checks everything that can be without running the guest.
pub(crate) fn prepare(
    engine: &Engine,
    component: &Component,
    config: &RunConfig,
) -> Result<Box<dyn Instance>, EngineError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(LOOKUP_THREADS)
        .build()
        .map_err(|error| engine_error(&Error::from(error).context("event loop")))?;
    let linker = host::linker(engine, config).map_err(|error| engine_error(&error))?;
    let command = linker
        .instantiate_pre(component)
        .and_then(CommandPre::new)
        .map_err(|error| EngineError::Refused(one_line(&error)))?;
    if let (Some(limit), Some(needs)) = (config.memory_bytes, first_memory(component)) {
        fits(needs, limit)?;
    }
    let store = {
        let _context = runtime.enter();
        host::store(engine, config).map_err(|error| engine_error(&error))?
    };
    Ok(Box::new(Loaded {
        runtime,
        store,
        command,
    }))
}

/// Whether a guest that `needs` so many bytes of memory to start can within `limit`.
pub(crate) fn fits(needs: u64, limit: u64) -> Result<(), EngineError> {
    if needs <= limit {
        return Ok(());
    }
    Err(EngineError::Refused(format!(
        "needs {} KiB of memory to start, its limit is {} KiB; raise `memory_kb`",
        needs / 1024,
        limit / 1024
    )))
}

/// Bytes of the largest memory at start.
fn first_memory(component: &Component) -> Option<u64> {
    Some(component.resources_required()?.max_initial_memory_size? * PAGE)
}

impl Instance for Loaded {
    fn run(self: Box<Self>) -> Ending {
        let Self {
            runtime,
            mut store,
            command,
        } = *self;
        let mut started = false;
        let outcome = runtime.block_on(async {
            let command = command.instantiate_async(&mut store).await?;
            started = true;
            command.wasi_cli_run().call_run(&mut store).await
        });
        // A name look-up that is still under way must not hold up the end.
        runtime.shutdown_background();
        match outcome {
            Ok(Ok(())) => Ending::Exited(0),
            Ok(Err(())) => Ending::Exited(1),
            Err(error) => ending(&error, started, store.data().limits.refused()),
        }
    }
}

/// How a run ended that did not return: `started` once there was an instance, `memory_refused` when its last request for
/// memory was.
pub(crate) fn ending(error: &Error, started: bool, memory_refused: bool) -> Ending {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        // WASI 0.2 passes a byte; what doesn't fit can only come from a future interface and is a failure.
        return Ending::Exited(u8::try_from(exit.0).unwrap_or(1));
    }
    match error.downcast_ref::<Trap>() {
        // A program that is refused memory and can't go on aborts, which is `unreachable` in wasm.
        Some(Trap::UnreachableCodeReached) if memory_refused => Ending::OutOfMemory,
        Some(trap) => Ending::Trapped(words(*trap)),
        // Instances and memories could not be made: no instruction of the guest was executed.
        None if !started => Ending::NotStarted(one_line(error)),
        None => Ending::Trapped(host_words(error)),
    }
}

/// The engine-neutral reason of a trap that is no instruction's: a rule of the canonical ABI or of an interface.
fn host_words(error: &Error) -> String {
    if error.is::<Utf8Error>() {
        return trap::ABI.to_owned();
    }
    if let Some(ResourceTableError::HasChildren) = error.downcast_ref() {
        return trap::CHILDREN.to_owned();
    }
    // Wasmtime has no types for these; the conformance suite notices when its words change.
    let said = error.root_cause().to_string();
    if let Some((handle, _)) = said
        .strip_prefix("handle index ")
        .and_then(|rest| rest.split_once(" used with the wrong type"))
        && let Ok(handle) = handle.parse()
    {
        return trap::wrong_handle(handle);
    }
    if let Some(handle) = said.strip_prefix("unknown handle index ")
        && let Ok(handle) = handle.parse()
    {
        return trap::unknown_handle(handle);
    }
    HOST_WORDS
        .iter()
        .find(|(theirs, _)| said.starts_with(theirs))
        .map_or_else(
            || format!("host: {}", one_line(error)),
            |&(_, ours)| ours.to_owned(),
        )
}

/// Beginnings of what Wasmtime and wasmtime-wasi say, and what they mean.
const HOST_WORDS: &[(&str, &str)] = &[
    // wasmtime, component::func: lifting, lowering, `cabi_realloc`.
    ("string pointer", trap::ABI),
    ("list pointer", trap::ABI),
    ("pointer not aligned", trap::ABI),
    ("pointer out of bounds", trap::ABI),
    ("pointer size overflow", trap::ABI),
    ("size overflow copying a list", trap::ABI),
    ("byte length", trap::ABI),
    ("unexpected discriminant: ", trap::ABI),
    ("invalid option discriminant", trap::ABI),
    ("invalid expected discriminant", trap::ABI),
    ("converted integer out of range for `char`", trap::ABI),
    ("realloc return: ", trap::ABI),
    // wasmtime-wasi and crate::stdio.
    ("resource table has no free keys", trap::HANDLES),
    ("empty poll list", trap::EMPTY_POLL),
    ("write exceeded budget", trap::WRITE_BUDGET),
    ("write not permitted", trap::WRITE_BUDGET),
    ("not permitted to write", trap::WRITE_BUDGET),
    ("write of more bytes than", trap::WRITE_BUDGET),
    ("cannot write more zeroes", trap::WRITE_BUDGET),
    ("Buffer too large for blocking-write", trap::WRITE_SIZE),
    ("unpermitted: ", trap::SEND_BUDGET),
    ("UDP streams not dropped yet", trap::UDP_STREAMS),
    ("requested len ", trap::RANDOM_SIZE),
];

/// The engine-neutral reason.
fn words(reason: Trap) -> String {
    let words = match reason {
        Trap::UnreachableCodeReached => trap::UNREACHABLE,
        Trap::MemoryOutOfBounds => trap::MEMORY,
        Trap::TableOutOfBounds => trap::TABLE,
        Trap::IndirectCallToNull => trap::NULL_CALL,
        Trap::BadSignature => trap::SIGNATURE,
        Trap::IntegerDivisionByZero => trap::DIVIDE_BY_ZERO,
        Trap::IntegerOverflow => trap::OVERFLOW,
        Trap::BadConversionToInteger => trap::CONVERSION,
        Trap::StackOverflow => trap::STACK,
        Trap::InvalidChar
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::UnalignedPointer => trap::ABI,
        Trap::CannotLeaveComponent => trap::LEAVE,
        other => return other.to_string(),
    };
    words.to_owned()
}
