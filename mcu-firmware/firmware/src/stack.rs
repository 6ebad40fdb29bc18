//! How much of a stack was ever used: painted before, looked at later.

use core::ops::Range;

use crate::memory;

/// A word that no code writes by accident, most likely.
const PAINT: u32 = 0xc0de_57ac;

/// Paints what is still unused of the firmware's own stack.
pub(crate) fn paint() {
    let stack = memory::firmware_stack();
    /// What this function itself and an interrupt may be using.
    const MARGIN: u32 = 256;
    let end = cortex_m::register::msp::read() - MARGIN;
    // SAFETY: below the stack pointer.
    unsafe { paint_range(&(stack.start..end)) };
}

/// Paints memory.
///
/// # Safety
/// Nobody uses it.
pub(crate) unsafe fn paint_range(range: &Range<u32>) {
    for address in range.clone().step_by(4) {
        let word: *mut u32 = core::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: as the caller promises.
        unsafe { word.write_volatile(PAINT) };
    }
}

/// Bytes of a stack, which was painted, that were ever used.
pub(crate) fn used(stack: &Range<u32>) -> u32 {
    let untouched = stack.clone().step_by(4).take_while(|address| {
        let word: *const u32 = core::ptr::with_exposed_provenance(*address as usize);
        // SAFETY: RAM; a word that changes meanwhile is used.
        unsafe { word.read_volatile() == PAINT }
    });
    (stack.end - stack.start) - untouched.count() as u32 * 4
}
