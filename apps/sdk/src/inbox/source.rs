//! What an inbox reads from.

use crate::sys;
use crate::time::Instant;

pub use crate::sys::Read;

/// Something that carries lines.
pub trait Source {
    /// Reads at most as many bytes as `room` has, which is at least one, and waits for the first until `deadline` (absent: as long as
    /// it takes).
    fn read(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Read;
}

/// Standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandardInput;

impl Source for StandardInput {
    fn read(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Read {
        sys::read(room, deadline.map(Instant::nanoseconds))
    }
}
