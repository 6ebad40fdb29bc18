//! The memory that apps' arenas share, and which pieces of it are free.
//!
//! Arenas are taken from the top of a free piece, so that what is left stays in one piece as long as apps only come.
//! Only ranges of addresses here; nobody's memory is touched.

use core::ops::Range;

/// The pool of at most `N` arenas at a time.
#[derive(Debug, Clone)]
pub struct Pool<const N: usize> {
    whole: Range<u32>,
    arenas: [Option<Range<u32>>; N],
}

impl<const N: usize> Pool<N> {
    /// All of `whole` is free.
    pub const fn new(whole: Range<u32>) -> Self {
        Self {
            whole,
            arenas: [const { None }; N],
        }
    }

    /// The largest free piece; empty when there is none.
    pub fn largest(&self) -> Range<u32> {
        self.pieces()
            .max_by_key(|piece| piece.end - piece.start)
            .unwrap_or(self.whole.start..self.whole.start)
    }

    /// The top `bytes` of the smallest free piece that has them.
    pub fn fitting(&self, bytes: u32) -> Option<Range<u32>> {
        self.pieces()
            .filter(|piece| piece.end - piece.start >= bytes)
            .min_by_key(|piece| piece.end - piece.start)
            .map(|piece| piece.end - bytes..piece.end)
    }

    /// Takes `range`, which lies in a free piece; false when it does not, or when there are `N` arenas already.
    pub fn take(&mut self, range: Range<u32>) -> bool {
        let free = self
            .pieces()
            .any(|piece| piece.start <= range.start && range.end <= piece.end);
        let place = self.arenas.iter_mut().find(|arena| arena.is_none());
        match place {
            Some(place) if free => *place = Some(range),
            _ => return false,
        }
        true
    }

    /// Gives back the arena that begins there.
    pub fn give_back(&mut self, start: u32) {
        for arena in &mut self.arenas {
            if arena.as_ref().is_some_and(|range| range.start == start) {
                *arena = None;
            }
        }
    }

    /// All free bytes, in however many pieces.
    pub fn free(&self) -> u32 {
        self.pieces().map(|piece| piece.end - piece.start).sum()
    }

    /// Bytes of the pool.
    pub fn size(&self) -> u32 {
        self.whole.end - self.whole.start
    }

    /// The free pieces, none of them empty: each ends where an arena, or the pool, does.
    fn pieces(&self) -> impl Iterator<Item = Range<u32>> {
        let starts = core::iter::once(self.whole.start)
            .chain(self.arenas.iter().flatten().map(|arena| arena.end));
        starts
            .map(|start| {
                let end = self
                    .arenas
                    .iter()
                    .flatten()
                    .map(|arena| arena.start)
                    .filter(|end| *end >= start)
                    .min()
                    .unwrap_or(self.whole.end);
                start..end
            })
            .filter(|piece| !piece.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arenas_come_from_the_top_and_what_is_left_stays_in_one_piece() {
        let mut pool: Pool<3> = Pool::new(1000..2000);
        let first = pool.fitting(300).unwrap();
        assert_eq!(first, 1700..2000);
        assert!(pool.take(first));
        assert!(pool.take(1500..1700));
        assert_eq!(pool.largest(), 1000..1500);
        assert_eq!(pool.free(), 500);
        assert_eq!(pool.fitting(501), None);
    }

    #[test]
    fn an_arena_that_was_given_back_is_the_first_choice_of_whoever_just_fits() {
        let mut pool: Pool<3> = Pool::new(0..1000);
        for range in [800..1000, 600..800, 500..600] {
            assert!(pool.take(range));
        }
        assert!(!pool.take(0..100), "no fourth");
        pool.give_back(600);
        assert_eq!(pool.fitting(200), Some(600..800));
        assert_eq!(pool.fitting(201), Some(299..500));
        assert_eq!(pool.free(), 700);
        assert!(!pool.take(550..650), "taken in part");
        pool.give_back(500);
        assert_eq!(pool.largest(), 0..800);
    }

    #[test]
    fn a_full_pool_has_no_piece() {
        let mut pool: Pool<1> = Pool::new(0..100);
        assert!(pool.take(0..100));
        assert_eq!(
            (pool.largest(), pool.fitting(1), pool.free()),
            (0..0, None, 0)
        );
    }
}
