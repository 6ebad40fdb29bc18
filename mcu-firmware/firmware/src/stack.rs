//! How much of a stack was ever used: painted before, looked at later. And who called whom, roughly.

use core::fmt;
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

/// What looks like return addresses on the firmware's stack, the innermost first: some are left-overs of earlier calls.
pub(crate) struct Trace {
    from: u32,
}

impl Trace {
    /// From the caller on.
    pub(crate) fn here() -> Self {
        Self {
            from: cortex_m::register::msp::read(),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to get through the formatting of panics to who called them.
        const SHOWN: usize = 12;
        let flash = memory::flash();
        let stack = self.from..memory::firmware_stack().end;
        let words = stack.step_by(4).map(|address| {
            let word: *const u32 = core::ptr::with_exposed_provenance(address as usize);
            // SAFETY: the stack, which is RAM.
            unsafe { word.read_volatile() }
        });
        let calls = words.filter(|word| word & 1 == 1 && flash.contains(word));
        for word in calls.take(SHOWN) {
            write!(f, "{:#x} ", word & !1)?;
        }
        Ok(())
    }
}
