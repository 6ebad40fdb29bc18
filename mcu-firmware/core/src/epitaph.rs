//! The last words of a firmware that panicked, for the one that starts after it: in memory that a reset leaves as it is. After a
//! power-up that memory holds anything, so a check sum says whether words are there.

use core::fmt;

use crate::store::CRC;

/// Bytes of words at most: a panic's with a dozen addresses.
const WORDS: usize = 200;

/// Words, if there are any. Any bits are one of these, so it may lie in memory that nobody has written.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Epitaph {
    length: u32,
    crc: u32,
    bytes: [u8; WORDS],
}

impl Epitaph {
    /// None.
    pub const NONE: Self = Self {
        length: 0,
        crc: 0,
        bytes: [0; WORDS],
    };

    /// As many of the words as there is room for.
    pub fn of(words: fmt::Arguments<'_>) -> Self {
        let mut epitaph = Self::NONE;
        // What does not fit is left out; `write_str` never fails.
        let _ = fmt::Write::write_fmt(&mut epitaph, words);
        epitaph.crc = epitaph.sum();
        epitaph
    }

    /// The words, if these are some.
    pub fn words(&self) -> Option<&str> {
        let bytes = self.bytes.get(..self.length as usize)?;
        if bytes.is_empty() || self.crc != self.sum() {
            return None;
        }
        core::str::from_utf8(bytes).ok()
    }

    /// Over length and all bytes, whatever the length is.
    fn sum(&self) -> u32 {
        let mut digest = CRC.digest();
        digest.update(&self.length.to_le_bytes());
        digest.update(&self.bytes);
        digest.finalize()
    }
}

impl fmt::Write for Epitaph {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let at = self.length as usize;
        let text = &text[..text.floor_char_boundary(WORDS - at)];
        self.bytes[at..][..text.len()].copy_from_slice(text.as_bytes());
        self.length += text.len() as u32;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn words_are_there_after_a_reset() {
        let epitaph = Epitaph::of(format_args!("panicked at {:#x}", 0x1234));
        assert_eq!(epitaph.words(), Some("panicked at 0x1234"));
    }

    #[test]
    fn what_a_power_up_leaves_in_memory_is_no_words() {
        assert_eq!(Epitaph::NONE.words(), None);
        for byte in [0_u8, 0x55, 0xff] {
            let word = u32::from_ne_bytes([byte; 4]);
            let epitaph = Epitaph {
                length: word,
                crc: word,
                bytes: [byte; WORDS],
            };
            assert_eq!(epitaph.words(), None);
        }
        let mut epitaph = Epitaph::of(format_args!("words"));
        epitaph.bytes[WORDS - 1] ^= 1;
        assert_eq!(epitaph.words(), None, "a bit flipped");
    }

    #[test]
    fn too_many_words_are_cut_between_two_characters() {
        let long: String = core::iter::repeat_n('ä', WORDS).collect();
        let epitaph = Epitaph::of(format_args!("a{long}{long}"));
        let words = epitaph.words().unwrap();
        assert!(
            words.len() >= WORDS - 1 && words.starts_with("aä"),
            "{words}"
        );
    }
}
