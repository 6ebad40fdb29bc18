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

mod fixed;
mod marks;
mod number;
mod quoted;
#[cfg(test)]
mod tests;
mod values;

pub use fixed::Fixed;
pub use number::Number;
pub use quoted::Quoted;
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
    #[inline(never)]
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            filter: None,
            seen: marks::Seen::default(),
            used: 0,
            buffer: [0; BUFFER],
        }
    }

    /// Begins log text: a line of it that would be taken for a message is indented by one space. It ends with [`Line::end_log`].
    pub fn log() -> Self {
        let mut line = Self::new(Stream::Out);
        line.filter = Some(marks::filter);
        line
    }

    /// Begins a message to the app of that name; it ends with [`Line::end_message`]. Line ends inside become spaces: one
    /// message is one line.
    pub fn message(target: &str) -> Self {
        let mut line = Self::new(Stream::Out);
        line.text("@");
        line.text(target);
        line.text(": ");
        line.filter = Some(|line, byte| {
            line.push(match byte {
                b'\n' | b'\r' => b' ',
                other => other,
            });
        });
        line
    }

    /// For the macro `write`, which takes a line or a reference to one.
    #[doc(hidden)]
    pub fn borrowed(&mut self) -> &mut Self {
        self
    }

    /// Adds text.
    #[inline(never)]
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// What has not been written.
    #[cfg(test)]
    fn so_far(&self) -> &[u8] {
        &self.buffer[..self.used]
    }

    /// Adds what only `core::fmt` can print.
    pub fn formatted(&mut self, text: fmt::Arguments<'_>) {
        // `write_str` never fails; a type whose `fmt` does has printed what it could.
        let _ = fmt::write(self, text);
    }

    /// Writes what is left.
    #[inline(never)]
    pub fn end(&mut self) {
        if let Some(bytes) = self.buffer.get(..self.used) {
            sys::write(self.stream, bytes);
        }
        self.used = 0;
    }

    /// Ends log text.
    pub fn end_log(&mut self) {
        marks::end(self);
        self.end();
    }

    /// Ends a message.
    pub fn end_message(&mut self) {
        self.push(b'\n');
        self.end();
    }

    fn byte(&mut self, byte: u8) {
        match self.filter {
            None => self.push(byte),
            Some(filter) => filter(self, byte),
        }
    }

    fn push(&mut self, byte: u8) {
        if self.used == BUFFER {
            self.end();
        }
        if let Some(free) = self.buffer.get_mut(self.used) {
            *free = byte;
            self.used += 1;
        }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

/// Prints text as it is, with one call of the host for each 4 KiB.
pub fn text(stream: Stream, text: &str) {
    sys::write(stream, text.as_bytes());
}

/// Prints bytes as they are, text or not.
pub fn bytes(stream: Stream, bytes: &[u8]) {
    sys::write(stream, bytes);
}
