//! The memory of an inbox, and the few things done with it. Nothing here can panic: what a panic needs is code in every app.

use alloc::vec::Vec;

use crate::MAX_LINE;

/// Memory for lines.
pub trait Room {
    /// All of it.
    fn as_bytes(&self) -> &[u8];

    /// All of it.
    fn bytes(&mut self) -> &mut [u8];

    /// Makes it larger; false when it can't be.
    fn grow(&mut self) -> bool;
}

/// A fixed size.
impl<const SIZE: usize> Room for [u8; SIZE] {
    fn as_bytes(&self) -> &[u8] {
        self
    }

    fn bytes(&mut self) -> &mut [u8] {
        self
    }

    fn grow(&mut self) -> bool {
        false
    }
}

/// As much as the longest line needs, while the heap has it.
impl Room for Vec<u8> {
    fn as_bytes(&self) -> &[u8] {
        self
    }

    fn bytes(&mut self) -> &mut [u8] {
        self
    }

    fn grow(&mut self) -> bool {
        let more = self.len().max(64).min(MAX_LINE - self.len().min(MAX_LINE));
        if more == 0 || self.try_reserve_exact(more).is_err() {
            return false;
        }
        self.resize(self.len() + more, 0);
        true
    }
}

/// What [`super::Inbox::open`] uses.
#[cfg(not(feature = "std"))]
pub(super) fn default() -> super::DefaultRoom {
    [0; super::SMALL_LINE]
}

/// What [`super::Inbox::open`] uses.
#[cfg(feature = "std")]
pub(super) fn default() -> super::DefaultRoom {
    Vec::new()
}

/// Moves what stands at `to` and after it to `from`.
pub(super) fn remove(bytes: &mut [u8], from: usize, to: usize) {
    if from == to {
        return;
    }
    for index in to..bytes.len() {
        if let Some(byte) = bytes.get(index).copied()
            && let Some(place) = bytes.get_mut(from + index - to)
        {
            *place = byte;
        }
    }
}
