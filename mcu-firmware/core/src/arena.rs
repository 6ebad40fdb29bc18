//! A heap in an app's arena. It grows from the arena's end downwards, so that what it did not need lies in one
//! piece below it, where the app's native stack goes and what is left is given back.
//!
//! ```text
//!  0            floor            low                                   end
//!  | not the    | free, one      | block | block | free | block | ...  |
//!  | heap's     | piece          | header (size, used), payload        |
//! ```
//!
//! Last fit: of the free blocks that are large enough, the highest is taken; only when there is none the heap grows down.
//! So what is freed early (everything that reading a component needs) ends up at the bottom and goes back to the free
//! piece. Blocks are found by walking: an app has some hundred. A header is one word; everything is aligned to 8 bytes.
//! The words themselves are somebody else's ([`Words`]): no unsafe code here, and tests run on a plain array. Called by the
//! firmware's global allocator, and as `malloc` by wasm3.

/// Where the headers are. Positions are bytes from the arena's start, multiples of 4 and within the arena as long as nobody
/// else writes to headers; if somebody does (the arena is the app's own), positions may be anything.
pub trait Words {
    /// The word at `at`.
    fn load(&self, at: u32) -> u32;
    /// Replaces it.
    fn store(&mut self, at: u32, word: u32);
}

/// Bytes of a block's header.
const HEADER: u32 = 4;
/// Payloads are aligned to this, and blocks have multiples of it.
const ALIGN: u32 = 8;
/// In a header: the block is in use. Sizes are multiples of 8, so the bit is free.
const USED: u32 = 1;
/// Largest payload: far more than a microcontroller has, far from overflowing a sum.
const MAX: u32 = 1 << 28;

/// The state of a heap. Small and plain: it lies in the arena itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Heap {
    /// The heap never grows below this.
    floor: u32,
    /// First block, or `end` when there is none.
    low: u32,
    /// One past the last block.
    end: u32,
    /// Bytes of blocks in use, headers included.
    used: u32,
    /// Most that `used` ever was.
    peak: u32,
    /// Lowest that `low` ever was.
    lowest: u32,
    /// Requests that could not be met.
    refused: u32,
    /// Bytes of the largest free block when somebody last looked.
    hole: u32,
}

impl Heap {
    /// An empty heap in the bytes `floor..end` of an arena.
    pub const fn new(floor: u32, end: u32) -> Self {
        // Payloads are aligned, so headers, and with them the end, are one header below a multiple of ALIGN.
        let end = if end < ALIGN {
            HEADER
        } else {
            end / ALIGN * ALIGN - HEADER
        };
        Self {
            floor,
            low: end,
            end,
            used: 0,
            peak: 0,
            lowest: end,
            refused: 0,
            hole: 0,
        }
    }

    /// Position of `bytes` bytes, aligned to 8; none when there is no room.
    pub fn allocate(&mut self, words: &mut impl Words, bytes: u32) -> Option<u32> {
        let Some(need) = block(bytes) else {
            self.refused = self.refused.saturating_add(1);
            return None;
        };
        let at = if let Some((at, size)) = self.last_fit(words, need) {
            // The upper part; the rest stays free below it.
            let rest = size - need;
            if rest > 0 {
                words.store(at, rest);
            }
            at + rest
        } else {
            let Some(at) = self.low.checked_sub(need).filter(|at| *at >= self.floor) else {
                self.refused = self.refused.saturating_add(1);
                return None;
            };
            self.low = at;
            self.lowest = self.lowest.min(at);
            at
        };
        words.store(at, need | USED);
        self.used += need;
        self.peak = self.peak.max(self.used);
        Some(at + HEADER)
    }

    /// Gives back what [`Heap::allocate`] gave.
    pub fn free(&mut self, words: &mut impl Words, position: u32) {
        let at = position.wrapping_sub(HEADER);
        let size = words.load(at) & !USED;
        words.store(at, size);
        self.used = self.used.wrapping_sub(size);
        self.sink(words);
    }

    /// Makes a block larger or smaller where it is; false: it can't be, and nothing changed.
    pub fn resize(&mut self, words: &mut impl Words, position: u32, bytes: u32) -> bool {
        let at = position.wrapping_sub(HEADER);
        let old = words.load(at) & !USED;
        let Some(need) = block(bytes) else {
            return false;
        };
        let mut size = old;
        while size < need {
            let next = at.wrapping_add(size);
            let header = if next < self.end {
                words.load(next)
            } else {
                USED
            };
            if header & USED != 0 || header == 0 {
                return false;
            }
            size += header;
        }
        if size > need {
            words.store(at + need, size - need);
        }
        words.store(at, need | USED);
        self.used = self.used.wrapping_add(need).wrapping_sub(old);
        self.peak = self.peak.max(self.used);
        true
    }

    /// Bytes that a block has room for.
    pub fn room(&self, words: &impl Words, position: u32) -> u32 {
        (words.load(position.wrapping_sub(HEADER)) & !USED).saturating_sub(HEADER)
    }

    /// Looks for the largest free block, which [`Heap::settle`] then counts.
    pub fn find_holes(&mut self, words: &impl Words) {
        self.hole = 0;
        let mut at = self.low;
        while at < self.end {
            let header = words.load(at);
            let size = header & !USED;
            if size == 0 {
                // Somebody wrote over it.
                return;
            }
            if header & USED == 0 {
                self.hole = self.hole.max(size);
            }
            at = at.saturating_add(size);
        }
    }

    /// Leaves the heap about `spare` bytes, in one piece within it or to grow by, and gives where what it will never use ends: a
    /// multiple of 8. Reads no header: what holes there are says [`Heap::find_holes`].
    pub fn settle(&mut self, spare: u32) -> u32 {
        let spare = if self.hole < spare { spare } else { 0 };
        let floor = self.low.saturating_sub(spare) / ALIGN * ALIGN;
        self.floor = self.floor.max(floor);
        self.floor
    }

    /// Bytes in use, with their headers.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Most bytes that were in use at a time.
    pub fn peak(&self) -> u32 {
        self.peak
    }

    /// Bytes from the lowest block that there ever was to the end: what the heap needed, with its holes.
    pub fn reach(&self) -> u32 {
        self.end.saturating_sub(self.lowest)
    }

    /// Bytes that could still be allocated in one piece by growing down.
    pub fn left(&self) -> u32 {
        self.low.saturating_sub(self.floor)
    }

    /// Requests that could not be met.
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// The highest free block with room for `need`, and its size. Joins free neighbours on the way.
    fn last_fit(&self, words: &mut impl Words, need: u32) -> Option<(u32, u32)> {
        let mut found = None;
        let mut at = self.low;
        while at < self.end {
            let header = words.load(at);
            let mut size = header & !USED;
            if size == 0 {
                // Somebody wrote over a header. Nothing sensible is left to do.
                return None;
            }
            if header & USED == 0 {
                let first = size;
                loop {
                    let next = at + size;
                    if next >= self.end {
                        break;
                    }
                    let header = words.load(next);
                    if header & USED != 0 || header == 0 {
                        break;
                    }
                    size += header;
                }
                if size != first {
                    words.store(at, size);
                }
                if size >= need {
                    found = Some((at, size));
                }
            }
            at = at.checked_add(size)?;
        }
        found
    }

    /// Free blocks at the bottom become part of the free piece again.
    fn sink(&mut self, words: &impl Words) {
        while self.low < self.end {
            let header = words.load(self.low);
            if header & USED != 0 || header == 0 {
                return;
            }
            self.low = self.low.saturating_add(header).min(self.end);
        }
    }
}

/// Bytes of the block for a payload of that many.
fn block(bytes: u32) -> Option<u32> {
    (bytes <= MAX).then(|| (bytes.max(1) + HEADER).next_multiple_of(ALIGN))
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    use super::*;

    struct Array(Vec<u32>);

    impl Words for Array {
        fn load(&self, at: u32) -> u32 {
            self.0[at as usize / 4]
        }

        fn store(&mut self, at: u32, word: u32) {
            self.0[at as usize / 4] = word;
        }
    }

    fn heap(bytes: u32) -> (Heap, Array) {
        (Heap::new(0, bytes), Array(vec![0; bytes as usize / 4]))
    }

    #[test]
    fn what_was_needed_for_a_moment_goes_back_to_the_free_piece() {
        let (mut heap, mut words) = heap(4096);
        let kept = heap.allocate(&mut words, 100).unwrap();
        let free = heap.left();
        let parts: Vec<u32> = (1..20)
            .map(|n| heap.allocate(&mut words, n * 7).unwrap())
            .collect();
        for part in parts {
            heap.free(&mut words, part);
        }
        assert_eq!(heap.left(), free);
        assert!(heap.reach() > 1000 && heap.used() == 104);
        heap.free(&mut words, kept);
        assert_eq!((heap.used(), heap.left()), (0, 4092));
    }

    #[test]
    fn a_hole_is_used_before_the_heap_grows() {
        let (mut heap, mut words) = heap(4096);
        let first = heap.allocate(&mut words, 200).unwrap();
        heap.allocate(&mut words, 8).unwrap();
        heap.free(&mut words, first);
        let left = heap.left();
        let again = heap.allocate(&mut words, 60).unwrap();
        assert_eq!(heap.left(), left);
        assert!(again > first, "the upper part of the hole");
        assert!(heap.allocate(&mut words, 120).is_some() && heap.left() == left);
    }

    #[test]
    fn a_block_grows_into_the_free_one_above_it_and_shrinks_where_it_is() {
        let (mut heap, mut words) = heap(4096);
        let above = heap.allocate(&mut words, 100).unwrap();
        let block = heap.allocate(&mut words, 20).unwrap();
        assert!(!heap.resize(&mut words, block, 100));
        heap.free(&mut words, above);
        assert!(heap.resize(&mut words, block, 100));
        assert!(heap.room(&words, block) >= 100);
        assert!(heap.resize(&mut words, block, 4));
        assert_eq!(heap.room(&words, block), 4);
        assert!(heap.allocate(&mut words, 100).unwrap() > block);
    }

    #[test]
    fn a_refusal_is_counted_and_changes_nothing() {
        let (mut heap, mut words) = heap(128);
        for bytes in [125, u32::MAX, MAX] {
            assert_eq!(heap.allocate(&mut words, bytes), None);
        }
        assert_eq!((heap.refused(), heap.used()), (3, 0));
        assert!(heap.allocate(&mut words, 116).is_some());
        assert_eq!(Heap::new(0, 3).allocate(&mut words, 1), None);
    }

    #[test]
    fn a_settled_heap_has_what_it_was_left_and_no_more() {
        let (mut heap, mut words) = heap(8192);
        heap.allocate(&mut words, 1000).unwrap();
        let floor = heap.settle(512);
        assert!(floor.is_multiple_of(8) && (512..520).contains(&heap.left()));
        assert!(heap.allocate(&mut words, 400).is_some());
        assert_eq!(heap.allocate(&mut words, 1000), None);
        assert_eq!(heap.settle(4096), floor, "it is not given back twice");
    }

    #[test]
    fn a_hole_that_is_large_enough_is_room_to_grow_by() {
        for (hole, left) in [(600, 0), (300, 512)] {
            let (mut heap, mut words) = heap(8192);
            let block = heap.allocate(&mut words, hole).unwrap();
            heap.allocate(&mut words, 1000).unwrap();
            heap.free(&mut words, block);
            heap.find_holes(&words);
            heap.settle(512);
            assert_eq!(heap.left() / 8 * 8, left, "a hole of {hole} bytes");
            assert!(heap.allocate(&mut words, 500).is_some());
        }
    }

    #[test]
    fn a_header_that_somebody_overwrote_is_the_end_of_it_and_of_nothing_else() {
        let (mut heap, mut words) = heap(256);
        heap.allocate(&mut words, 16).unwrap();
        heap.allocate(&mut words, 16).unwrap();
        words.0.fill(0);
        assert!(heap.allocate(&mut words, 16).is_some());
        let at = heap.low;
        words.store(at, 0xffff_fff8 | USED);
        heap.find_holes(&words);
        assert!(heap.allocate(&mut words, 16).is_some());
    }

    /// What a random program does: allocate so much, free or resize one of what it has.
    #[derive(Debug, Clone)]
    enum Step {
        Allocate(u32),
        Free(usize),
        Resize(usize, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..300_u32).prop_map(Step::Allocate),
            any::<usize>().prop_map(Step::Free),
            (any::<usize>(), 0..300_u32).prop_map(|(which, bytes)| Step::Resize(which, bytes)),
        ]
    }

    proptest! {
        #[test]
        fn blocks_never_overlap_and_nothing_is_lost(steps in prop::collection::vec(step(), 0..200)) {
            let (mut heap, mut words) = heap(4096);
            let mut live: Vec<(u32, u32)> = Vec::new();
            for step in steps {
                match step {
                    Step::Allocate(bytes) => {
                        if let Some(at) = heap.allocate(&mut words, bytes) {
                            prop_assert!(at % ALIGN == 0 && at + bytes <= 4096);
                            live.push((at, bytes));
                        }
                    }
                    Step::Free(which) if !live.is_empty() => {
                        let (at, _) = live.swap_remove(which % live.len());
                        heap.free(&mut words, at);
                    }
                    Step::Resize(which, bytes) if !live.is_empty() => {
                        let which = which % live.len();
                        if heap.resize(&mut words, live[which].0, bytes) {
                            live[which].1 = bytes;
                        }
                    }
                    _ => {}
                }
                let mut sorted = live.clone();
                sorted.sort_unstable();
                for pair in sorted.windows(2) {
                    prop_assert!(pair[0].0 + pair[0].1 + HEADER <= pair[1].0);
                }
                let used: u32 = live.iter().map(|(at, _)| heap.room(&words, *at) + HEADER).sum();
                prop_assert_eq!(used, heap.used());
            }
            for (at, _) in live {
                heap.free(&mut words, at);
            }
            prop_assert_eq!((heap.used(), heap.left()), (0, 4092));
        }
    }
}
