//! Text in quotes.

use super::{Line, Show};

/// Prints text in quotes and with escapes, as source code has it: what `{:?}` prints of a `str`, but for characters beyond
/// ASCII, which are printed as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a>(pub &'a str);

impl Show for Quoted<'_> {
    fn show(&self, line: &mut Line) {
        line.text("\"");
        // Escapes are ASCII, so each is one byte of the text; the others are copied.
        for &byte in self.0.as_bytes() {
            match byte {
                b'"' | b'\\' => line.bytes(&[b'\\', byte]),
                b'\n' => line.text("\\n"),
                b'\r' => line.text("\\r"),
                b'\t' => line.text("\\t"),
                0 => line.text("\\0"),
                control if control.is_ascii_control() => {
                    crate::write!(line, "\\u{{{control:x}}}");
                }
                other => line.bytes(&[other]),
            }
        }
        line.text("\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_what_debug_makes_of_it() {
        for text in ["", "plain", "two words", "\"\\\n\r\t\0\x1b\x7f", "äöü €"] {
            let mut line = Line::new(crate::print::Stream::Out);
            Quoted(text).show(&mut line);
            assert_eq!(line.so_far(), format!("{text:?}").as_bytes());
        }
    }
}
