//! What a platform gives to the host functions: Linux implements it over the kernel (`vyoma-services`), the firmware over
//! Embassy. Host functions do everything that is about WASI (handles, lists, blocking variants, rules of interfaces);
//! services do what is about the platform. A call may wait: on Linux in the kernel, on the microcontroller by giving
//! the processor to others.

mod absent;
mod buses;
mod converters;
mod pins;
mod serial;

pub use absent::Absent;
pub use buses::{
    I2cBuses, I2cError, I2cOperation, NoAcknowledgeSource, SpiBuses, SpiError, SpiOperation,
};
pub use converters::{Converters, Range};
pub use pins::{
    ActiveLevel, DigitalConfig, DigitalFlags, Edge, EdgeLog, EdgeMark, GpioError, PinEvent,
    PinMode, PinSetup, PinState, Pins, PullResistor,
};
pub use serial::{OpenPort, Parity, StopBits, UartConfig, Uarts};

use alloc::string::String;
use alloc::vec::Vec;

use crate::enumeration;

/// Nanoseconds of the monotonic clock: since an unspecified start, never going back.
pub type Instant = u64;

/// Time since 1970-01-01T00:00:00Z (WASI 0.2 clocks/wall-clock).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Datetime {
    /// Whole seconds.
    pub seconds: u64,
    /// 0 to 999 999 999.
    pub nanoseconds: u32,
}

crate::record!(Datetime {
    seconds: u64,
    nanoseconds: u32,
});

/// What a guest can wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pollable<W> {
    /// Always ready.
    Ready,
    /// Ready from this instant on.
    At(Instant),
    /// What the platform knows: data on a descriptor, an edge on a pin.
    Event(W),
}

/// Why a stream operation failed (WASI 0.2 io/streams, stream-error).
#[derive(Debug)]
pub enum StreamError {
    /// The operation failed; the stream is closed from now on.
    Failed(IoError),
    /// The stream is at its end, or was closed.
    Closed,
    /// The guest broke a rule that has no error value, e.g. wrote more than `check-write` permitted.
    Trap(&'static str),
}

/// What `wasi:io/error`'s resource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoError {
    /// For `to-debug-string`.
    pub message: String,
    /// For `wasi:filesystem/types` `filesystem-error-code`: the case's number in that interface's `error-code`.
    pub filesystem_code: Option<u8>,
}

/// What every platform has: arguments, clocks, randomness, the three standard streams, and waiting.
pub trait Services: Sized + 'static {
    /// Where bytes come from.
    type Input: 'static;
    /// Where bytes go.
    type Output: 'static;
    /// An event of the platform that [`Services::poll`] can wait for.
    type Wait: Clone + 'static;

    /// `argv`, the name of the app first.
    fn arguments(&mut self) -> Vec<String>;
    /// The environment's variables.
    fn environment(&mut self) -> Vec<(String, String)>;

    /// Now.
    fn monotonic_now(&mut self) -> Instant;
    /// Nanoseconds between two values of the monotonic clock.
    fn monotonic_resolution(&mut self) -> u64;
    /// Now.
    fn wall_now(&mut self) -> Datetime;
    /// The wall clock's resolution.
    fn wall_resolution(&mut self) -> Datetime;

    /// Fills `bytes` from a cryptographically secure source.
    fn random(&mut self, bytes: &mut [u8]);
    /// Two numbers that differ from run to run, and are the same whenever a guest asks.
    fn insecure_seed(&mut self) -> (u64, u64);

    /// The guest's stdin; at its end when stdio is not granted.
    fn stdin(&mut self) -> Self::Input;
    /// The guest's stdout; takes and forgets everything when stdio is not granted.
    fn stdout(&mut self) -> Self::Output;
    /// The guest's stderr; likewise.
    fn stderr(&mut self) -> Self::Output;

    /// Reads what is there, at most `most` bytes, without waiting: nothing is no error, the end is [`StreamError::Closed`].
    fn read(&mut self, input: &mut Self::Input, most: u64) -> Result<Vec<u8>, StreamError>;
    /// What tells that `input` has bytes, or is at its end.
    fn input_ready(&mut self, input: &Self::Input) -> Pollable<Self::Wait>;

    /// How many bytes the next [`Services::write`] may have; 0: not now.
    fn check_write(&mut self, output: &mut Self::Output) -> Result<u64, StreamError>;
    /// Writes all of `bytes`, at most what [`Services::check_write`] permitted last.
    fn write(&mut self, output: &mut Self::Output, bytes: &[u8]) -> Result<(), StreamError>;
    /// Begins to make everything written so far arrive; [`Services::check_write`] gives 0 until it has.
    fn flush(&mut self, output: &mut Self::Output) -> Result<(), StreamError>;
    /// Whether what [`Services::write`] wrote has arrived when it returns. Blocking variants then do not wait for the
    /// stream to be writable once more, which may need someone who reads.
    fn is_unbuffered(&mut self, output: &Self::Output) -> bool {
        let _ = output;
        false
    }
    /// What tells that `check_write` gives more than 0, or an error.
    fn output_ready(&mut self, output: &Self::Output) -> Pollable<Self::Wait>;

    /// Waits until at least one of `pollables` (at least one, never empty) is ready, and gives the indices of all that
    /// are then, in rising order.
    fn poll(&mut self, pollables: &[Pollable<Self::Wait>]) -> Vec<u32>;
    /// Whether it is ready now.
    fn is_ready(&mut self, pollable: &Pollable<Self::Wait>) -> bool;
}

enumeration! {
    /// `vyoma:device/types` `error-code`: why something can't be opened or used.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DeviceError {
        /// The manifest does not declare it.
        NotAllowed,
        /// This platform does not have it, whatever the manifest says.
        NotSupported,
        /// Another app has it, or this one has it open.
        AlreadyInUse,
        /// The board has nothing of that name.
        NoSuchDevice,
        /// A setting that the device can't have.
        InvalidArgument,
        /// It fails, or went away.
        HardwareFault,
    }
}

impl DeviceError {
    /// As WIT names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::NotSupported => "not-supported",
            Self::AlreadyInUse => "already-in-use",
            Self::NoSuchDevice => "no-such-device",
            Self::InvalidArgument => "invalid-argument",
            Self::HardwareFault => "hardware-fault",
        }
    }
}

// What `absent!` needs by path, also in a crate that does not name `alloc`.
#[doc(hidden)]
pub type Text = String;
