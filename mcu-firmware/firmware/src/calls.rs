//! The calls from an app to the firmware: what both sides have to agree on. `svc 0` with a number in r0 and up to three
//! arguments in r1 to r3; up to two results come back in r0 and r1. Memory is named by address and length, and the
//! firmware looks at it only where the app itself may.

use vyoma_component::services::{ActiveLevel, DeviceError, PinMode, PinSetup, PullResistor};

/// Number of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Call {
    /// It is over: ([`End`], code or text address, text length). Does not return.
    End,
    /// Loading is over: (address of what `run` is called with, bytes of compiled code, bytes of linear memory). Does not
    /// return; `run` is called on another stack.
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
    /// Reads from (stream) to (address, room) without waiting -> bytes read, or [`NONE`] at the end. With room 0: bytes that
    /// are there.
    Read,
    /// Waits for one of the [`Event`]s at (address, count), and marks those that are ready. A third argument of 0: doesn't wait.
    Poll,
    /// Opens (one of [`Device`], its number, how) -> 0 or a [`Refusal`], and a value. How: [`Setup`] of a pin,
    /// bits per second of a port or 0, which are the value, too.
    Open,
    /// Closes (one of [`Device`], its number).
    Close,
    /// Drives (pin) to (level).
    Drive,
    /// Asks (one of [`Device`], its number) -> 0 or a [`Refusal`], and a value: level of a pin, sample of a channel, bytes
    /// that a port lost.
    Sample,
    /// Begins to keep edges of (pin) -> 0 or a [`Refusal`].
    Watch,
    /// Takes the oldest edge of (pin) to (address of four words: level, microseconds low and high, lost before it) -> 1, or 0:
    /// none.
    Edge,
}

impl Call {
    /// The call of that number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        const ALL: [Call; 16] = [
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
            Call::Open,
            Call::Close,
            Call::Drive,
            Call::Sample,
            Call::Watch,
            Call::Edge,
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
    /// The arena is too small to load it, which needs about so many bytes; 0: nobody knows.
    NoRoom,
    /// It was looked at, and needs about so many bytes.
    Needs,
}

impl End {
    /// The ending of that number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        const ALL: [End; 6] = [
            End::Exit,
            End::Trap,
            End::Memory,
            End::Refused,
            End::NoRoom,
            End::Needs,
        ];
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
    /// Ready when the stream of that number has bytes or is at its end.
    pub(crate) const INPUT: u32 = 2;
    /// Ready when an edge of the pin of that number waits.
    pub(crate) const EDGE: u32 = 3;
}

/// Kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Device {
    /// A digital pin.
    Pin,
    /// A serial port.
    Uart,
    /// An analogue input.
    Channel,
}

impl Device {
    /// The kind of that number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        const ALL: [Device; 3] = [Device::Pin, Device::Uart, Device::Channel];
        ALL.get(number as usize).copied()
    }
}

/// How a pin is opened, as one word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup;

impl Setup {
    /// The word.
    pub(crate) fn encode(setup: PinSetup) -> u32 {
        let pull = setup.pull.map_or(0, |pull| pull as u32 + 1);
        setup.mode as u32 | (setup.active as u32) << 2 | pull << 3
    }

    /// What it means.
    pub(crate) fn decode(word: u32) -> Option<PinSetup> {
        Some(PinSetup {
            mode: match word & 0b11 {
                0 => PinMode::In,
                1 => PinMode::Out,
                2 => PinMode::InOut,
                _ => return None,
            },
            active: match word >> 2 & 1 {
                0 => ActiveLevel::ActiveHigh,
                _ => ActiveLevel::ActiveLow,
            },
            pull: match word >> 3 {
                0 => None,
                1 => Some(PullResistor::PullUp),
                2 => Some(PullResistor::PullDown),
                _ => return None,
            },
        })
    }
}

/// Why a device was refused; in a register its number and one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As the interfaces have it.
    Device(DeviceError),
    /// The manifest declares the pin for the other direction only.
    Direction,
}

impl From<DeviceError> for Refusal {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl Refusal {
    const DEVICE: [DeviceError; 6] = [
        DeviceError::NotAllowed,
        DeviceError::NotSupported,
        DeviceError::AlreadyInUse,
        DeviceError::NoSuchDevice,
        DeviceError::InvalidArgument,
        DeviceError::HardwareFault,
    ];

    /// As the result of a call.
    pub(crate) fn encode(outcome: Result<(), Self>) -> u32 {
        match outcome {
            Ok(()) => 0,
            Err(Self::Device(error)) => error as u32 + 1,
            Err(Self::Direction) => NONE,
        }
    }

    /// What a result means.
    pub(crate) fn decode(word: u32) -> Result<(), Self> {
        let Some(index) = word.checked_sub(1) else {
            return Ok(());
        };
        Err(Self::DEVICE
            .get(index as usize)
            .map_or(Self::Direction, |error| Self::Device(*error)))
    }
}

/// Number of stdin for [`Call::Read`] and [`Event::INPUT`].
pub(crate) const STDIN: u32 = 0;
/// Number of stdout for [`Call::Write`].
pub(crate) const STDOUT: u32 = 1;
/// Number of stderr.
pub(crate) const STDERR: u32 = 2;
/// Number of the app's serial port, both ways.
pub(crate) const PORT: u32 = 3;
