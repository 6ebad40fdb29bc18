//! Typed reading of a TOML document, with errors that say where. Shared by `manifest` and `profile`; it knows
//! tables, keys and ranges, and deliberately nothing of what they mean.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::control::MAX_MANIFEST;
use crate::error::ConfigError;

/// Most characters of the file that are repeated in an error: enough to recognise the place.
const MAX_QUOTE: usize = 60;
/// Most parts of one dotted key. Ours have at most three. The bound is ours because each part becomes a table in a
/// table, and how deep a stack may get (a microcontroller's too) should not hang on the parser's own limits.
const MAX_KEY_PARTS: usize = 16;

/// The text being read and the name of its file.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    /// Parses the document. Whatever is wrong with the TOML itself is said here.
    pub(crate) fn open(
        file: &'a str,
        text: &'a str,
    ) -> Result<(Self, Spanned<DeTable<'a>>), ConfigError> {
        let source = Self { file, text };
        if text.len() > MAX_MANIFEST {
            let found = format!("{} bytes", text.len());
            return Err(source.error(
                None,
                String::new(),
                found,
                format!("at most {MAX_MANIFEST} bytes"),
            ));
        }
        source.check_keys()?;
        match DeTable::parse(text) {
            Ok(document) => Ok((source, document)),
            Err(error) => Err(source.syntax(&error)),
        }
    }

    /// Bounds the nesting that dotted keys make before the parser builds it.
    fn check_keys(self) -> Result<(), ConfigError> {
        use toml_parser::lexer::TokenKind;
        let mut dots = 0;
        for token in toml_parser::Source::new(self.text).lex() {
            match token.kind() {
                TokenKind::Dot => dots += 1,
                TokenKind::Newline | TokenKind::Equals | TokenKind::Comma => dots = 0,
                _ => {}
            }
            if dots >= MAX_KEY_PARTS {
                return Err(self.error(
                    Some(token.span().start()),
                    String::new(),
                    format!("a key of more than {MAX_KEY_PARTS} parts"),
                    String::from("a known table or key"),
                ));
            }
        }
        Ok(())
    }

    fn syntax(self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(self.text.len()..self.text.len());
        let snippet = self.text.get(span.clone()).unwrap_or_default();
        let (found, expected) = match error.message() {
            "duplicate key" => (
                format!("{} a second time", quoted(snippet)),
                String::from("each key and table only once"),
            ),
            // What the parser points at is often a single point; the line around it says more.
            message => (
                self.around(span.start),
                format!("valid TOML ({})", escaped(message)),
            ),
        };
        self.error(Some(span.start), String::new(), found, expected)
    }

    /// The line that an offset is on.
    fn around(self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        match self.text[start..].lines().next().map(str::trim) {
            None | Some("") => String::from("an empty line"),
            Some(line) => format!("the line {}", quoted(line)),
        }
    }

    /// 1-based line of a byte offset.
    fn line(self, offset: usize) -> u32 {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count() as u32
    }

    fn error(self, at: Option<usize>, key: String, found: String, expected: String) -> ConfigError {
        let line = at.map(|offset| self.line(offset));
        ConfigError {
            file: escaped(self.file),
            line,
            key,
            found,
            expected,
            hint: None,
        }
    }
}

/// A table of the document and the dotted name under which it was found.
#[derive(Clone)]
pub(crate) struct Table<'a> {
    source: Source<'a>,
    entries: &'a DeTable<'a>,
    path: String,
    /// Where it begins; absent for the document itself.
    at: Option<usize>,
}

impl<'a> Table<'a> {
    /// The document itself.
    pub(crate) fn root(source: Source<'a>, entries: &'a DeTable<'a>) -> Self {
        Self {
            source,
            entries,
            path: String::new(),
            at: None,
        }
    }

    /// Refuses keys that are not in `known`. `elsewhere` names the keys of the other tables, for the hint.
    pub(crate) fn only(
        &self,
        known: &[&str],
        elsewhere: &[(&str, &[&str])],
    ) -> Result<(), ConfigError> {
        let unknown = self.entries.iter().map(|(key, _)| key);
        let unknown = unknown.filter(|key| !known.contains(&key.get_ref().as_ref()));
        // The one that comes first in the file, whatever order the map has.
        let Some(key) = unknown.min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        let name = key.get_ref().as_ref();
        let hint = match nearest(name, known) {
            Some(near) => Some(format!("did you mean {near}?").into_boxed_str()),
            None => elsewhere
                .iter()
                .find(|(table, keys)| *table != self.path && keys.contains(&name))
                .map(|(table, _)| match *table {
                    "" => format!("it belongs outside of [{}]", self.path).into_boxed_str(),
                    table => format!("it belongs in [{table}]").into_boxed_str(),
                }),
        };
        let found = String::from(if self.path.is_empty() {
            "an unknown table or key"
        } else {
            "an unknown key"
        });
        let expected = format!("one of {}", known.join(", "));
        let error = self
            .source
            .error(Some(key.span().start), self.dotted(name), found, expected);
        Err(ConfigError { hint, ..error })
    }

    /// The value of `key`, if there is one.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        let value = self.entries.get(key)?;
        Some(Value {
            source: self.source,
            key: self.dotted(key),
            at: value.span().start,
            node: value.get_ref(),
        })
    }

    /// The value of `key`; its absence is an error that says what was expected.
    pub(crate) fn required(&self, key: &str, expected: &str) -> Result<Value<'a>, ConfigError> {
        self.get(key).ok_or_else(|| {
            self.source.error(
                self.at,
                self.dotted(key),
                String::from("nothing"),
                String::from(expected),
            )
        })
    }

    /// The table `key`, if there is one.
    pub(crate) fn table(&self, key: &str) -> Result<Option<Table<'a>>, ConfigError> {
        self.get(key).map(|value| value.table()).transpose()
    }

    /// A switch; absent means `absent`.
    pub(crate) fn switch(&self, key: &str, absent: bool) -> Result<bool, ConfigError> {
        self.get(key).map_or(Ok(absent), |value| value.boolean())
    }

    /// A whole number within `range`, if there is one.
    pub(crate) fn number<N>(
        &self,
        key: &str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, ConfigError>
    where
        N: TryFrom<u64> + PartialOrd + core::fmt::Display,
    {
        self.get(key).map(|value| value.number(range)).transpose()
    }

    /// Every entry in the order of the file.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, _)| Some((key.get_ref().as_ref(), self.get(key.get_ref())?)))
            .collect();
        entries.sort_by_key(|(_, value)| value.at);
        entries
    }

    /// An error about the table as a whole.
    pub(crate) fn refuse_whole(&self, found: &str, expected: &str) -> ConfigError {
        self.source.error(
            self.at,
            self.path.clone(),
            String::from(found),
            String::from(expected),
        )
    }

    /// An error about one of its keys, present or not.
    pub(crate) fn refuse(&self, key: &str, found: &str, expected: &str) -> ConfigError {
        let at = self.get(key).map(|value| value.at).or(self.at);
        self.source.error(
            at,
            self.dotted(key),
            String::from(found),
            String::from(expected),
        )
    }

    fn dotted(&self, key: &str) -> String {
        let key = bare(key);
        if self.path.is_empty() {
            key.into_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// A value and the dotted key under which it was found.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    source: Source<'a>,
    /// Dotted key.
    key: String,
    at: usize,
    node: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// A string.
    pub(crate) fn text(&self) -> Result<&'a str, ConfigError> {
        match self.node {
            DeValue::String(text) => Ok(text),
            _ => Err(self.refuse("a string")),
        }
    }

    /// A string of `length` bytes without control characters.
    pub(crate) fn printable(&self, length: RangeInclusive<usize>) -> Result<String, ConfigError> {
        let expected = || {
            format!(
                "a string of {} to {} printable characters",
                length.start(),
                length.end()
            )
        };
        match self.node {
            DeValue::String(text)
                if length.contains(&text.chars().count())
                    && !text.chars().any(crate::lines::is_harmful) =>
            {
                Ok(text.to_string())
            }
            _ => Err(self.refuse(&expected())),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.node {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.refuse("true or false")),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn number<N>(&self, range: RangeInclusive<N>) -> Result<N, ConfigError>
    where
        N: TryFrom<u64> + PartialOrd + core::fmt::Display,
    {
        let number = match self.node {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        match number.and_then(|number| N::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Ok(number),
            _ => Err(self.refuse(&format!(
                "a whole number from {} to {}",
                range.start(),
                range.end()
            ))),
        }
    }

    /// One of the `choices`; the answer is its position.
    pub(crate) fn choice(&self, choices: &[&str]) -> Result<usize, ConfigError> {
        let text = match self.node {
            DeValue::String(text) => text.as_ref(),
            _ => "",
        };
        if let Some(position) = choices.iter().position(|choice| *choice == text) {
            return Ok(position);
        }
        let listed: Vec<_> = choices
            .iter()
            .map(|choice| format!("\"{choice}\""))
            .collect();
        let error = self.refuse(&format!("one of {}", listed.join(", ")));
        let hint =
            nearest(text, choices).map(|near| format!("did you mean \"{near}\"?").into_boxed_str());
        Err(ConfigError { hint, ..error })
    }

    /// A table.
    pub(crate) fn table(&self) -> Result<Table<'a>, ConfigError> {
        match self.node {
            DeValue::Table(entries) => Ok(Table {
                source: self.source,
                entries,
                path: self.key.clone(),
                at: Some(self.at),
            }),
            _ => Err(self.refuse("a table")),
        }
    }

    /// An array of at most `most` values; `expected` says of what.
    pub(crate) fn array(&self, most: usize, expected: &str) -> Result<Vec<Value<'a>>, ConfigError> {
        let DeValue::Array(items) = self.node else {
            return Err(self.refuse(&format!("an array of {expected}")));
        };
        let items: &'a DeArray<'a> = items;
        if items.len() > most {
            return Err(self.refuse_as(
                &format!("{} values", items.len()),
                &format!("at most {most} {expected}"),
            ));
        }
        let item = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| Value {
            source: self.source,
            key: format!("{}[{index}]", self.key),
            at: item.span().start,
            node: item.get_ref(),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// True for a string.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.node, DeValue::String(_))
    }

    /// True for a table.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.node, DeValue::Table(_))
    }

    /// What it is, in a few words.
    pub(crate) fn describe(&self) -> String {
        describe(self.node)
    }

    /// An error that describes the value itself.
    pub(crate) fn refuse(&self, expected: &str) -> ConfigError {
        self.refuse_as(&self.describe(), expected)
    }

    /// An error about the value in other words.
    pub(crate) fn refuse_as(&self, found: &str, expected: &str) -> ConfigError {
        self.source.error(
            Some(self.at),
            self.key.clone(),
            String::from(found),
            String::from(expected),
        )
    }
}

/// What a value is, in a few words.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(number) => format!("the number {}", cut(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", cut(&number.to_string())),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => String::from("a date or time"),
        DeValue::Array(_) => String::from("an array"),
        DeValue::Table(_) => String::from("a table"),
    }
}

/// Makes text fit on one line of a console.
pub(crate) fn escaped(text: &str) -> String {
    crate::lines::sanitize(text).replace('\t', "\\t")
}

/// Cuts text that is repeated from the file.
fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_QUOTE {
        return String::from(text);
    }
    let mut short: String = text.chars().take(MAX_QUOTE).collect();
    short.push_str("...");
    short
}

/// `"text"`, cut and on one line.
pub(crate) fn quoted(text: &str) -> String {
    // Cut twice: first the text, so that a huge one is not escaped in full; then what escaping made longer.
    format!("\"{}\"", cut(&escaped(&cut(text))))
}

/// A key as TOML would write it: bare where that is possible.
fn bare(key: &str) -> Cow<'_, str> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.len() <= MAX_QUOTE && key.chars().all(is_bare) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(quoted(key))
    }
}

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // One slip, and one more for every three letters: `netwrk`, `flesystme`; but not `gpio` for `audio`.
    let allowed = 1 + word.len() / 4;
    // Anything longer than our longest key plus that is no slip; it also bounds the work.
    if word.is_empty() || word.len() > 40 {
        return None;
    }
    let (distance, near) = known
        .iter()
        .map(|key| (distance(word, key), *key))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then_some(near)
}

/// Edit distance in which a swap of neighbours counts as one slip (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for j in 0..b.len() {
            let same = usize::from(!a[i].eq_ignore_ascii_case(&b[j]));
            let mut best = (above[j + 1] + 1).min(row[j] + 1).min(above[j] + same);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = core::mem::replace(&mut above, row);
    }
    above[b.len()]
}
