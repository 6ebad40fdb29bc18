//! The last words of a firmware that panicked or crashed, for `vyomactl info` after the restart (`vyoma_mcu_core::epitaph`).

use alloc::string::String;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;

use vyoma_mcu_core::epitaph::Epitaph;

/// Memory that the start of the program leaves as it was.
struct Kept(UnsafeCell<MaybeUninit<Epitaph>>);

// SAFETY: written when nothing else runs any more, and taken once, at boot, by the one thread that there is.
unsafe impl Sync for Kept {}

#[unsafe(link_section = ".uninit.epitaph")]
static KEPT: Kept = Kept(UnsafeCell::new(MaybeUninit::uninit()));

/// Leaves words for whoever starts next. Nothing else runs any more.
pub(crate) fn leave(words: fmt::Arguments<'_>) {
    // SAFETY: see `Kept`; volatile, since nobody reads it in this life.
    unsafe {
        KEPT.0
            .get()
            .cast::<Epitaph>()
            .write_volatile(Epitaph::of(words));
    };
}

/// What was left, and that once: an orderly restart leaves nothing. Called once, at boot.
pub(crate) fn take() -> Option<String> {
    let place = KEPT.0.get().cast::<Epitaph>();
    // SAFETY: see `Kept`. RAM; of whatever bits it holds, an epitaph is made of numbers, which any bits are.
    let found = unsafe {
        let found = place.read_volatile();
        place.write_volatile(Epitaph::NONE);
        found
    };
    found.words().map(Into::into)
}
