//! A format string as pieces, from its source text. Works on text alone, so that it can be tested without a compiler.

/// A part of a format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text between arguments, as source (escapes as they were written, braces single).
    Text(String),
    /// An argument.
    Argument {
        /// Which: an index, a name, or nothing (the next one).
        which: String,
        /// What stands after the colon.
        spec: String,
    },
}

/// A string literal's source: what stands before and after its content, such as `r#"` and `"#`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal<'a> {
    /// `"`, or `r` with hashes and `"`
    pub(crate) open: &'a str,
    /// Between the quotes, escapes as written.
    pub(crate) content: &'a str,
    /// `"` with the hashes
    pub(crate) close: &'a str,
}

impl<'a> Literal<'a> {
    /// Takes the source of a string literal apart; `None` when it is another literal.
    pub(crate) fn of(source: &'a str) -> Option<Self> {
        let hashes = source
            .strip_prefix('r')
            .map_or(0, |rest| rest.len() - rest.trim_start_matches('#').len());
        let open = usize::from(source.starts_with('r')) + hashes + 1;
        let close = source.len().checked_sub(hashes + 1)?;
        if close < open || !source.is_char_boundary(open) || !source[..open].ends_with('"') {
            return None;
        }
        Some(Self {
            open: &source[..open],
            content: &source[open..close],
            close: &source[close..],
        })
    }

    fn is_raw(&self) -> bool {
        self.open.starts_with('r')
    }

    /// The pieces, in their order; an error in words when braces don't match.
    pub(crate) fn pieces(&self) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = self.content;
        while let Some(next) = rest.chars().next() {
            if !self.is_raw() && next == '\\' {
                // `\u{1F600}` has braces of its own; every other escape is one more character.
                let length = if rest.starts_with("\\u{") {
                    rest.find('}').map_or(rest.len(), |end| end + 1)
                } else {
                    1 + rest[1..].chars().next().map_or(0, char::len_utf8)
                };
                text.push_str(&rest[..length]);
                rest = &rest[length..];
            } else if rest.starts_with("{{") || rest.starts_with("}}") {
                text.push(next);
                rest = &rest[2..];
            } else if next == '{' {
                let end = rest
                    .find('}')
                    .ok_or("expected `}` after `{`; a brace as text is written `{{`")?;
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                let (which, spec) = rest[1..end].split_once(':').unwrap_or((&rest[1..end], ""));
                pieces.push(Piece::Argument {
                    which: which.trim().to_owned(),
                    spec: spec.trim_end().to_owned(),
                });
                rest = &rest[end + 1..];
            } else if next == '}' {
                return Err("found `}` without `{`; a brace as text is written `}}`".to_owned());
            } else {
                text.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }
}

/// How an integer is printed without `core::fmt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Number {
    /// Fewest characters, sign included.
    pub(crate) width: u8,
    /// Filled with zeros, not spaces.
    pub(crate) zeros: bool,
    /// `+` before what is not negative.
    pub(crate) plus: bool,
    /// In base 16.
    pub(crate) hex: bool,
}

impl Number {
    /// The specs that need no `core::fmt`: `+`, `0`, a width up to 20, and `x`, in that order. `None` for the others.
    pub(crate) fn of(spec: &str) -> Option<Self> {
        let (rest, plus) = strip(spec, '+');
        let (rest, zeros) = strip(rest, '0');
        let (width, hex) = match rest.strip_suffix('x') {
            Some(width) => (width, true),
            None => (rest, false),
        };
        let width = if width.is_empty() {
            0
        } else {
            width.parse().ok()?
        };
        (width <= 20).then_some(Self {
            width,
            zeros,
            plus,
            hex,
        })
    }
}

fn strip(text: &str, mark: char) -> (&str, bool) {
    text.strip_prefix(mark)
        .map_or((text, false), |rest| (rest, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(source: &str) -> Result<Vec<Piece>, String> {
        Literal::of(source).expect("a string literal").pieces()
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn argument(which: &str, spec: &str) -> Piece {
        Piece::Argument {
            which: which.to_owned(),
            spec: spec.to_owned(),
        }
    }

    #[test]
    fn text_and_arguments_are_told_apart() {
        assert_eq!(pieces(r#""""#), Ok(vec![]));
        assert_eq!(pieces(r#""plain""#), Ok(vec![text("plain")]));
        assert_eq!(
            pieces(r#""a {} b {name} c{0:04}{x:?}""#),
            Ok(vec![
                text("a "),
                argument("", ""),
                text(" b "),
                argument("name", ""),
                text(" c"),
                argument("0", "04"),
                argument("x", "?"),
            ])
        );
    }

    #[test]
    fn braces_as_text_and_escapes_with_braces_are_text() {
        assert_eq!(
            pieces(r#""{{}} \u{e9} \"\\{}""#).unwrap(),
            [text(r#"{} \u{e9} \"\\"#), argument("", "")]
        );
        assert_eq!(
            pieces("r#\"\\u{{ \"{a}\"\"#").unwrap(),
            [text(r#"\u{ ""#), argument("a", ""), text("\"")]
        );
    }

    #[test]
    fn a_brace_alone_is_an_error_that_says_what_to_write() {
        assert!(pieces(r#""a { b""#).unwrap_err().contains("{{"));
        assert!(pieces(r#""a } b""#).unwrap_err().contains("}}"));
    }

    #[test]
    fn other_literals_are_no_format_strings() {
        for source in ["1", "'a'", "b\"x\"", "1.5", "\""] {
            assert_eq!(Literal::of(source), None, "{source}");
        }
    }

    #[test]
    fn common_specs_of_integers_need_no_core_fmt_and_the_others_do() {
        let plain = Number::default();
        assert_eq!(Number::of(""), Some(plain));
        assert_eq!(
            Number::of("+"),
            Some(Number {
                plus: true,
                ..plain
            })
        );
        assert_eq!(
            Number::of("04"),
            Some(Number {
                zeros: true,
                width: 4,
                ..plain
            })
        );
        assert_eq!(
            Number::of("08x"),
            Some(Number {
                zeros: true,
                width: 8,
                hex: true,
                ..plain
            })
        );
        for spec in ["?", ".2", "<5", "#x", "x?", "1$", "width$", "21", "X", "-"] {
            assert_eq!(Number::of(spec), None, "{spec}");
        }
    }
}
