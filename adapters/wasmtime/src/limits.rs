//! How much an app's wasm may take: linear memory by its manifest, everything else by fixed bounds.

use wasmtime::{ResourceLimiter, Result};

/// Core instances: `wasm32-wasip2` makes 3 (program, shim, fixups); composed components a few each.
const INSTANCES: usize = 64;
/// Linear memories: one per program in the component.
const MEMORIES: usize = 16;
/// Tables: one per program, one per shim.
const TABLES: usize = 64;
/// Elements of one table; a program needs one per function whose address it takes. A million is 8 MiB of host memory.
const TABLE_ELEMENTS: usize = 1_000_000;

/// Counts what one app holds.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Most bytes of linear memory, all memories together.
    memory: u64,
    /// Bytes held.
    held: u64,
    /// What the last permitted growth added, to be taken back if it fails after all.
    pending: u64,
    /// Whether the last request was refused.
    refused: bool,
    /// Whether there was a request since someone looked where memory is, or nobody has.
    asked: bool,
}

impl Limits {
    pub(crate) fn new(memory: Option<u64>) -> Self {
        Self {
            memory: memory.unwrap_or(u64::MAX),
            held: 0,
            pending: 0,
            refused: false,
            asked: true,
        }
    }

    /// Whether memory may have grown, or moved, since [`Limits::looked`].
    #[inline]
    pub(crate) fn asked(&self) -> bool {
        self.asked
    }

    /// Someone looked where memory is.
    pub(crate) fn looked(&mut self) {
        self.asked = false;
    }

    /// Whether the app's last request for memory was refused, so that an abort after it was for want of memory.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.asked = true;
        // Past the memory's own maximum Wasmtime refuses by itself, but asks first.
        let more = desired.saturating_sub(current) as u64;
        let allowed = self.held.saturating_add(more) <= self.memory
            && maximum.is_none_or(|most| desired <= most);
        self.refused = !allowed;
        if allowed {
            self.held += more;
            self.pending = more;
        }
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        if !self.refused {
            self.held -= self.pending;
            self.pending = 0;
            self.refused = true;
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 65536;

    #[test]
    fn all_memories_together_stay_within_the_limit() {
        let mut limits = Limits::new(Some(3 * PAGE as u64));
        assert!(limits.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(!limits.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(limits.refused());
        assert!(limits.memory_growing(0, PAGE, None).unwrap());
        assert!(!limits.refused());
        assert!(!limits.memory_growing(PAGE, 2 * PAGE, None).unwrap());
    }

    #[test]
    fn a_growth_that_fails_after_all_is_not_counted() {
        let mut limits = Limits::new(Some(PAGE as u64));
        assert!(limits.memory_growing(0, PAGE, None).unwrap());
        limits
            .memory_grow_failed(wasmtime::format_err!("no memory"))
            .unwrap();
        assert!(limits.memory_growing(0, PAGE, None).unwrap());
    }
}
