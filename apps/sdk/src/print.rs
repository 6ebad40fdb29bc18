//! Printing: lines that are put together in a small buffer and written with one call of the host.
//!
//! The macros ([`print!`](crate::print!), [`println!`](crate::println!), [`eprint!`](crate::eprint!),
//! [`eprintln!`](crate::eprintln!), [`log!`](crate::log!), [`send!`](crate::send!), [`reply!`](crate::reply!),
//! [`broadcast!`](crate::broadcast!)) take `std`'s format strings apart while compiling. What implements [`Show`] is then printed
//! by a few hundred bytes of code; other types go through `core::fmt`, which costs kilobytes (with floats: twenty).
//!
//! Errors are swallowed: without `stdio = true` in the manifest output goes nowhere, and there is nowhere to say so.

use core::fmt;

use crate::sys;
pub use crate::sys::Stream;

mod marks;
mod number;
mod values;

pub use number::Number;
pub use values::Show;
#[doc(hidden)]
pub use values::{ByDisplay, ByShow, NumberByDisplay, NumberByShow, Value};

/// Bytes of a line that are collected before they are written; what is longer takes more calls. It lies on the stack.
const BUFFER: usize = 64;

/// Text that is being printed. It is written when its buffer is full and at its end.
#[derive(Debug)]
pub struct Line {
    stream: Stream,
    /// Absent: any byte goes straight into the buffer. A function, so that an app has only the code of what it prints.
    filter: Option<fn(&mut Line, u8)>,
    /// What the filter of log text has seen.
    seen: marks::Seen,
    used: usize,
    buffer: [u8; BUFFER],
}

impl Line {
    /// Begins to print to a stream.
    pub fn new(stream: Stream) -> Self {
        Self::filtered(stream, None)
    }

    /// Begins log text: a line of it that would be taken for a message is indented by one space.
    pub fn log() -> Self {
        Self::filtered(Stream::Out, Some(marks::filter))
    }

    /// Begins a message to the app of that name. Line ends inside become spaces: one message is one line.
    pub fn message(target: &str) -> Self {
        let mut line = Self::filtered(Stream::Out, None);
        line.text("@");
        line.text(target);
        line.text(": ");
        line.filter = Some(|line, byte| {
            line.push(if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                byte
            })
        });
        line
    }

    #[inline(always)]
    fn filtered(stream: Stream, filter: Option<fn(&mut Line, u8)>) -> Self {
        Self {
            stream,
            filter,
            seen: marks::Seen::default(),
            used: 0,
            buffer: [0; BUFFER],
        }
    }

    /// For the macro `write`, which takes a line or a reference to one.
    #[doc(hidden)]
    pub fn borrowed(&mut self) -> &mut Self {
        self
    }

    /// Adds text.
    #[inline(never)]
    pub fn text(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            self.byte(byte);
        }
    }

    /// Adds what only `core::fmt` can print.
    pub fn formatted(&mut self, text: fmt::Arguments<'_>) {
        // `write_str` never fails; a type whose `fmt` does has printed what it could.
        let _ = fmt::write(self, text);
    }

    /// Writes what is left.
    pub fn end(&mut self) {
        if self.filter.is_some() {
            marks::end(self);
        }
        self.flush();
    }

    /// Ends a message: with the end of its line.
    pub fn send(&mut self) {
        self.push(b'\n');
        self.flush();
    }

    fn byte(&mut self, byte: u8) {
        match self.filter {
            None => self.push(byte),
            Some(filter) => filter(self, byte),
        }
    }

    fn push(&mut self, byte: u8) {
        if self.used == BUFFER {
            self.flush();
        }
        if let Some(free) = self.buffer.get_mut(self.used) {
            *free = byte;
            self.used += 1;
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        if let Some(bytes) = self.buffer.get(..self.used) {
            sys::write(self.stream, bytes);
        }
        self.used = 0;
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

/// Prints text as it is.
pub fn text(stream: Stream, text: &str) {
    sys::write(stream, text.as_bytes());
}
