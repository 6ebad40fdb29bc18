//! A small allocator in a fixed piece of static memory, for apps without `std`.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

/// `SIZE` bytes of heap.
#[derive(Debug)]
pub struct Heap<const SIZE: usize> {
    memory: UnsafeCell<[u8; SIZE]>,
}

impl<const SIZE: usize> Heap<SIZE> {
    /// All of it free.
    pub const fn new() -> Self {
        Self {
            memory: UnsafeCell::new([0; SIZE]),
        }
    }
}
unsafe impl<const SIZE: usize> Sync for Heap<SIZE> {}
unsafe impl<const SIZE: usize> GlobalAlloc for Heap<SIZE> {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
