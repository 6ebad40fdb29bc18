//! Converters from voltages to numbers: what a platform does for `vyoma:adc` and `wasi:gpio/analog`.

use alloc::string::String;

use super::{DeviceError, Services};
use crate::record;

/// `range`: what the values of a channel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The largest value; at least 1.
    pub max: u32,
    /// The voltage of that value.
    pub microvolts: u32,
}

record!(Range {
    max: u32,
    microvolts: u32,
});

impl Range {
    /// What a sample is in microvolts.
    pub fn to_microvolts(self, raw: u32) -> u32 {
        let scaled = u64::from(raw) * u64::from(self.microvolts) / u64::from(self.max.max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX)
    }
}

/// A platform's converters. One without any says [`absent!`](crate::absent).
pub trait Converters: Services {
    /// An open channel; dropping it closes it.
    type Channel: 'static;

    /// Opens the channel of that label or number.
    fn open_channel(&mut self, name: &str) -> Result<Self::Channel, DeviceError>;
    /// As the board labels the channel; its number where it has no label.
    fn channel_label(&mut self, channel: &Self::Channel) -> String;
    /// What its values mean.
    fn channel_range(&mut self, channel: &Self::Channel) -> Range;
    /// Takes a sample: at most the range's largest value.
    fn sample(&mut self, channel: &mut Self::Channel) -> Result<u32, DeviceError>;
}
