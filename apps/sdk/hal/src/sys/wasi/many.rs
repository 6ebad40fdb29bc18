//! Transactions of several operations: as a list of variants for the host, and the lists that come back. Without a heap, so there
//! are at most so many operations and bytes (`Bus::MOST_OPERATIONS`, `Bus::MOST_READ`).

use core::marker::PhantomData;
use core::ops::Range;
use core::{ptr, slice};

use vyoma::__private::{free, receive};

use super::{Answer, TEXT};

/// Operations at most.
const MOST: usize = crate::i2c::Bus::MOST_OPERATIONS;
/// Bytes that are read at most.
const MOST_READ: usize = crate::i2c::Bus::MOST_READ;
/// What the largest element of a list of results takes.
const RESULT: usize = 12;

/// One operation.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// Reads so many bytes.
    Read(usize),
    /// Writes, and reads so many bytes meanwhile: none, or as many.
    Write(usize, &'a [u8]),
    /// Waits so many nanoseconds.
    Delay(u32),
}

/// `variant operation`: 16 bytes, aligned to 8, the payload at byte 8.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Operation {
    /// One byte, the lowest; the rest is padding.
    tag: u64,
    payload: [u32; 2],
}

const _: () =
    assert!(size_of::<Operation>() == 16 && core::mem::offset_of!(Operation, payload) == 8);

/// Where the host puts results: aligned as lists of addresses are.
#[repr(C, align(4))]
struct Place([u8; MOST_READ + MOST * RESULT + TEXT]);

/// What is to be done at once.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    operations: [Operation; MOST],
    used: usize,
    read: usize,
}

impl Transaction {
    /// One more; `None` when it is one too many.
    pub(super) fn add(&mut self, kind: Kind<'_>) -> Option<()> {
        let (tag, read, payload) = match kind {
            // A 64-bit number.
            Kind::Read(length) => (0, length, [length as u32, 0]),
            Kind::Write(read, bytes) => {
                let tag = if read == 0 { 1 } else { 2 };
                (
                    tag,
                    read,
                    [
                        bytes.as_ptr().expose_provenance() as u32,
                        bytes.len() as u32,
                    ],
                )
            }
            Kind::Delay(nanoseconds) => (3, 0, [nanoseconds, 0]),
        };
        self.read += read;
        if self.read > MOST_READ {
            return None;
        }
        *self.operations.get_mut(self.used)? = Operation { tag, payload };
        self.used += 1;
        Some(())
    }

    /// Calls the host with address and number of the operations, and a place for the result: of `result<list<T>, error>`, where `T`
    /// has `size` bytes. `take` is told what came of it, and the list.
    pub(super) fn make<O>(
        &self,
        size: usize,
        call: impl FnOnce(*const u8, usize, *mut u8),
        take: impl FnOnce(&Answer, Results<'_>) -> O,
    ) -> O {
        let mut place = Place([0; _]);
        let room = place.0.as_ptr_range();
        let room = room.start.addr()..room.end.addr();
        let mut answer = Answer::default();
        receive(&mut place.0, || {
            call(
                self.operations.as_ptr().cast(),
                self.used,
                answer.0.as_mut_ptr(),
            );
        });
        let (start, length) = if answer.is_err() {
            (0, 0)
        } else {
            answer.list(4)
        };
        let results = Results {
            start,
            length,
            size,
            next: 0,
            room,
            place: PhantomData,
        };
        take(&answer, results)
    }
}

/// A list of lists, or of variants that have a list.
pub(super) struct Results<'a> {
    start: usize,
    length: usize,
    size: usize,
    next: usize,
    /// Where lists are that nobody has to free.
    room: Range<usize>,
    place: PhantomData<&'a Place>,
}

impl Results<'_> {
    /// Copies the bytes of the next element, if it has any.
    pub(super) fn next_into(&mut self, into: &mut [u8]) {
        if self.next == self.length {
            return;
        }
        let at = self.start + self.next * self.size;
        self.next += 1;
        // SAFETY: the host wrote `length` elements of `size` bytes from `start` on: addresses and lengths of lists of bytes, after
        // a tag if they have one. They are in `place`, or were allocated for this call and not freed.
        unsafe {
            let element = ptr::with_exposed_provenance::<u8>(at);
            let tagged = self.size == RESULT;
            // Cases 0 and 2 of `operation-result` have a list.
            if tagged && element.read() % 2 == 1 {
                return;
            }
            let list = element.add(if tagged { 4 } else { 0 });
            let word = |place: usize| list.add(place).cast::<[u8; 4]>().read();
            let [start, length] = [word(0), word(4)].map(|word| u32::from_le_bytes(word) as usize);
            let bytes = slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(start), length);
            for (byte, got) in into.iter_mut().zip(bytes) {
                *byte = *got;
            }
            self.free(start, length, 1);
        }
    }

    /// # Safety
    ///
    /// The list was handed over by the host, and nobody looks at it any more.
    unsafe fn free(&self, start: usize, size: usize, align: usize) {
        if size > 0 && !self.room.contains(&start) {
            // SAFETY: the caller's; it is not in `place`, so it was allocated for this call.
            unsafe { free(start, size, align) };
        }
    }
}

impl Drop for Results<'_> {
    fn drop(&mut self) {
        while self.next < self.length {
            self.next_into(&mut []);
        }
        // SAFETY: the elements have been freed, and nobody looks at the list after this.
        unsafe { self.free(self.start, self.length * self.size, 4) };
    }
}
