//! What an app may touch: the memory protection unit's eight regions while it runs.
//!
//! Code and constants, and the components in flash, can be read by apps; of RAM an app has its arena, the loader's stack while it is
//! being loaded, and a look at one line that says whose turn it is. Everything else, peripherals included, is a fault. The
//! executor is privileged and sees all memory (PRIVDEFENA), whatever is set here. An app's native stack lies at the bottom
//! of its arena, so a stack that overflows leaves the arena and faults: no guard region is needed.
//! Source: ARMv7-M Architecture Reference Manual, B3.5.

use core::ops::Range;

use cortex_m::peripheral::MPU;
use vyoma_mcu_core::cover::{self, Region};

use crate::memory;

/// Regions of the processor.
const REGIONS: u32 = 8;

/// RASR: read-only for everyone.
const READ: u32 = 0b110 << 24;
/// RASR: read-only for apps.
const LOOK: u32 = 0b010 << 24;
/// RASR: everyone reads and writes.
const WRITE: u32 = 0b011 << 24;
/// RASR: never executed.
const NO_CODE: u32 = 1 << 28;
/// RASR: normal memory, write-through.
const NORMAL: u32 = 0b010 << 16;
/// RASR: the region is on.
const ENABLE: u32 = 1;

/// The protection unit, with what it was last set to.
pub(crate) struct Protection {
    unit: MPU,
    arena: Range<u32>,
    loading: bool,
}

impl Protection {
    /// Sets what is the same for every app.
    pub(crate) fn new(unit: MPU) -> Self {
        let mut protection = Self {
            unit,
            arena: 0..0,
            loading: false,
        };
        protection.set(0, whole(memory::flash()), READ);
        // The firmware writes there when an app is installed.
        protection.set(1, whole(memory::apps()), LOOK | NO_CODE);
        protection.set(2, whole(memory::turn()), LOOK | NO_CODE);
        for number in 3..REGIONS {
            protection.set(number, None, 0);
        }
        /// CTRL: on, and privileged code sees the default map behind the regions.
        const ON: u32 = 0b101;
        // SAFETY: privileged code is not restricted by any region above: flash is not written to through them.
        unsafe { protection.unit.ctrl.write(ON) };
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
        protection
    }

    /// From now on apps have this arena, and the loader's stack if `loading`.
    pub(crate) fn give(&mut self, arena: &Range<u32>, loading: bool) {
        if *arena == self.arena && loading == self.loading {
            return;
        }
        // An arena starts and ends on its granule; if it did not, the app would have none, and fault.
        let regions = cover::cover(arena).unwrap_or_default();
        for (number, region) in (3..).zip(regions) {
            self.set(number, region, WRITE | NO_CODE);
        }
        let loader = loading.then(memory::loader).and_then(whole);
        self.set(7, loader, WRITE | NO_CODE);
        self.arena = arena.clone();
        self.loading = loading;
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
    }

    fn set(&mut self, number: u32, region: Option<Region>, access: u32) {
        let (base, attributes) = region.map_or((0, 0), |region| {
            let size = region.size.trailing_zeros() - 1;
            let parts = u32::from(region.without) << 8;
            (region.base, access | NORMAL | parts | size << 1 | ENABLE)
        });
        // SAFETY: the executor does not depend on regions (PRIVDEFENA, and no region takes from it what it writes to).
        unsafe {
            self.unit.rnr.write(number);
            // Off first: the old size at the new base might forbid the very instructions that set it.
            self.unit.rasr.write(0);
            self.unit.rbar.write(base);
            self.unit.rasr.write(attributes);
        }
    }
}

/// A range that is one region: a power of two, aligned to its size, as the linker script has it.
fn whole(range: Range<u32>) -> Option<Region> {
    let size = range.end - range.start;
    (size.is_power_of_two() && range.start.is_multiple_of(size)).then_some(Region {
        base: range.start,
        size,
        without: 0,
    })
}
