//! Which regions of a Cortex-M's memory protection unit cover a range of addresses, no byte more and none less.
//!
//! A region is a power of two in size, aligned to its size, and has eight parts that can be left out one by one (ARMv7-M
//! Architecture Reference Manual, B3.5). A range's middle takes one or two large regions, each of its edges smaller and
//! smaller ones, until [`REGIONS`] are used up: so not every range can be covered, but one that starts a little lower or higher
//! ([`lower`], [`raise`]) always can. No registers here; the firmware writes them.

use core::ops::Range;

/// Regions for a range at most.
pub const REGIONS: usize = 4;

/// What a range starts and ends on a multiple of, at least: the smallest region.
pub const STEP: u32 = 256;

/// Parts of a region.
const PARTS: u32 = 8;

/// One region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First address: a multiple of `size`.
    pub base: u32,
    /// Bytes: a power of two of at least 256.
    pub size: u32,
    /// Bit n: the n-th eighth is left out.
    pub without: u8,
}

/// The regions of a range; unused places are none.
pub type Regions = [Option<Region>; REGIONS];

/// The regions that cover `range`; none when it takes more than there are.
pub fn cover(range: &Range<u32>) -> Option<Regions> {
    let bytes = range.end.checked_sub(range.start)?;
    if !(range.start.is_multiple_of(STEP) && range.end.is_multiple_of(STEP)) {
        return None;
    }
    if bytes == 0 {
        return Some(Regions::default());
    }
    // The smallest blocks of which the range touches at most two; with larger ones it may be one, which leaves more regions
    // for the edges.
    let smallest = bytes.checked_next_power_of_two()?.max(STEP);
    (0..3).find_map(|doubled| {
        let large = smallest.checked_shl(doubled)?;
        let border = (range.start / large + 1).checked_mul(large)?;
        let mut cover = Cover::default();
        cover.block(range.start..range.end.min(border), large)?;
        cover.block(range.start.max(border)..range.end, large)?;
        Some(cover.regions)
    })
}

/// `range` with the next lower start with which it can be covered: less than 2 KiB lower, within a block of 128 KiB. None when
/// `range` does not end on a [`STEP`].
pub fn lower(range: &Range<u32>) -> Option<Range<u32>> {
    let mut start = range.start / STEP * STEP;
    loop {
        if cover(&(start..range.end)).is_some() {
            return Some(start..range.end);
        }
        start = start
            .checked_sub(STEP)
            .filter(|_| range.end.is_multiple_of(STEP))?;
    }
}

/// `range` with the next higher start with which it can be covered: likewise. It ends on a [`STEP`], too.
pub fn raise(range: &Range<u32>) -> Option<Range<u32>> {
    let end = range.end / STEP * STEP;
    let mut start = range.start.checked_next_multiple_of(STEP)?;
    while start < end && cover(&(start..end)).is_none() {
        start += STEP;
    }
    Some(start.min(end)..end)
}

#[derive(Default)]
struct Cover {
    regions: Regions,
    count: usize,
}

impl Cover {
    /// Covers a range that lies in one block of that size: its whole parts with one region, the rest with smaller ones.
    fn block(&mut self, range: Range<u32>, size: u32) -> Option<()> {
        if range.is_empty() {
            return Some(());
        }
        let part = size / PARTS;
        let base = range.start / size * size;
        let from = range.start.next_multiple_of(part);
        let to = range.end / part * part;
        if from >= to {
            // No whole part: a smaller block, or two.
            let border = range.start / part * part + part;
            self.block(range.start..range.end.min(border), part)?;
            return self.block(range.start.max(border)..range.end, part);
        }
        let kept =
            ((from - base) / part..(to - base) / part).fold(0, |kept, part| kept | 1 << part);
        *self.regions.get_mut(self.count)? = Some(Region {
            base,
            size,
            without: !kept,
        });
        self.count += 1;
        self.block(range.start..from, part)?;
        self.block(to..range.end, part)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use proptest::prelude::*;

    use super::*;

    fn covered(regions: Regions) -> Vec<Range<u32>> {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for region in regions.into_iter().flatten() {
            assert!(region.size.is_power_of_two() && region.base.is_multiple_of(region.size));
            let part = region.size / PARTS;
            assert!(part >= 32, "{region:?}");
            for n in (0..PARTS).filter(|n| region.without & 1 << n == 0) {
                ranges.push(region.base + n * part..region.base + (n + 1) * part);
            }
        }
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    fn is_exact(range: &Range<u32>) -> bool {
        let mut at = range.start;
        for part in covered(cover(range).unwrap()) {
            if part.start != at {
                return false;
            }
            at = part.end;
        }
        at == range.end
    }

    #[test]
    fn a_range_that_takes_too_many_regions_is_refused() {
        assert!(cover(&(0x2000_8000..0x2001_ff00)).is_some());
        assert_eq!(cover(&(0x2000_8100..0x2001_ff00)), None);
        assert_eq!(cover(&(0x2000_8080..0x2000_9000)), None, "not on a step");
    }

    #[test]
    fn nothing_is_covered_by_nothing() {
        assert!(covered(cover(&(0x2000_0000..0x2000_0000)).unwrap()).is_empty());
    }

    proptest! {
        #[test]
        fn what_can_be_covered_is_covered_exactly(start in 0..0x200_u32, steps in 0..0x200_u32) {
            let range = 0x2000_0000 + start * STEP..0x2000_0000 + (start + steps) * STEP;
            if cover(&range).is_some() {
                prop_assert!(is_exact(&range), "{range:?}");
            }
        }

        #[test]
        fn a_start_less_than_2_kib_lower_or_higher_always_serves(one in 0..0x200_u32, other in 0..0x201_u32) {
            let [start, end] = [one.min(other), one.max(other)].map(|step| 0x2000_0000 + step * STEP);
            let range = start..end;
            let raised = raise(&range).unwrap();
            prop_assert!(is_exact(&raised) && raised.end == end);
            prop_assert!(raised.start - start < 2048, "{range:?} {raised:?}");
            let lowered = lower(&range).unwrap();
            prop_assert!(is_exact(&lowered) && lowered.end == end);
            prop_assert!(start - lowered.start < 2048, "{range:?} {lowered:?}");
        }
    }
}
