//! The calls from an app to the firmware: what both sides have to agree on. `svc 0` with a number in r0 and up to three
//! arguments in r1 to r3; up to two results come back in r0 and r1. Memory is named by address and length, and the
//! firmware looks at it only where the app itself may.

/// Number of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Call {
    /// It is over: ([`End`], code or text address, text length). Does not return.
    End,
    /// Loading is over: (address of what `run` is called with). Does not return; `run` is called on another stack.
    Loaded,
    /// An argument: (index, address, room) -> length, or [`NONE`].
    Argument,
    /// A variable of the environment, `KEY=value`: (index, address, room) -> length, or [`NONE`].
    Variable,
    /// () -> nanoseconds of the monotonic clock, low and high half.
    Now,
    /// (address of seconds, low and high half, and nanoseconds)
    WallClock,
    /// Fills (address, length) with random bytes.
    Random,
    /// Writes (stream, address, length) as a whole.
    Write,
    /// Reads to (address, room) without waiting -> bytes read, or [`NONE`] at the end. With room 0: bytes that are there.
    Read,
    /// Waits for one of the [`Event`]s at (address, count), and marks those that are ready. A third argument of 0: doesn't wait.
    Poll,
}

impl Call {
    /// The call of that number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        const ALL: [Call; 10] = [
            Call::End,
            Call::Loaded,
            Call::Argument,
            Call::Variable,
            Call::Now,
            Call::WallClock,
            Call::Random,
            Call::Write,
            Call::Read,
            Call::Poll,
        ];
        ALL.get(number as usize).copied()
    }
}

/// There is none: no such argument, or the end of a stream.
pub(crate) const NONE: u32 = u32::MAX;

/// How an app ended itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum End {
    /// With a code.
    Exit,
    /// With a trap, in words.
    Trap,
    /// For want of memory.
    Memory,
    /// It could not be loaded, in words.
    Refused,
    /// The arena is too small to load it.
    NoRoom,
}

impl End {
    /// The ending of that number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        const ALL: [End; 5] = [End::Exit, End::Trap, End::Memory, End::Refused, End::NoRoom];
        ALL.get(number as usize).copied()
    }
}

/// What an app waits for.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Event {
    /// One of the constants below; [`Event::READY`] after the call: it is ready.
    pub(crate) kind: u32,
    /// Which one, of those that have numbers.
    pub(crate) number: u32,
    /// Nanoseconds of the monotonic clock, low and high half, for [`Event::AT`].
    pub(crate) at: [u32; 2],
}

impl Event {
    /// Ready, always or now.
    pub(crate) const READY: u32 = 0;
    /// Ready from an instant on.
    pub(crate) const AT: u32 = 1;
    /// Ready when stdin has bytes or is at its end.
    pub(crate) const STDIN: u32 = 2;
}

/// Number of stdout for [`Call::Write`].
pub(crate) const STDOUT: u32 = 1;
/// Number of stderr.
pub(crate) const STDERR: u32 = 2;
