//! Bytes as text, in place. `core::str::from_utf8` does half of this in three times the code: it is made for speed, and lines are short.

/// The bytes as text; each one that is no UTF-8 becomes `?`.
pub(super) fn of(bytes: &mut [u8]) -> &str {
    let mut rest = &mut *bytes;
    while let [first, after @ ..] = rest {
        if let Some(length) = follow(*first, after) {
            rest = after.get_mut(length..).unwrap_or_default();
        } else {
            *first = b'?';
            rest = after;
        }
    }
    // SAFETY: each byte of it has been found to be ASCII, part of a character, or been made ASCII.
    unsafe { core::str::from_utf8_unchecked(bytes) }
}

/// How many bytes belong to the character that begins with `first`, of those that come after it; `None` when it is none (Unicode
/// Standard, table 3-7).
fn follow(first: u8, after: &[u8]) -> Option<usize> {
    let (length, second) = match first {
        0..0x80 => return Some(0),
        0xc2..0xe0 => (1, 0x80..=0xbf),
        0xe0 => (2, 0xa0..=0xbf),
        0xed => (2, 0x80..=0x9f),
        0xe1..0xf0 => (2, 0x80..=0xbf),
        0xf0 => (3, 0x90..=0xbf),
        0xf1..0xf4 => (3, 0x80..=0xbf),
        0xf4 => (3, 0x80..=0x8f),
        _ => return None,
    };
    let (two, rest) = after.get(..length)?.split_first()?;
    let good = second.contains(two) && rest.iter().all(|byte| byte & 0xc0 == 0x80);
    good.then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_utf8_stays_and_each_other_byte_becomes_a_question_mark() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"plain", "plain"),
            (
                "ä€😀\u{7ff}\u{800}\u{ffff}\u{10ffff}".as_bytes(),
                "ä€😀\u{7ff}\u{800}\u{ffff}\u{10ffff}",
            ),
            (b"a\xffb", "a?b"),
            (b"\xe2\x82", "??"),
            (b"\xe2\x82x", "??x"),
            (b"\xc0\xaf", "??"),
            (b"\xed\xa0\x80", "???"),
            (b"\xf4\x90\x80\x80", "????"),
            (b"\x80\xc3\xa4", "?ä"),
        ] {
            assert_eq!(of(&mut bytes.to_vec()), expected);
        }
    }

    #[test]
    fn it_agrees_with_the_standard_library() {
        // The first and last of each range of the Unicode Standard, table 3-7, and their neighbours.
        const EDGES: [u8; 24] = [
            0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
            0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        for a in EDGES {
            for b in EDGES {
                for c in EDGES {
                    for d in EDGES {
                        let bytes = [a, b, c, d];
                        let same = of(&mut bytes.clone()).as_bytes() == bytes;
                        assert_eq!(same, core::str::from_utf8(&bytes).is_ok(), "{bytes:x?}");
                    }
                }
            }
        }
    }
}
