//! What a host function needs of the engine that runs the guest. Implemented by the adapters, for the time of one host call.

use crate::trap::Trap;

/// Which `realloc` of the program: an index into [`crate::program::Program::reallocs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Realloc(pub u32);

/// A guest that is inside a host call.
pub trait Guest {
    /// The whole linear memory as it is now. [`Guest::realloc`] may grow and move it, which is why this borrows `self`.
    fn memory(&mut self) -> &mut [u8];

    /// Calls the guest's allocator: `(old pointer, old size, alignment, new size) -> pointer`. The answer is whatever the
    /// guest says; the caller checks it. [`Trap::Guest`] when the guest traps in it.
    fn realloc(
        &mut self,
        realloc: Realloc,
        old_pointer: u32,
        old_size: u32,
        alignment: u32,
        new_size: u32,
    ) -> Result<u32, Trap>;
}
