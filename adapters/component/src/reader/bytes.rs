//! A cursor over a part of the component's bytes, that knows where in the component it is.

use alloc::vec::Vec;

use crate::program::Refusal;

/// Bytes yet to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes<'a> {
    bytes: &'a [u8],
    /// Where in the component they begin.
    offset: usize,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn malformed(&self, expected: &'static str) -> Refusal {
        Refusal::Malformed {
            offset: self.offset,
            expected,
        }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize, expected: &'static str) -> Result<Self, Refusal> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return Err(self.malformed(expected));
        };
        let taken = Self {
            bytes: taken,
            offset: self.offset,
        };
        self.bytes = rest;
        self.offset += length;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self, expected: &'static str) -> Result<u8, Refusal> {
        let Some((&byte, rest)) = self.bytes.split_first() else {
            return Err(self.malformed(expected));
        };
        self.bytes = rest;
        self.offset += 1;
        Ok(byte)
    }

    /// The next byte, which stays.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// `byte` and nothing else.
    pub(crate) fn exactly(&mut self, byte: u8, expected: &'static str) -> Result<(), Refusal> {
        let before = *self;
        if self.byte(expected)? == byte {
            return Ok(());
        }
        Err(before.malformed(expected))
    }

    /// An unsigned LEB128 number of 32 bits.
    pub(crate) fn number(&mut self, expected: &'static str) -> Result<u32, Refusal> {
        let before = *self;
        let mut value = 0_u64;
        for index in 0..5 {
            let byte = self.byte(expected)?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| before.malformed(expected));
            }
        }
        Err(before.malformed(expected))
    }

    /// A signed LEB128 number of 33 or 32 bits: a block type, a value type or the operand of `i32.const`.
    pub(crate) fn signed(&mut self, expected: &'static str) -> Result<i64, Refusal> {
        let before = *self;
        let mut value = 0_i64;
        for index in 0..5 {
            let byte = self.byte(expected)?;
            let shift = 7 * index;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let unused = 64 - 7 - shift;
                return Ok(value << unused >> unused);
            }
        }
        Err(before.malformed(expected))
    }

    /// Passes over a LEB128 number of up to `most_bytes`.
    pub(crate) fn skip_number(
        &mut self,
        most_bytes: u32,
        expected: &'static str,
    ) -> Result<(), Refusal> {
        let before = *self;
        for _ in 0..most_bytes {
            if self.byte(expected)? & 0x80 == 0 {
                return Ok(());
            }
        }
        Err(before.malformed(expected))
    }

    /// The count of a vector. Its items take a byte each at least, so a count beyond the bytes left is wrong.
    pub(crate) fn count(&mut self, expected: &'static str) -> Result<usize, Refusal> {
        let before = *self;
        let count = self.number(expected)? as usize;
        if count > self.bytes.len() {
            return Err(before.malformed("a count that the bytes after it can hold"));
        }
        Ok(count)
    }

    /// A vector of what `item` reads.
    pub(crate) fn vector<T>(
        &mut self,
        expected: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let count = self.count(expected)?;
        // Grows with what is really there, not with what the count says.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Length and bytes of a section or function body.
    pub(crate) fn sized(&mut self, expected: &'static str) -> Result<Self, Refusal> {
        let length = self.number(expected)? as usize;
        self.take(length, expected)
    }

    /// UTF-8 with its length.
    pub(crate) fn name(&mut self) -> Result<&'a str, Refusal> {
        let before = *self;
        let text = self.sized("a name")?;
        core::str::from_utf8(text.bytes).map_err(|_| before.malformed("a name in UTF-8"))
    }

    /// The end of what has a length of its own.
    pub(crate) fn end(&self, expected: &'static str) -> Result<(), Refusal> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.malformed(expected))
        }
    }
}
