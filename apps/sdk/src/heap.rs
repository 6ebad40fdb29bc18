//! A small allocator in a fixed piece of static memory, for apps without `std`: `vyoma::main!(main, heap = 2048)`.
//!
//! Memory that was never used lies behind a mark that moves up; what is given back is kept in a list, in order of address,
//! and neighbours become one piece again. The first piece that is large enough serves. That is slow for thousands of pieces, and
//! small (some 500 bytes of code) and without overhead for the few that such an app has: a piece carries no header, since Rust tells its
//! size when it is given back. Nothing ever grows the linear memory.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};

/// Sizes and addresses are multiples of this: a free piece holds its size and the address of the next one.
const GRAIN: usize = size_of::<Piece>();

/// The head of a free piece, in the piece.
struct Piece {
    size: usize,
    next: Option<NonNull<Piece>>,
}

/// `SIZE` bytes of heap; a multiple of 8 is used.
pub struct Heap<const SIZE: usize>(UnsafeCell<State<SIZE>>);

/// All zeros at the beginning, so that it takes no room in the component.
#[repr(C, align(16))]
struct State<const SIZE: usize> {
    memory: [u8; SIZE],
    /// Bytes before the mark: the rest was never used, or has been given back.
    used: usize,
    /// The free pieces before the mark, in order of address. The last one doesn't touch the mark, and no two touch.
    free: Option<NonNull<Piece>>,
}

// SAFETY: a component has one thread, and the allocator calls nothing that allocates.
unsafe impl<const SIZE: usize> Sync for Heap<SIZE> {}

impl<const SIZE: usize> Heap<SIZE> {
    /// All of it free.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(State {
            memory: [0; SIZE],
            used: 0,
            free: None,
        }))
    }

    /// Bytes that are free, though perhaps not in one piece.
    pub fn free(&self) -> usize {
        // SAFETY: nobody else looks at the state meanwhile, and every piece in the list is free memory of this heap.
        unsafe {
            let state = &*self.0.get();
            let mut bytes = SIZE - state.used;
            let mut next = state.free;
            while let Some(piece) = next {
                bytes += piece.as_ref().size;
                next = piece.as_ref().next;
            }
            bytes
        }
    }
}

impl<const SIZE: usize> Default for Heap<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SIZE: usize> core::fmt::Debug for Heap<SIZE> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Heap({} of {SIZE} bytes free)", self.free())
    }
}

/// Rounds up; `grain` is a power of two, and the end of memory is far from the end of addresses.
fn up(value: usize, grain: usize) -> usize {
    value.wrapping_add(grain - 1) & grain.wrapping_neg()
}

impl<const SIZE: usize> State<SIZE> {
    fn start(&mut self) -> *mut u8 {
        (&raw mut self.memory).cast()
    }

    /// The size that serves `layout`, and its alignment; nothing when it is more than there can be.
    fn wanted(layout: Layout) -> Option<(usize, usize)> {
        // Without any heap, nothing of this is in the app.
        if SIZE == 0 {
            return None;
        }
        let size = up(layout.size().max(1), GRAIN);
        (size <= SIZE).then_some((size, layout.align().max(GRAIN)))
    }

    /// # Safety
    ///
    /// The list is as its comment says.
    unsafe fn take(&mut self, size: usize, align: usize) -> *mut u8 {
        let mut link = &raw mut self.free;
        // SAFETY: links are `self.free` or the `next` of a piece in the list, and pieces are free memory of this heap, aligned
        // to GRAIN. What is taken lies in the piece.
        unsafe {
            while let Some(piece) = *link {
                let Piece { size: there, next } = piece.read();
                let begin = piece.cast::<u8>().as_ptr();
                let before = up(begin.addr(), align) - begin.addr();
                if before + size <= there {
                    let taken = begin.add(before);
                    let after = there - before - size;
                    let mut rest = next;
                    if after > 0 {
                        rest = Some(Self::make(taken.add(size), after, next));
                    }
                    if before > 0 {
                        rest = Some(Self::make(begin, before, rest));
                    }
                    *link = rest;
                    return taken;
                }
                link = &raw mut (*piece.as_ptr()).next;
            }
            // None is large enough: from behind the mark. `link` is the end of the list.
            let start = self.start();
            let before = up(start.addr() + self.used, align) - start.addr() - self.used;
            if before + size > (SIZE & (GRAIN.wrapping_neg())) - self.used {
                return ptr::null_mut();
            }
            if before > 0 {
                *link = Some(Self::make(start.add(self.used), before, None));
            }
            let taken = start.add(self.used + before);
            self.used += before + size;
            taken
        }
    }

    /// # Safety
    ///
    /// The list is as its comment says, and this memory came from [`State::take`] with that size.
    unsafe fn give_back(&mut self, given: *mut u8, mut size: usize) {
        let mut begin = given;
        let mut link = &raw mut self.free;
        // The link to the piece before, if that touches what is given back.
        let mut touching = ptr::null_mut::<Option<NonNull<Piece>>>();
        // SAFETY: as in `take`; what is given back is nobody's now.
        unsafe {
            while let Some(piece) = *link {
                if piece.cast::<u8>().as_ptr() > begin {
                    break;
                }
                if piece.cast::<u8>().as_ptr().add(piece.as_ref().size) == begin {
                    touching = link;
                }
                link = &raw mut (*piece.as_ptr()).next;
            }
            let mut next = *link;
            if let Some(piece) = next
                && begin.add(size) == piece.cast::<u8>().as_ptr()
            {
                size += piece.as_ref().size;
                next = piece.as_ref().next;
            }
            if !touching.is_null()
                && let Some(piece) = *touching
            {
                begin = piece.cast::<u8>().as_ptr();
                size += piece.as_ref().size;
                link = touching;
            }
            let offset = begin.addr() - self.start().addr();
            if offset + size == self.used {
                self.used = offset;
                *link = None;
            } else {
                *link = Some(Self::make(begin, size, next));
            }
        }
    }

    /// Writes the head of a free piece.
    ///
    /// # Safety
    ///
    /// `begin` is aligned to GRAIN, not null, and the first of `size` bytes that are free; `size` is a multiple of GRAIN.
    unsafe fn make(begin: *mut u8, size: usize, next: Option<NonNull<Piece>>) -> NonNull<Piece> {
        #[expect(clippy::cast_ptr_alignment, reason = "the caller vouches for it")]
        let piece = begin.cast::<Piece>();
        // SAFETY: the caller's.
        unsafe {
            piece.write(Piece { size, next });
            NonNull::new_unchecked(piece)
        }
    }
}

// SAFETY: pieces don't overlap, are as large and as aligned as asked for, and stay until they are given back.
unsafe impl<const SIZE: usize> GlobalAlloc for Heap<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((size, align)) = State::<SIZE>::wanted(layout) else {
            return ptr::null_mut();
        };
        // SAFETY: nobody else has the state meanwhile: see `Sync`.
        unsafe { (*self.0.get()).take(size, align) }
    }

    unsafe fn dealloc(&self, given: *mut u8, layout: Layout) {
        let Some((size, _)) = State::<SIZE>::wanted(layout) else {
            return;
        };
        // SAFETY: nobody else has the state meanwhile; the caller gives back what it got with this layout.
        unsafe { (*self.0.get()).give_back(given, size) }
    }

    unsafe fn realloc(&self, given: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller vouches for the layouts, and that `given` has `layout`; nobody else has the state meanwhile.
        unsafe {
            let new = Layout::from_size_align_unchecked(new_size, layout.align());
            let (Some((old, _)), Some((wanted, align))) =
                (State::<SIZE>::wanted(layout), State::<SIZE>::wanted(new))
            else {
                return ptr::null_mut();
            };
            if wanted == old {
                return given;
            }
            let state = &mut *self.0.get();
            if wanted < old {
                state.give_back(given.add(wanted), old - wanted);
                return given;
            }
            // The last piece before the mark grows where it is.
            let end = given.addr() - state.start().addr() + old;
            if end == state.used && wanted - old <= (SIZE & GRAIN.wrapping_neg()) - end {
                state.used += wanted - old;
                return given;
            }
            let moved = state.take(wanted, align);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(given, moved, layout.size());
                state.give_back(given, old);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 4096;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// xorshift
    fn random(state: &mut u32) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        *state as usize
    }

    #[test]
    fn what_is_given_back_serves_again_and_in_the_end_all_is_one_piece() {
        for seed in 1..200 {
            let heap = Heap::<SIZE>::new();
            let mut state = seed;
            let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
            for step in 0..2000_u32 {
                let choice = random(&mut state) % 8;
                if choice < 4 {
                    let wanted =
                        layout(1 + random(&mut state) % 200, 1 << (random(&mut state) % 7));
                    // SAFETY: the size is not 0.
                    let got = unsafe { heap.alloc(wanted) };
                    if got.is_null() {
                        continue;
                    }
                    assert_eq!(got.addr() % wanted.align(), 0);
                    let mark = step as u8;
                    // SAFETY: that is what was asked for.
                    unsafe { got.write_bytes(mark, wanted.size()) };
                    live.push((got, wanted, mark));
                } else if !live.is_empty() {
                    let index = random(&mut state) % live.len();
                    let (piece, had, mark) = live.swap_remove(index);
                    // SAFETY: it is live, with that layout.
                    unsafe {
                        let bytes = core::slice::from_raw_parts(piece, had.size());
                        assert!(
                            bytes.iter().all(|byte| *byte == mark),
                            "seed {seed}: two pieces overlap"
                        );
                        if choice < 6 {
                            heap.dealloc(piece, had);
                            continue;
                        }
                        let new = layout(1 + random(&mut state) % 300, had.align());
                        let moved = heap.realloc(piece, had, new.size());
                        if moved.is_null() {
                            live.push((piece, had, mark));
                            continue;
                        }
                        assert_eq!(moved.addr() % had.align(), 0);
                        let kept = core::slice::from_raw_parts(moved, had.size().min(new.size()));
                        assert!(
                            kept.iter().all(|byte| *byte == mark),
                            "seed {seed}: lost in moving"
                        );
                        moved.write_bytes(mark, new.size());
                        live.push((moved, new, mark));
                    }
                }
            }
            for (piece, had, _) in live {
                // SAFETY: it is live, with that layout.
                unsafe { heap.dealloc(piece, had) };
            }
            assert_eq!(heap.free(), SIZE);
            // SAFETY: the size is not 0.
            let all = unsafe { heap.alloc(layout(SIZE, 16)) };
            assert!(!all.is_null(), "seed {seed}: what is free is not one piece");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_lost() {
        let heap = Heap::<64>::new();
        for size in [65, 1 << 20, isize::MAX as usize - 64] {
            // SAFETY: the size is not 0.
            assert!(unsafe { heap.alloc(layout(size, 1)) }.is_null());
        }
        assert_eq!(heap.free(), 64);
        let nothing = Heap::<0>::new();
        // SAFETY: the size is not 0.
        assert!(unsafe { nothing.alloc(layout(1, 1)) }.is_null());
    }

    #[test]
    fn the_last_piece_grows_where_it_is() {
        let heap = Heap::<1024>::new();
        // SAFETY: sizes are not 0, and each piece is live with the layout that it has.
        unsafe {
            let first = heap.alloc(layout(16, 1));
            let piece = heap.alloc(layout(16, 1));
            assert_eq!(heap.realloc(piece, layout(16, 1), 512), piece);
            heap.dealloc(first, layout(16, 1));
            assert_eq!(heap.realloc(piece, layout(512, 1), 16), piece);
            assert_eq!(heap.free(), 1024 - 16);
        }
    }
}
