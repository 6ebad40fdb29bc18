//! The last lines that apps printed, or the last events, in a fixed piece of memory.
//!
//! A record lies in the ring as it travels: postcard of a [`LogLine`] or a [`DeviceEvent`], so that a session sends it without
//! decoding it. The oldest records make room for new ones; readers keep the number of the record that they want next, and see
//! from it what they missed. Nothing here allocates.
//!
//! [`LogLine`]: vyoma_capabilities::control::LogLine
//! [`DeviceEvent`]: vyoma_capabilities::control::DeviceEvent

use postcard::ser_flavors::{Flavor, Size};
use serde::Serialize;
use vyoma_capabilities::control::Stream;

/// Bytes of a record's length in front of it.
const PREFIX: usize = 2;
/// Longest app name (see `is_app_name`); a record of no app has an empty one.
const NAME: usize = 32;

/// A [`LogLine`](vyoma_capabilities::control::LogLine) that borrows; the same bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Line<'a> {
    /// The app.
    pub app: &'a str,
    /// Milliseconds by the device's clock.
    pub time_ms: u64,
    /// Which stream.
    pub stream: Stream,
    /// The line without its end.
    pub text: &'a str,
}

/// A [`DeviceEvent`](vyoma_capabilities::control::DeviceEvent) that borrows; the same bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Event<'a> {
    /// Milliseconds by the device's clock.
    pub time_ms: u64,
    /// The app it is about, if any.
    pub app: Option<&'a str>,
    /// Short machine-readable name, as on Linux.
    pub kind: &'a str,
    /// One line for people.
    pub detail: &'a str,
}

/// A record, in two parts where it goes over the end of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    parts: [&'a [u8]; 2],
}

/// Records in a fixed piece of memory.
#[derive(Debug)]
pub struct Ring {
    memory: &'static mut [u8],
    /// Where the oldest record starts.
    start: usize,
    /// Bytes in use.
    used: usize,
    /// Number of the oldest record.
    first: u32,
    /// Number that the next record gets.
    next: u32,
}

impl Ring {
    /// An empty ring over `memory`: at least 64 bytes, at most 64 KiB of it are used.
    pub fn new(memory: &'static mut [u8]) -> Self {
        Self {
            memory,
            start: 0,
            used: 0,
            first: 0,
            next: 0,
        }
    }

    /// Number of the oldest record that is still there; [`Ring::next`] when there is none.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// Number that the next record gets.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Adds a line. A text of more than a quarter of the memory is cut. `lost` is told the app of each line that had to go.
    pub fn line(&mut self, line: &Line<'_>, lost: impl FnMut(&str)) {
        let text = cut(line.text, self.memory.len() / 4);
        self.push(&Line { text, ..*line }, true, lost);
    }

    /// Adds an event. A detail of more than a quarter of the memory is cut.
    pub fn event(&mut self, event: &Event<'_>) {
        let detail = cut(event.detail, self.memory.len() / 4);
        self.push(&Event { detail, ..*event }, false, |_| {});
    }

    /// The record of that number, while it is there.
    pub fn record(&self, number: u32) -> Option<Record<'_>> {
        let back = number.wrapping_sub(self.first);
        if back >= self.next.wrapping_sub(self.first) {
            return None;
        }
        let mut at = self.start;
        for _ in 0..back {
            at = self.after(at, PREFIX + self.length(at));
        }
        let length = self.length(at);
        Some(self.slice(self.after(at, PREFIX), length))
    }

    fn push(&mut self, record: &impl Serialize, lines: bool, mut lost: impl FnMut(&str)) {
        let Ok(length) = postcard::serialize_with_flavor(record, Size::default()) else {
            return;
        };
        let needed = PREFIX + length;
        if needed > self.memory.len() || length > usize::from(u16::MAX) {
            return;
        }
        while self.memory.len() - self.used < needed {
            let oldest = self.record(self.first).filter(|_| lines);
            if let Some(name) = oldest.and_then(|record| record.line_app()) {
                lost(name.text());
            }
            let gone = PREFIX + self.length(self.start);
            self.start = self.after(self.start, gone);
            self.used -= gone;
            self.first = self.first.wrapping_add(1);
        }
        let mut at = self.after(self.start, self.used);
        for byte in (length as u16).to_le_bytes() {
            self.memory[at] = byte;
            at = self.after(at, 1);
        }
        let filled = postcard::serialize_with_flavor(
            record,
            Filler {
                memory: self.memory,
                at,
                left: length,
            },
        );
        // It is as long as it was a moment ago: serializing the same value twice.
        if filled == Ok(0) {
            self.used += needed;
            self.next = self.next.wrapping_add(1);
        }
    }

    /// The place `by` bytes after `at`.
    fn after(&self, at: usize, by: usize) -> usize {
        let at = at + by;
        if at >= self.memory.len() {
            at - self.memory.len()
        } else {
            at
        }
    }

    /// Length of the record whose prefix is at `at`.
    fn length(&self, at: usize) -> usize {
        let low = self.memory[at];
        let high = self.memory[self.after(at, 1)];
        usize::from(u16::from_le_bytes([low, high]))
    }

    fn slice(&self, at: usize, length: usize) -> Record<'_> {
        let here = length.min(self.memory.len() - at);
        Record {
            parts: [&self.memory[at..at + here], &self.memory[..length - here]],
        }
    }
}

impl<'a> Record<'a> {
    /// Its bytes: one value in postcard.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        let [one, two] = self.parts;
        one.iter().chain(two).copied()
    }

    /// How many bytes.
    pub fn length(&self) -> usize {
        self.parts[0].len() + self.parts[1].len()
    }

    /// Whether it is a line of `app`.
    pub fn is_of(&self, app: &str) -> bool {
        self.line_app().is_some_and(|name| name.text() == app)
    }

    /// The time of a line.
    pub fn line_time(&self) -> Option<u64> {
        let mut bytes = self.bytes();
        let name = varint(&mut bytes)?;
        varint(&mut bytes.skip(usize::try_from(name).ok()?))
    }

    /// The app of a line: its first field.
    fn line_app(&self) -> Option<Name> {
        let mut bytes = self.bytes();
        let length = usize::try_from(varint(&mut bytes)?).ok()?;
        let mut name = Name {
            bytes: [0; NAME],
            length,
        };
        for place in name.bytes.get_mut(..length)? {
            *place = bytes.next()?;
        }
        Some(name)
    }
}

/// The name of an app, out of the ring.
struct Name {
    bytes: [u8; NAME],
    length: usize,
}

impl Name {
    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// Writes into the ring's memory, over its end and on from its start.
struct Filler<'a> {
    memory: &'a mut [u8],
    at: usize,
    left: usize,
}

impl Flavor for Filler<'_> {
    /// Bytes that are missing.
    type Output = usize;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.left == 0 {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.left -= 1;
        self.memory[self.at] = byte;
        self.at = (self.at + 1) % self.memory.len();
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.left)
    }
}

/// postcard's unsigned integers: seven bits a byte, the lowest first, the top bit says that more follow.
fn varint(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The longest beginning of `text` that has at most `most` bytes and no half character.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
