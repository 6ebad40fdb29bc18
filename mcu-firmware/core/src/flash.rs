//! The region of flash that holds the apps.

use embedded_storage::nor_flash::NorFlash;

/// Flash that is written like [`NorFlash`] and read as memory.
///
/// Offsets count from the start of the region that apps may use, not from the start of the chip. What the store asks of
/// it: an erase leaves ones; a word of `WRITE_SIZE` bytes is written once between two erases (so flash with error
/// correction serves); a call that was cut short by a power failure leaves anything in the sector or word that it was
/// about, and nothing else changed. Reading such a word gives any value, and is no fault: where a chip's error correction raises
/// an interrupt for it (STM32L4: NMI), the firmware clears that and goes on ([`crate::ecc`]).
pub trait Flash: NorFlash {
    /// The bytes from `offset` on, as many as `length`, where they lie; `None` when that is not inside the region.
    fn view(&self, offset: u32, length: u32) -> Option<&[u8]>;
}

/// A part of the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First byte, from the start of the region.
    pub offset: u32,
    /// How many bytes.
    pub length: u32,
}
