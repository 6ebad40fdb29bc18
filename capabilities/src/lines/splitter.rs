//! Bytes of a pipe in, lines out. Bounded: an app that prints no newline costs one line of memory, no more.

use alloc::string::String;
use alloc::vec::Vec;

use super::MAX_LINE;

/// Splits a byte stream into lines at `\n` (a `\r` before it is dropped too), however the stream is chunked.
///
/// A line longer than the limit is handed out once, cut at the limit (at a whole character) and marked as cut; its
/// rest is dropped. Invalid UTF-8 becomes U+FFFD, so a line may be up to three times as long as the limit.
#[derive(Debug)]
pub struct LineSplitter {
    /// The line so far: at most `limit` bytes, and one more only when that is a `\r`.
    line: Vec<u8>,
    limit: usize,
    /// The present line has been handed out already; skip to its end.
    dropping: bool,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self::new()
    }
}

impl LineSplitter {
    /// With the bound [`MAX_LINE`].
    pub fn new() -> Self {
        Self::with_limit(MAX_LINE)
    }

    /// With a bound of `limit` bytes a line, for where memory is short.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            limit: limit.max(1),
            dropping: false,
        }
    }

    /// Takes bytes; calls `line` with each line (without its end) and whether it was cut.
    pub fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str, bool)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (piece, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => (bytes, &bytes[bytes.len()..]),
            };
            self.take(piece, &mut line);
            if end.is_some() {
                self.end_line(&mut line);
            }
            bytes = rest;
        }
    }

    /// The stream is over: a last line without an end is a line too. The splitter can be used again.
    pub fn finish(&mut self, mut line: impl FnMut(&str, bool)) {
        if !self.line.is_empty() {
            self.end_line(&mut line);
        }
        self.line.clear();
        self.dropping = false;
    }

    /// Adds bytes without a newline; hands the line out as soon as it is too long.
    fn take(&mut self, piece: &[u8], line: &mut impl FnMut(&str, bool)) {
        if self.dropping {
            return;
        }
        // One byte more than fits: it may be the `\r` of a line that is exactly as long as allowed.
        let room = self.limit + 1 - self.line.len();
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        let ends_in_cr = self.line.len() == self.limit + 1 && self.line.last() == Some(&b'\r');
        if piece.len() > room || (self.line.len() > self.limit && !ends_in_cr) {
            self.line.truncate(self.limit);
            line(&text(whole_characters(&self.line)), true);
            self.line.clear();
            self.dropping = true;
        }
    }

    fn end_line(&mut self, line: &mut impl FnMut(&str, bool)) {
        if !self.dropping {
            line(
                &text(self.line.strip_suffix(b"\r").unwrap_or(&self.line)),
                false,
            );
        }
        self.line.clear();
        self.dropping = false;
    }
}

fn text(bytes: &[u8]) -> alloc::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Without a character that the cut left incomplete.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let tail = bytes.len().saturating_sub(3);
    for start in (tail..bytes.len()).rev() {
        let needed = match bytes[start] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return bytes,
        };
        return if bytes.len() - start < needed {
            &bytes[..start]
        } else {
            bytes
        };
    }
    bytes
}
