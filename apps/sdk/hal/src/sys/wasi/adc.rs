//! vyoma:adc/adc

use super::{Answer, Owned};
use crate::OpenError;

#[derive(Debug)]
pub(crate) struct Channel(Owned);

impl Channel {
    pub(crate) fn open(name: &str) -> Result<Self, OpenError> {
        // SAFETY: pointer and length are a text's; the result (8 bytes) has room.
        let answer = Answer::of(|answer| unsafe { open(name.as_ptr(), name.len(), answer) });
        let channel = answer.value(OpenError::case)?;
        Ok(Self(Owned(channel, drop_channel)))
    }

    /// The largest value, and its microvolts.
    pub(crate) fn range(&self) -> (u32, u32) {
        // SAFETY: the channel is open; the record (8 bytes) has room.
        let answer = Answer::of(|answer| unsafe { get_range(self.0.0, answer) });
        (answer.word(0), answer.word(4))
    }

    pub(crate) fn read_raw(&self) -> Result<u32, OpenError> {
        // SAFETY: the channel is open; the result (8 bytes) has room.
        Answer::of(|answer| unsafe { read_raw(self.0.0, answer) }).value(OpenError::case)
    }

    pub(crate) fn read_microvolts(&self) -> Result<u32, OpenError> {
        // SAFETY: the channel is open; the result (8 bytes) has room.
        Answer::of(|answer| unsafe { read_microvolts(self.0.0, answer) }).value(OpenError::case)
    }
}

extern "C" fn drop_channel(channel: u32) {
    import_drop_channel(channel);
}

#[link(wasm_import_module = "vyoma:adc/adc@0.1.0")]
unsafe extern "C" {
    #[link_name = "open"]
    fn open(name: *const u8, length: usize, answer: *mut u8);
    #[link_name = "[resource-drop]channel"]
    safe fn import_drop_channel(channel: u32);
    #[link_name = "[method]channel.get-range"]
    fn get_range(channel: u32, answer: *mut u8);
    #[link_name = "[method]channel.read-raw"]
    fn read_raw(channel: u32, answer: *mut u8);
    #[link_name = "[method]channel.read-microvolts"]
    fn read_microvolts(channel: u32, answer: *mut u8);
}
