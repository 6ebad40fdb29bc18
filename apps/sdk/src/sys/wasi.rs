//! WASI 0.2, spoken directly: the imports that an app uses are those that its component has, and nothing is allocated.
//!
//! The functions below are those of the WIT packages with the signatures that the canonical ABI gives them; the component's
//! linker finds their types in the C start-up object of the target (world `wasi:cli/command@0.2.0`, so the lowest version of all
//! that are compatible). A host stores a list by asking `cabi_realloc` for room, which gets it from the [`landing`] place.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::Stream;
use crate::inbox::Read;
use crate::time::Instant;

mod imports;
pub(crate) mod landing;
mod words;

pub(crate) use words::{Words, arguments, variables};

// What compilers take for granted (memcmp, say) is in the target's C library. Only what is used is linked.
#[link(name = "c")]
unsafe extern "C" {}

/// Most bytes of one write (wasi:io/streams, blocking-write-and-flush).
const WRITE: usize = 4096;

/// A resource of WASI that is asked for once and kept: its handle. Handles are never 0.
struct Kept(AtomicU32);

impl Kept {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn or(&self, get: impl FnOnce() -> u32) -> u32 {
        let mut handle = self.0.load(Relaxed);
        if handle == 0 {
            handle = get();
            self.0.store(handle, Relaxed);
        }
        handle
    }
}

/// Writes all bytes and waits until they are out. Errors are swallowed.
pub(crate) fn write(stream: Stream, bytes: &[u8]) {
    static OUT: Kept = Kept::new();
    static ERR: Kept = Kept::new();
    let handle = match stream {
        Stream::Out => OUT.or(|| imports::get_stdout()),
        Stream::Err => ERR.or(|| imports::get_stderr()),
    };
    for chunk in bytes.chunks(WRITE) {
        let mut result = imports::StreamResult::default();
        // SAFETY: pointer and length are a slice's, and the result has room.
        unsafe { imports::write_and_flush(handle, chunk.as_ptr(), chunk.len(), &raw mut result) };
        if result.is_err() {
            // It is closed for good. (An error's handle, if it has one, is not dropped: there is only one, the first.)
            break;
        }
    }
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn now() -> u64 {
    imports::monotonic_now()
}

/// Sleeps.
pub(crate) fn sleep(nanoseconds: u64) {
    Timer(imports::subscribe_duration(nanoseconds)).block();
}

static STDIN: Kept = Kept::new();
static READABLE: Kept = Kept::new();

fn stdin() -> u32 {
    STDIN.or(|| imports::get_stdin())
}

/// A pollable.
pub(crate) type Handle = u32;

/// Of nothing; it is never waited for.
pub(crate) const NO_HANDLE: Handle = 0;

/// Standard input that can be read.
pub(crate) fn input() -> Handle {
    READABLE.or(|| imports::subscribe_input(stdin()))
}

/// A moment.
#[derive(Debug)]
pub(crate) struct Timer(Handle);

impl Timer {
    pub(crate) fn at(moment: Instant) -> Self {
        Self(imports::subscribe_instant(moment.nanoseconds()))
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0
    }

    fn block(&self) {
        imports::block(self.0);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        imports::drop_pollable(self.0);
    }
}

/// Waits until one of the pollables (1 to 32) is ready; the n-th bit of the result says whether the n-th is.
pub(crate) fn wait(pollables: &[Handle]) -> u32 {
    let mut ready = [0; 32];
    let count = landing::list(&mut ready, || {
        let mut list = imports::List::default();
        // SAFETY: pointer and length are a slice's, and the result has room.
        unsafe { imports::poll(pollables.as_ptr(), pollables.len(), &raw mut list) };
        Some(list)
    });
    ready
        .iter()
        .take(count.unwrap_or_default())
        .fold(0, |bits, index| bits | 1_u32.wrapping_shl(*index))
}

/// Reads standard input, until `deadline` at most (absent: as long as it takes).
pub(crate) fn read(buffer: &mut [u8], deadline: Option<Instant>) -> Read {
    if let Some(deadline) = deadline {
        let timer = Timer::at(deadline);
        if wait(&[input(), timer.handle()]) & 1 == 0 {
            return Read::TimedOut;
        }
    }
    let stdin = stdin();
    let most = buffer.len() as u64;
    let mut result = imports::ListResult::default();
    let count = landing::list(buffer, || {
        // SAFETY: the result has room, and the list lands in the buffer.
        unsafe { imports::blocking_read(stdin, most, &raw mut result) };
        result.list()
    });
    match count {
        Some(count) => Read::Bytes(count),
        None if result.is_closed() => Read::Closed,
        None => Read::Failed,
    }
}

/// Ends the app as `unreachable` does.
pub(crate) fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// Ends the app.
pub(crate) fn exit(failed: bool) -> ! {
    imports::exit(failed.into());
    // It never returns.
    trap()
}

/// Sleeps until a moment of the monotonic clock.
pub(crate) fn sleep_until(moment: Instant) {
    Timer::at(moment).block();
}

/// Seconds since 1970 and nanoseconds of the second, by the wall clock.
pub(crate) fn wall() -> (u64, u32) {
    let mut now = imports::Datetime::default();
    // SAFETY: the result (record datetime, 16 bytes, aligned to 8) has room.
    unsafe { imports::wall_now(&raw mut now) };
    (now.seconds, now.nanoseconds)
}
