//! Log text is never taken for a message: what would be is indented by one space. Bytes come one by one, so a line that
//! begins like a mark is held back until it is one or isn't.

use super::Line;

/// Starts of a line that the supervisor takes for something else than log text.
const MARKS: [&[u8]; 3] = [b"@", b"VYOMA_DRAW:", b"VYOMA_AUDIO:"];

/// How far the current line is like a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It begins with that many bytes of that mark (of [`MARKS`]); they have not been printed.
    Like(u8, u8),
    /// It is no mark, whatever comes.
    Other,
}

impl Default for Seen {
    fn default() -> Self {
        Self::Like(0, 0)
    }
}

impl Seen {
    /// The bytes that have not been printed.
    fn held(self) -> &'static [u8] {
        match self {
            Self::Like(mark, count) => MARKS
                .get(usize::from(mark))
                .and_then(|mark| mark.get(..usize::from(count)))
                .unwrap_or_default(),
            Self::Other => &[],
        }
    }
}

/// Takes the next byte of log text.
pub(super) fn filter(line: &mut Line, byte: u8) {
    if let Seen::Like(_, count) = line.seen {
        let held = line.seen.held();
        for (index, mark) in MARKS.into_iter().enumerate() {
            let Some(rest) = mark.strip_prefix(held) else {
                continue;
            };
            if rest == [byte] {
                line.push(b' ');
                break;
            }
            if rest.first() == Some(&byte) {
                line.seen = Seen::Like(index as u8, count + 1);
                return;
            }
        }
        end(line);
        line.seen = Seen::Other;
    }
    line.push(byte);
    if byte == b'\n' {
        line.seen = Seen::default();
    }
}

/// Prints what is held back.
pub(super) fn end(line: &mut Line) {
    for &byte in line.seen.held() {
        line.push(byte);
    }
    line.seen = Seen::default();
}
