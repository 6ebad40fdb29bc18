//! Digital pins: what a platform does for `wasi:gpio/digital`, `vyoma:device/gpio` and `vyoma:device/edges`.
//!
//! A pin is a number or a label of the board; which of them the app may open, and whether another app has it, the
//! platform knows. Active low, pull resistors and directions are the platform's too, since hardware has them.

use alloc::collections::VecDeque;
use alloc::string::String;

use super::{DeviceError, Instant, Pollable, Services};
use crate::{enumeration, flags, record, variant};

/// `gpio-error`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpioError {
    /// The chip can't reach the pin, or the device went away.
    HardwareFault,
    /// Another app has it, or this one has it open.
    AlreadyInUse,
    /// The manifest does not declare it.
    PinNotAllowed,
    /// The manifest declares it for the other direction only.
    PinModeNotAllowed,
    /// The board has no such pin.
    UndefinedPinLabel,
    /// The pin can't be set up so.
    PinModeNotAvailable,
    /// Waiting is not possible.
    WouldBlock,
    /// The platform has no pins, or the pin can't do this.
    OperationNotSupported,
    /// Anything else, for people.
    Other(String),
}

variant!(GpioError {
    0 HardwareFault,
    1 AlreadyInUse,
    2 PinNotAllowed,
    3 PinModeNotAllowed,
    4 UndefinedPinLabel,
    5 PinModeNotAvailable,
    6 WouldBlock,
    7 OperationNotSupported,
    8 Other(String),
});

impl From<DeviceError> for GpioError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::NotAllowed => Self::PinNotAllowed,
            DeviceError::NotSupported => Self::OperationNotSupported,
            DeviceError::AlreadyInUse => Self::AlreadyInUse,
            DeviceError::NoSuchDevice => Self::UndefinedPinLabel,
            DeviceError::InvalidArgument => Self::PinModeNotAvailable,
            DeviceError::HardwareFault => Self::HardwareFault,
        }
    }
}

enumeration! {
    /// `pin-mode`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of wasi:gpio/general")]
    pub enum PinMode { In, Out, InOut }
}

enumeration! {
    /// `active-level`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of wasi:gpio/general")]
    pub enum ActiveLevel { ActiveHigh, ActiveLow }
}

enumeration! {
    /// `pull-resistor`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of wasi:gpio/general")]
    pub enum PullResistor { PullUp, PullDown }
}

enumeration! {
    /// `pin-state`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the names of wasi:gpio/digital")]
    pub enum PinState { Active, Inactive }
}

impl From<bool> for PinState {
    fn from(active: bool) -> Self {
        if active { Self::Active } else { Self::Inactive }
    }
}

/// `digital-flags`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DigitalFlags(pub u8);

flags!(DigitalFlags, 4);

impl DigitalFlags {
    /// Active is high: also without any flag.
    pub const ACTIVE_HIGH: Self = Self(1);
    /// Active is low.
    pub const ACTIVE_LOW: Self = Self(1 << 1);
    /// With the resistor to the supply.
    pub const PULL_UP: Self = Self(1 << 2);
    /// With the resistor to ground.
    pub const PULL_DOWN: Self = Self(1 << 3);
}

/// How a pin is opened: the flags, without those that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinSetup {
    /// Read, driven, or both.
    pub mode: PinMode,
    /// Which level is active.
    pub active: ActiveLevel,
    /// Which resistor; absent: as the pin is.
    pub pull: Option<PullResistor>,
}

impl PinSetup {
    /// Of flags as a guest passes them; none when two contradict each other.
    pub fn new(mode: PinMode, flags: DigitalFlags) -> Option<Self> {
        let has = |flag| flags.contains(flag);
        let (high, low) = (DigitalFlags::ACTIVE_HIGH, DigitalFlags::ACTIVE_LOW);
        let (up, down) = (DigitalFlags::PULL_UP, DigitalFlags::PULL_DOWN);
        if has(high) && has(low) || has(up) && has(down) {
            return None;
        }
        let pull = has(up)
            .then_some(PullResistor::PullUp)
            .or(has(down).then_some(PullResistor::PullDown));
        Some(Self {
            mode,
            active: if has(low) {
                ActiveLevel::ActiveLow
            } else {
                ActiveLevel::ActiveHigh
            },
            pull,
        })
    }
}

/// `digital-config`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigitalConfig {
    /// As the board labels the pin; its number where it has no label.
    pub label: String,
    /// Read, driven, or both.
    pub mode: PinMode,
    /// Which level is active.
    pub active: ActiveLevel,
    /// Which resistor was asked for.
    pub pull: Option<PullResistor>,
}

record!(DigitalConfig {
    label: String,
    mode: PinMode,
    active: ActiveLevel,
    pull: Option<PullResistor>,
});

/// What a pin is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinEvent {
    /// It is in the state, or was since the watch began.
    State(PinState),
    /// It changed to the state: [`EdgeLog`] says which changes count.
    Edge(PinState),
}

/// `vyoma:device/edges` `edge`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// What the pin changed to.
    pub state: PinState,
    /// When.
    pub at: Instant,
}

record!(Edge {
    state: PinState,
    at: Instant,
});

/// A platform's pins. One without any says [`absent!`](crate::absent).
pub trait Pins: Services {
    /// An open pin; dropping it closes it.
    type Pin: 'static;

    /// Opens the pin of that label or number. One that is opened for output is inactive, one for both is read.
    fn open_pin(&mut self, name: &str, setup: PinSetup) -> Result<Self::Pin, GpioError>;
    /// The pin as it was opened.
    fn pin_config(&mut self, pin: &Self::Pin) -> DigitalConfig;
    /// Drives the pin. Never called for one that was opened for input.
    fn set_pin(&mut self, pin: &mut Self::Pin, state: PinState) -> Result<(), GpioError>;
    /// The state of an input, or the one that an output was set to.
    fn pin_state(&mut self, pin: &mut Self::Pin) -> Result<PinState, GpioError>;
    /// What tells that `event` came; edges are looked for from the first call on. Never called for a pin that was opened for
    /// output.
    fn watch_pin(
        &mut self,
        pin: &mut Self::Pin,
        event: PinEvent,
    ) -> Result<Pollable<Self::Wait>, GpioError>;
    /// Takes the oldest edge; begins to look for edges if nobody did. Only for pins that were opened for input.
    fn next_edge(&mut self, pin: &mut Self::Pin) -> Result<Option<Edge>, GpioError>;
    /// How many edges were forgotten.
    fn lost_edges(&mut self, pin: &mut Self::Pin) -> u64;
}

/// The edges of one pin, for a platform to keep: a queue of bounded length that forgets the oldest and counts them, and
/// what pollables were already told. An edge that no pollable told and nobody took makes the next pollable ready at once,
/// so that between two of them none is missed.
#[derive(Debug)]
pub struct EdgeLog {
    queue: VecDeque<Edge>,
    most: usize,
    lost: u64,
    /// Edges to [`PinState::Active`] and to [`PinState::Inactive`], counted without end.
    seen: [u32; 2],
    /// How many of those a guest knows of.
    told: [u32; 2],
}

/// The edges that a pollable is not about: those before this mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeMark(u32);

impl EdgeLog {
    /// Keeps at most `most` edges that were not taken.
    pub const fn new(most: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            most,
            lost: 0,
            seen: [0; 2],
            told: [0; 2],
        }
    }

    /// An edge came.
    pub fn record(&mut self, edge: Edge) {
        let kind = &mut self.seen[edge.state as usize];
        *kind = kind.wrapping_add(1);
        if self.queue.len() >= self.most {
            self.queue.pop_front();
            self.lost += 1;
        }
        self.queue.push_back(edge);
    }

    /// So many edges came that nobody saw: the platform's own queue was full.
    pub fn lose(&mut self, count: u64) {
        self.lost += count;
    }

    /// Takes the oldest edge that is left. The guest knows of it then, and of those before it.
    pub fn take(&mut self) -> Option<Edge> {
        let edge = self.queue.pop_front()?;
        let kind = edge.state as usize;
        let left = self.queue.iter().filter(|later| later.state == edge.state);
        let known = self.seen[kind].wrapping_sub(left.count() as u32);
        if known.wrapping_sub(self.told[kind]) <= self.seen[kind].wrapping_sub(self.told[kind]) {
            self.told[kind] = known;
        }
        Some(edge)
    }

    /// How many edges were forgotten.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Where a pollable for edges to `state` begins: after those that the guest knows of.
    pub fn mark(&self, state: PinState) -> EdgeMark {
        EdgeMark(self.told[state as usize])
    }

    /// Where one begins that is about nothing that was.
    pub fn mark_now(&self, state: PinState) -> EdgeMark {
        EdgeMark(self.seen[state as usize])
    }

    /// Whether an edge to `state` came after `mark`.
    pub fn came(&self, state: PinState, mark: EdgeMark) -> bool {
        self.seen[state as usize] != mark.0
    }

    /// Whether an edge to `state` came after `mark`; if so, the guest is about to know of all that came.
    pub fn passed(&mut self, state: PinState, mark: EdgeMark) -> bool {
        let passed = self.came(state, mark);
        if passed {
            self.told[state as usize] = self.seen[state as usize];
        }
        passed
    }
}
