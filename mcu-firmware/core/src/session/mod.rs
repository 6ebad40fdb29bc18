//! The conversation with an operator on a serial line, as a state machine: bytes and the time go in, frames come out.

mod device;

pub use device::{Device, Operation, Power};

/// Bytes that a receiver should be able to hold while the processor does something else (erasing flash): a whole frame.
pub const MAX_FRAME: usize = 525;

/// One side of the line: the device's. About 2 KiB, and a manifest's worth of heap during an installation.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Nobody is there yet.
    pub const fn new() -> Self {
        Self {}
    }

    /// Takes bytes from the line, whatever they are. What is returned is to be written to the line, all of it and nothing
    /// between; it is empty when there is nothing to say. A frame that changes flash makes this call take as long as
    /// that takes.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], device: &mut impl Device) -> &[u8] {
        let _ = (now_ms, bytes, device);
        &[]
    }

    /// Goes on with what takes its time: to be called when the time is [`Session::wake_at`], or more often.
    pub fn tick(&mut self, now_ms: u64, device: &mut impl Device) {
        let _ = (now_ms, device);
    }

    /// When [`Session::tick`] is needed, in the milliseconds of `now_ms`; `None`: not before the next byte.
    pub fn wake_at(&self) -> Option<u64> {
        None
    }
}
