//! Calls to the firmware, as functions.

use core::arch::asm;
use core::fmt::{self, Write};

use crate::calls::{Call, End};
use crate::memory;

/// Makes a call. The firmware reads and writes only where this app may, so that there is nothing that it could break beyond
/// what the caller names.
pub(super) fn call(call: Call, arguments: [u32; 3]) -> (u32, u32) {
    let [one, two, three] = arguments;
    let (mut low, mut high) = (call as u32, one);
    // SAFETY: all registers but the two results come back as they were; memory that the arguments name may change.
    unsafe {
        asm!("svc 0", inlateout("r0") low, inlateout("r1") high, in("r2") two, in("r3") three);
    }
    (low, high)
}

/// Ends the app.
pub(super) fn end(how: End, code: u32, length: u32) -> ! {
    loop {
        call(Call::End, [how as u32, code, length]);
    }
}

/// Ends the app, with words.
pub(super) fn end_with(how: End, text: &str) -> ! {
    end(how, text.as_ptr().addr() as u32, text.len() as u32)
}

/// Ends the app with formatted words, as many as there is room for on the stack: there may be no memory.
pub(super) fn end_formatted(how: End, text: fmt::Arguments<'_>) -> ! {
    let mut line = Line {
        bytes: [0; 160],
        length: 0,
    };
    let _ = line.write_fmt(text);
    end(how, line.bytes.as_ptr().addr() as u32, line.length as u32)
}

/// A panic in an app's host functions, or memory that ran out where that can't be told otherwise.
pub(crate) fn panicked() -> ! {
    if memory::was_refused() {
        // An allocation that failed is a panic: see alloc's `handle_alloc_error`.
        end(End::Memory, 0, 0);
    }
    end_with(End::Trap, "host panicked")
}

struct Line {
    bytes: [u8; 160],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let text = &text[..text.floor_char_boundary(self.bytes.len() - self.length)];
        self.bytes[self.length..][..text.len()].copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}
