//! Digital pins (wasi:gpio/digital, vyoma:device/gpio and edges).
//!
//! *High* is active: the level that the pin was opened with as active, which is the high one unless [`Flags::active_low`] says
//! otherwise.

use embedded_hal::digital::{ErrorKind, ErrorType, InputPin, OutputPin, StatefulOutputPin};
use vyoma::Instant;
use vyoma::wait::{Event, Handle};

use crate::error::errors;
use crate::sys;

errors! {
    /// Why a pin can't be opened or used (wasi:gpio/general, gpio-error).
    Error {
        /// The chip can't reach the pin, or the device behind it went away.
        HardwareFault = "the pin fails",
        /// Another app has the pin, or this one has it open already.
        AlreadyInUse = "already in use",
        /// The manifest does not declare the pin.
        NotAllowed = "not declared in vyoma.toml",
        /// The manifest declares the pin for the other direction only.
        ModeNotAllowed = "declared in vyoma.toml for the other direction",
        /// The board has no pin of that label or number.
        UndefinedLabel = "the board has no such pin",
        /// The pin can't do that: a pull resistor that it lacks, two flags that contradict each other.
        ModeNotAvailable = "the pin can't be opened like that",
        /// The call would wait where waiting is not possible.
        WouldBlock = "would have to wait",
        /// The platform has no pins, or the pin can't do this.
        NotSupported = "not on this platform",
        /// Anything else. The host's words for it are not kept.
        Other = "failed",
    }
}

impl embedded_hal::digital::Error for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// How a pin is opened. By default high is active, and no pull resistor is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub(crate) u32);

impl Flags {
    /// The low level is the active one.
    #[must_use]
    pub const fn active_low(self) -> Self {
        Self(self.0 | 2)
    }

    /// With the pin's pull-up resistor.
    #[must_use]
    pub const fn pull_up(self) -> Self {
        Self(self.0 | 4)
    }

    /// With the pin's pull-down resistor.
    #[must_use]
    pub const fn pull_down(self) -> Self {
        Self(self.0 | 8)
    }
}

/// A pin that is driven. It is inactive when it is opened, and goes into its safe state when it is dropped or the app ends.
#[derive(Debug)]
pub struct Output {
    pin: sys::OutputPin,
    active: bool,
}

impl Output {
    /// Opens the pin of that label or number.
    pub fn open(label: &str, flags: Flags) -> Result<Self, Error> {
        Ok(Self {
            pin: sys::OutputPin::open(label, flags.0)?,
            active: false,
        })
    }

    fn set(&mut self, active: bool) -> Result<(), Error> {
        self.pin.set(active)?;
        self.active = active;
        Ok(())
    }
}

impl ErrorType for Output {
    type Error = Error;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), Error> {
        self.set(false)
    }

    fn set_high(&mut self) -> Result<(), Error> {
        self.set(true)
    }
}

impl StatefulOutputPin for Output {
    fn is_set_high(&mut self) -> Result<bool, Error> {
        Ok(self.active)
    }

    fn is_set_low(&mut self) -> Result<bool, Error> {
        Ok(!self.active)
    }
}

/// A pin that is read.
#[derive(Debug)]
pub struct Input(sys::InputPin);

/// A change of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The pin became active; else inactive.
    pub active: bool,
    /// When.
    pub at: Instant,
}

/// What is waited for: see [`vyoma::Any`].
#[derive(Debug)]
pub struct Watch(sys::Pollable);

impl Event for Watch {
    fn handle(&self) -> Handle {
        self.0.handle()
    }
}

impl Input {
    /// Opens the pin of that label or number.
    pub fn open(label: &str, flags: Flags) -> Result<Self, Error> {
        sys::InputPin::open(label, flags.0).map(Self)
    }

    /// Comes with the next edge from inactive to active, also one that came since the last such watch of this pin.
    pub fn watch_rising_edge(&self) -> Result<Watch, Error> {
        self.0.watch(true).map(Watch)
    }

    /// Comes with the next edge from active to inactive, also one that came since the last such watch of this pin.
    pub fn watch_falling_edge(&self) -> Result<Watch, Error> {
        self.0.watch(false).map(Watch)
    }

    /// The oldest edge that was not taken yet, since the pin was first watched or asked for edges.
    pub fn next_edge(&mut self) -> Result<Option<Edge>, Error> {
        let edge = self.0.next_edge()?;
        Ok(edge.map(|(active, at)| Edge {
            active,
            at: Instant::at_nanoseconds(at),
        }))
    }

    /// Edges that were forgotten because they came faster than they were taken: the oldest go first.
    pub fn lost_edges(&self) -> u64 {
        self.0.lost_edges()
    }
}

impl ErrorType for Input {
    type Error = Error;
}

impl InputPin for Input {
    fn is_high(&mut self) -> Result<bool, Error> {
        self.0.is_active()
    }

    fn is_low(&mut self) -> Result<bool, Error> {
        self.0.is_active().map(|active| !active)
    }
}

/// A pin that is read until it is first set, and driven from then on; reading gives the level that it has.
#[derive(Debug)]
pub struct InOut(sys::InOutPin);

impl InOut {
    /// Opens the pin of that label or number.
    pub fn open(label: &str, flags: Flags) -> Result<Self, Error> {
        sys::InOutPin::open(label, flags.0).map(Self)
    }
}

impl ErrorType for InOut {
    type Error = Error;
}

impl InputPin for InOut {
    fn is_high(&mut self) -> Result<bool, Error> {
        self.0.is_active()
    }

    fn is_low(&mut self) -> Result<bool, Error> {
        self.0.is_active().map(|active| !active)
    }
}

impl OutputPin for InOut {
    fn set_low(&mut self) -> Result<(), Error> {
        self.0.set(false)
    }

    fn set_high(&mut self) -> Result<(), Error> {
        self.0.set(true)
    }
}
