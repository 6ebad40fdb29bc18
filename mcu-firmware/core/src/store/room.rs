//! Where there is room for an app: whole sectors in a row that no app lies in.

use crate::flash::Place;

/// What is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes for apps in all.
    pub total: u32,
    /// Bytes that no app lies in.
    pub free: u32,
    /// The longest row of them: the largest app that can be installed, its manifest included.
    pub largest: u32,
}

/// The rows of free bytes between `taken`, which do not overlap, in the region.
pub(super) fn gaps<'a, I>(region: Place, taken: I) -> impl Iterator<Item = Place> + use<'a, I>
where
    I: Iterator<Item = Place> + Clone + 'a,
{
    let end = region.offset + region.length;
    let mut at = Some(region.offset);
    core::iter::from_fn(move || {
        let start = at?;
        let next = taken
            .clone()
            .filter(|place| place.offset >= start && place.length > 0)
            .min_by_key(|place| place.offset);
        at = next.map(|next| next.offset + next.length);
        let stop = next.map_or(end, |next| next.offset);
        Some(Place {
            offset: start,
            length: stop - start,
        })
    })
}

/// The smallest gap that holds `length` bytes: the large ones are kept for large apps.
pub(super) fn fitting(gaps: impl Iterator<Item = Place>, length: u32) -> Option<Place> {
    gaps.filter(|gap| gap.length >= length)
        .min_by_key(|gap| gap.length)
}

/// Whether two places have a byte in common.
pub(super) fn overlap(one: Place, other: Place) -> bool {
    one.offset < other.offset + other.length && other.offset < one.offset + one.length
}
