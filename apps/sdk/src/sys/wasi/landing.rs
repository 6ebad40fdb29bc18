//! Where lists land that the host hands over. It asks the guest's `cabi_realloc` for room; here that is the caller's buffer, so
//! neither a heap nor a copy is needed. In a program with `std` the C library's `cabi_realloc` answers instead; what it
//! allocated is copied and freed.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::imports::List;

/// The room that is left: address of its first byte, and of the byte after it.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// What lists consist of here: plain numbers, valid whatever their bits.
pub(super) trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u32 {}

/// Calls `get` with room for lists in `buffer`; what its list holds then stands at the beginning of `buffer`. Tells how many.
pub(super) fn list<T: Plain>(
    buffer: &mut [T],
    get: impl FnOnce() -> Option<List>,
) -> Option<usize> {
    let room = open(buffer);
    let list = get();
    close();
    let list = list?;
    let count = list.length.min(buffer.len());
    if list.start != room && count > 0 {
        // SAFETY: the list was allocated by the C library's `cabi_realloc` for this call, for that many of `T`, from the heap that
        // `std`'s allocator uses too; nobody else knows of it.
        unsafe {
            let start = ptr::with_exposed_provenance_mut::<T>(list.start);
            ptr::copy_nonoverlapping(start, buffer.as_mut_ptr(), count);
            let size = list.length.wrapping_mul(size_of::<T>());
            alloc::alloc::dealloc(
                start.cast(),
                Layout::from_size_align_unchecked(size, align_of::<T>()),
            );
        }
    }
    Some(count)
}

/// [`list`] of bytes, for other crates of the SDK; a list is its address and length.
pub fn received(buffer: &mut [u8], get: impl FnOnce() -> Option<(usize, usize)>) -> Option<usize> {
    list(buffer, || {
        let (start, length) = get()?;
        Some(List { start, length })
    })
}

/// Calls `get` while several lists land in `buffer`. With `std` they don't: see [`free`].
pub fn receive(buffer: &mut [u8], get: impl FnOnce()) {
    open(buffer);
    get();
    close();
}

/// Frees a list that did not land where it should, since the C library's `cabi_realloc` answered.
///
/// # Safety
///
/// The host handed it over, with that size and alignment, and nobody looks at it any more.
pub unsafe fn free(start: usize, size: usize, align: usize) {
    // SAFETY: the caller's; such lists are allocated from the heap that `std`'s allocator uses too.
    unsafe {
        let layout = Layout::from_size_align_unchecked(size, align);
        alloc::alloc::dealloc(ptr::with_exposed_provenance_mut(start), layout);
    }
}

/// From now on lists land in `buffer`; its address.
pub(super) fn open<T: Plain>(buffer: &mut [T]) -> usize {
    let range = buffer.as_mut_ptr_range();
    let room = range.start.expose_provenance();
    START.store(room, Relaxed);
    END.store(range.end.addr(), Relaxed);
    room
}

/// No list lands any more.
pub(super) fn close() {
    END.store(0, Relaxed);
    START.store(0, Relaxed);
}

/// Takes room from the landing place; null when it has not enough.
fn take(align: usize, length: usize) -> *mut u8 {
    // Alignments are powers of two, and the end of memory is far from the end of addresses.
    let start = START.load(Relaxed).wrapping_add(align.wrapping_sub(1)) & align.wrapping_neg();
    let end = start.wrapping_add(length);
    if end > END.load(Relaxed) || end < start {
        return ptr::null_mut();
    }
    START.store(end, Relaxed);
    ptr::with_exposed_provenance_mut(start)
}

/// `cabi_realloc` of an app without `std` ([`crate::main!`] exports it).
///
/// # Safety
///
/// As the canonical ABI has it: `old`, when `old_length` isn't 0, came from here with that length and alignment.
pub unsafe fn realloc(old: *mut u8, old_length: usize, align: usize, length: usize) -> *mut u8 {
    if old_length == 0 && length == 0 {
        return ptr::without_provenance_mut(align);
    }
    let mut room = take(align, length);
    if room.is_null() {
        // SAFETY: alignments of the canonical ABI are powers of two, and the length is not 0.
        room = unsafe { alloc::alloc::alloc(Layout::from_size_align_unchecked(length, align)) };
        if room.is_null() {
            // The canonical ABI lets a guest call nobody from here, so there are no last words.
            super::trap();
        }
    }
    if old_length > 0 {
        // SAFETY: both are valid for the shorter length and don't overlap. The old room is not given back: hosts don't grow
        // lists in UTF-8, so this serves only a host that does.
        unsafe { ptr::copy_nonoverlapping(old, room, old_length.min(length)) };
    }
    room
}
