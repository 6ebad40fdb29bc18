//! Converters (vyoma:adc/adc). `embedded-hal` 1.0 has no trait for them.

use crate::OpenError;
use crate::sys;

/// A channel of a converter.
#[derive(Debug)]
pub struct Channel(sys::Channel);

/// What the values of a channel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The largest value that [`Channel::read_raw`] gives.
    pub max: u32,
    /// The voltage of that value, in microvolts.
    pub microvolts: u32,
}

impl Channel {
    /// Opens the channel of that label or number.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        sys::Channel::open(name).map(Self)
    }

    /// What its values mean.
    pub fn range(&self) -> Range {
        let (max, microvolts) = self.0.range();
        Range { max, microvolts }
    }

    /// A sample, from 0 to [`Range::max`].
    pub fn read_raw(&mut self) -> Result<u32, OpenError> {
        self.0.read_raw()
    }

    /// A sample in microvolts.
    pub fn read_microvolts(&mut self) -> Result<u32, OpenError> {
        self.0.read_microvolts()
    }
}
