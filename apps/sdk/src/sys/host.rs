//! The same over `std`, where an app's tests run.

use std::fs::File;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use super::Stream;
use crate::inbox::{Read, Source};
use crate::ready::{self, Wait};

/// Writes all bytes. Errors are swallowed.
pub(crate) fn write(stream: Stream, bytes: &[u8]) {
    if crate::testing::catch(bytes) {
        return;
    }
    let _ = match stream {
        Stream::Out => io::stdout().lock().write_all(bytes),
        Stream::Err => io::stderr().lock().write_all(bytes),
    };
}

/// Reads standard input, without `std`'s buffer.
pub(crate) fn read(buffer: &mut [u8], deadline: Option<crate::Instant>) -> Read {
    // SAFETY: descriptor 0 is open as long as the program runs, and `ManuallyDrop` never closes it.
    let mut stdin = ManuallyDrop::new(unsafe { File::from_raw_fd(0) });
    Source::read(&mut *stdin, buffer, deadline)
}

/// Standard input, or a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handle {
    Input,
    Moment(crate::Instant),
    None,
}

/// Of nothing; it is never waited for.
pub(crate) const NO_HANDLE: Handle = Handle::None;

/// Standard input that can be read.
pub(crate) fn input() -> Handle {
    Handle::Input
}

/// A moment.
#[derive(Debug)]
pub(crate) struct Timer(Handle);

impl Timer {
    pub(crate) fn at(moment: crate::Instant) -> Self {
        Self(Handle::Moment(moment))
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0
    }
}

/// Waits until one of them is ready; the n-th bit of the result says whether the n-th is.
pub(crate) fn wait(handles: &[Handle]) -> u32 {
    let first = handles.iter().filter_map(|handle| match handle {
        Handle::Moment(moment) => Some(*moment),
        _ => None,
    });
    let limit = first.min().map(|moment| moment - crate::Instant::now());
    let input = handles.iter().any(|handle| matches!(handle, Handle::Input));
    let mut waits = vec![Wait::to_read(&0); input.into()];
    let readable = ready::wait(&mut waits, limit).is_ok_and(|count| count > 0);
    let now = crate::Instant::now();
    let come = |handle: &Handle| match handle {
        Handle::Input => readable,
        Handle::Moment(moment) => *moment <= now,
        Handle::None => false,
    };
    handles
        .iter()
        .enumerate()
        .fold(0, |bits, (at, handle)| bits | u32::from(come(handle)) << at)
}

/// Nanoseconds since the first call.
pub(crate) fn now() -> u64 {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let since = BEGINNING.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Sleeps.
pub(crate) fn sleep(nanoseconds: u64) {
    std::thread::sleep(Duration::from_nanos(nanoseconds));
}

/// Sleeps until a moment.
pub(crate) fn sleep_until(moment: crate::Instant) {
    std::thread::sleep(moment - crate::Instant::now());
}

/// Seconds since 1970 and nanoseconds of the second; 1970 for a clock that is before.
pub(crate) fn wall() -> (u64, u32) {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    (since.as_secs(), since.subsec_nanos())
}

/// Ends the program.
pub(crate) fn exit(failed: bool) -> ! {
    std::process::exit(failed.into())
}

/// Ends the program as a trap would.
pub(crate) fn trap() -> ! {
    std::process::abort()
}

/// Texts that the system handed over.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a>(std::vec::IntoIter<&'a str>);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }
}

/// Like the room on WASI, they live as long as the program at most.
fn kept<'a>(words: impl Iterator<Item = String>) -> Words<'a> {
    let words: Vec<&str> = words.map(|word| &*word.leak()).collect();
    Words(words.into_iter())
}

/// The program's arguments.
pub(crate) fn arguments(_room: &mut [u8]) -> Words<'_> {
    kept(std::env::args())
}

/// The environment: name, value, name, value.
pub(crate) fn variables(_room: &mut [u8]) -> Words<'_> {
    kept(std::env::vars().flat_map(|(name, value)| [name, value]))
}
