//! Where things are, and who allocates where: the linker script's regions, and the one global allocator.
//!
//! There is a heap for the firmware itself and one in each app's arena. While an app runs, everything that allocates (host
//! functions in Rust, wasm3 in C) is served from that app's arena, because it runs on behalf of the app; so no app can use
//! up another's memory or the firmware's. [`Turn`] says whose turn it is; it is the one thing outside of its arena that an
//! app can see, and it can't change it.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ops::Range;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use vyoma_mcu_core::arena::{Heap, Words};

macro_rules! region {
    ($(#[$documentation:meta])* $name:ident = $start:ident, $end:ident) => {
        $(#[$documentation])*
        pub(crate) fn $name() -> Range<u32> {
            unsafe extern "C" {
                static $start: u8;
                static $end: u8;
            }
            // Addresses of symbols that the linker script defines; nothing is read.
            (&raw const $start).addr() as u32..(&raw const $end).addr() as u32
        }
    };
}

region! {
    /// The firmware's flash.
    flash = __flash_start, __flash_end
}
region! {
    /// The apps' flash.
    apps = __apps_start, __apps_end
}
region! {
    /// What apps' arenas are cut from.
    pool = __pool_start, __pool_end
}
region! {
    /// The stack of an app that is being loaded.
    loader = __loader_start, __loader_end
}
region! {
    /// The firmware's heap.
    firmware_heap = __heap_start, __heap_end
}
region! {
    /// The firmware's stack.
    firmware_stack = _stack_end, _stack_start
}
region! {
    /// The firmware's statics.
    statics = __sdata, __euninit
}

/// The apps' flash, as bytes.
pub(crate) fn flash_bytes() -> &'static [u8] {
    let range = apps();
    // SAFETY: the linker script's region, readable memory that starts on a word. What changes in it, the store changes, which
    // gives up no place that somebody still reads.
    unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance(range.start as usize),
            (range.end - range.start) as usize,
        )
    }
}

/// A heap and where it is.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Space {
    heap: Heap,
    /// Address of the arena's first byte, which is what the heap counts from.
    base: u32,
}

/// Whose turn it is. Alone in its own 32 bytes, the smallest that the protection unit can show to an app.
#[repr(C, align(32))]
struct Turn {
    /// The heap of the app that runs; null while the firmware itself does.
    space: AtomicPtr<Space>,
    rest: [u32; 7],
}

static TURN: Turn = Turn {
    space: AtomicPtr::new(null_mut()),
    rest: [0; 7],
};

/// Where [`Turn`] is.
pub(crate) fn turn() -> Range<u32> {
    let start = (&raw const TURN).addr() as u32;
    start..start + size_of::<Turn>() as u32
}

/// Whether the app that runs was refused memory.
pub(crate) fn was_refused() -> bool {
    let space = TURN.space.load(Ordering::Relaxed);
    // SAFETY: while an app runs this is its own space, and nothing changes it meanwhile.
    unsafe { space.as_ref() }.is_some_and(|space| space.heap.refused() > 0)
}

/// Whether an app runs, or the firmware itself.
pub(crate) fn in_app() -> bool {
    !TURN.space.load(Ordering::Relaxed).is_null()
}

/// From now on allocations are an app's, whose [`Space`] is at that address; 0: the firmware's.
pub(crate) fn set_turn(space: u32) {
    let space = core::ptr::with_exposed_provenance_mut(space as usize);
    TURN.space.store(space, Ordering::Relaxed);
}

/// Bytes of a [`Space`], which lies at the top of each arena.
pub(crate) const SPACE_BYTES: u32 = (size_of::<Space>() as u32).next_multiple_of(8);

impl Space {
    /// A heap in `range` from `floor` on, with this structure itself at the end of it.
    pub(crate) fn new(range: &Range<u32>, floor: u32) -> Self {
        Self {
            heap: Heap::new(floor - range.start, range.end - range.start - SPACE_BYTES),
            base: range.start,
        }
    }

    /// What the heap says about itself.
    pub(crate) fn heap(&self) -> &Heap {
        &self.heap
    }

    /// The address below which the heap needs nothing any more when it gets `spare` bytes to grow by: a multiple of 8, so
    /// that a stack can be there.
    pub(crate) fn settle(&mut self, spare: u32) -> u32 {
        self.base.wrapping_add(self.heap.settle(spare))
    }

    fn allocate(&mut self, bytes: u32) -> *mut u8 {
        let mut words = Headers(self.base);
        self.heap
            .allocate(&mut words, bytes)
            .map_or(null_mut(), |at| self.pointer(at))
    }

    fn free(&mut self, pointer: *mut u8) {
        let position = self.position(pointer);
        self.heap.free(&mut Headers(self.base), position);
    }

    fn reallocate(&mut self, pointer: *mut u8, bytes: u32) -> *mut u8 {
        let position = self.position(pointer);
        let mut words = Headers(self.base);
        if self.heap.resize(&mut words, position, bytes) {
            return pointer;
        }
        let Some(new) = self.heap.allocate(&mut words, bytes) else {
            return null_mut();
        };
        let kept = self.heap.room(&words, position).min(bytes);
        let new = self.pointer(new);
        // SAFETY: both are blocks of this heap, and different ones.
        unsafe { core::ptr::copy_nonoverlapping(pointer, new, kept as usize) };
        self.heap.free(&mut words, position);
        new
    }

    fn pointer(&self, position: u32) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut((self.base + position) as usize)
    }

    fn position(&self, pointer: *mut u8) -> u32 {
        (pointer.addr() as u32).wrapping_sub(self.base)
    }
}

/// The headers of a heap, by its base.
struct Headers(u32);

impl Headers {
    fn at(&self, position: u32) -> *mut u32 {
        core::ptr::with_exposed_provenance_mut(self.0.wrapping_add(position & !3) as usize)
    }
}

impl Words for Headers {
    fn load(&self, at: u32) -> u32 {
        // SAFETY: a header of the heap, or wherever an app that overwrote its headers points to: then it runs unprivileged
        // and faults. The firmware's heap has its headers where they belong.
        unsafe { self.at(at).read_volatile() }
    }

    fn store(&mut self, at: u32, word: u32) {
        // SAFETY: as above.
        unsafe { self.at(at).write_volatile(word) }
    }
}

/// Finds out what room there is within the heap of the app that runs: it needs so much less to grow by.
pub(crate) fn find_holes() {
    with_space(|space| {
        let words = Headers(space.base);
        space.heap.find_holes(&words);
    });
}

/// The firmware's own heap.
struct Own(UnsafeCell<Option<Space>>);

// SAFETY: used by the executor only, which is one thread; interrupts do not allocate.
unsafe impl Sync for Own {}

static OWN: Own = Own(UnsafeCell::new(None));

/// Runs `function` on the heap of whoever runs.
fn with_space<T>(function: impl FnOnce(&mut Space) -> T) -> T {
    let app = TURN.space.load(Ordering::Relaxed);
    // SAFETY: an app's space lies in its arena and is used while it runs only; the firmware's is used by the executor only.
    // Neither function here calls the allocator again.
    let space = unsafe {
        match app.as_mut() {
            Some(space) => space,
            None => (*OWN.0.get()).get_or_insert_with(|| {
                let range = firmware_heap();
                let range = range.start.next_multiple_of(8)..range.end;
                Space::new(&range, range.start)
            }),
        }
    };
    function(space)
}

/// The firmware's heap: bytes in use, most bytes that were, bytes in all.
pub(crate) fn firmware_heap_use() -> (u32, u32, u32) {
    let range = firmware_heap();
    with_space(|space| {
        let heap = space.heap();
        (heap.used(), heap.reach(), range.end - range.start)
    })
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Largest alignment that anything here asks for.
const MAX_ALIGN: usize = 8;

// SAFETY: blocks are disjoint, aligned to 8 bytes and stay until they are freed (vyoma_mcu_core::arena and its tests).
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > MAX_ALIGN {
            return null_mut();
        }
        with_space(|space| space.allocate(layout.size() as u32))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        with_space(|space| space.free(pointer));
    }

    unsafe fn realloc(&self, pointer: *mut u8, _: Layout, bytes: usize) -> *mut u8 {
        with_space(|space| space.reallocate(pointer, bytes as u32))
    }
}

/// The C library's functions for memory, for wasm3.
mod c {
    use super::{null_mut, with_space};

    #[unsafe(no_mangle)]
    extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
        let Some(bytes) = count.checked_mul(size) else {
            return null_mut();
        };
        let pointer = with_space(|space| space.allocate(bytes as u32));
        if !pointer.is_null() {
            // SAFETY: a block of so many bytes.
            unsafe { pointer.write_bytes(0, bytes) };
        }
        pointer
    }

    #[unsafe(no_mangle)]
    extern "C" fn malloc(bytes: usize) -> *mut u8 {
        with_space(|space| space.allocate(bytes as u32))
    }

    #[unsafe(no_mangle)]
    extern "C" fn realloc(pointer: *mut u8, bytes: usize) -> *mut u8 {
        if pointer.is_null() {
            return malloc(bytes);
        }
        with_space(|space| space.reallocate(pointer, bytes as u32))
    }

    #[unsafe(no_mangle)]
    extern "C" fn free(pointer: *mut u8) {
        if !pointer.is_null() {
            with_space(|space| space.free(pointer));
        }
    }
}
