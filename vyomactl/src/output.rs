//! What goes to standard output: tables, lines and JSON, with or without colour.
//!
//! The only place that writes there. Every text that came from a device passes [`clean`] (tables) or [`harmless_json`] on
//! its way to a terminal. It knows nothing of what is shown.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};

use serde::Serialize;
use vyoma_capabilities::lines;

use crate::cli::{ColorChoice, OutputFormat};
use crate::exit::{Exit, Failure};

/// Colours, by what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    /// As the terminal has it.
    #[default]
    Plain,
    /// Column heads.
    Head,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Less important than the rest of the line.
    Dim,
    /// One of [`HUES`]: what tells names apart.
    Hue(u8),
}

/// Colours for names: those of a terminal's sixteen that are neither black, white nor the red of what is wrong.
const HUES: [&str; 10] = [
    "\x1b[36m", "\x1b[32m", "\x1b[35m", "\x1b[33m", "\x1b[34m", "\x1b[96m", "\x1b[92m", "\x1b[95m",
    "\x1b[93m", "\x1b[94m",
];

impl Style {
    /// The colour of a name: the same in every run.
    pub(crate) fn of_name(name: &str) -> Self {
        // FNV-1a, 32 bits: short names that differ in a letter get different colours.
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        Self::Hue((hash % HUES.len() as u32) as u8)
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Head => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Dim => "\x1b[2m",
            Self::Hue(hue) => HUES[hue as usize % HUES.len()],
        }
    }
}

/// Where output goes.
enum Sink {
    /// To whoever runs the command.
    Stdout(BufWriter<Stdout>),
    /// To the command itself, which makes something of it.
    Memory(Vec<u8>),
}

/// Standard output in the form that was asked for.
pub(crate) struct Output {
    sink: Sink,
    json: bool,
    color: bool,
    terminal: bool,
}

impl Output {
    /// `color` is weighed against the terminal and `NO_COLOR`.
    pub(crate) fn new(format: OutputFormat, color: ColorChoice) -> Self {
        let terminal = io::stdout().is_terminal();
        // https://no-color.org: set and not empty, whatever the value.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            sink: Sink::Stdout(BufWriter::new(io::stdout())),
            json: format == OutputFormat::Json,
            color: match color {
                ColorChoice::Auto => terminal && !no_color,
                ColorChoice::Always => true,
                ColorChoice::Never => false,
            },
            terminal,
        }
    }

    /// Output that is kept, as JSON: for one device of several.
    pub(crate) fn captured() -> Self {
        Self {
            sink: Sink::Memory(Vec::new()),
            json: true,
            color: false,
            terminal: false,
        }
    }

    /// What was kept.
    pub(crate) fn into_text(self) -> String {
        match self.sink {
            Sink::Stdout(_) => String::new(),
            Sink::Memory(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Whether it is kept: then there is nobody to ask, either.
    pub(crate) fn is_captured(&self) -> bool {
        matches!(self.sink, Sink::Memory(_))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.sink {
            Sink::Stdout(writer) => writer,
            Sink::Memory(bytes) => bytes,
        }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether colours are on.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// Whether a person looks at it, live.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Columns and rows of the terminal, if it is one and tells.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        if !self.terminal {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0 && size.ws_row > 0)
            .then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// One document on one line.
    pub(crate) fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(document).map_err(|error| {
            Failure::new(
                Exit::Local,
                format!("cannot write the answer as JSON: {error}"),
            )
        })?;
        self.raw(&harmless_json(&text))?;
        self.raw("\n")
    }

    /// One line of our own and of cleaned text.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.raw(text)?;
        self.raw("\n")
    }

    /// `text`, coloured if colours are on.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.color && style != Style::Plain && !text.is_empty() {
            format!("{}{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// A table; on a terminal its lines are cut at the right edge.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let width = self.size().map(|(columns, _)| columns);
        for line in table.lines(width) {
            let line: String = line
                .iter()
                .map(|(style, text)| self.paint(*style, text))
                .collect();
            self.line(&line)?;
        }
        Ok(())
    }

    /// Bytes as they are: only for text of our own.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), Failure> {
        self.writer()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::output(&error))
    }

    /// Brings everything out.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer()
            .flush()
            .map_err(|error| Failure::output(&error))
    }
}

/// Says something on standard error, on a line of its own; someone else's text in it has to be harmless. Where nobody hears it any
/// more, that is no failure of what was done.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Someone else's text on one line of a terminal: escapes are made harmless, what would move the cursor is a space.
pub(crate) fn clean(text: &str) -> String {
    lines::sanitize(text)
        .chars()
        .map(|c| {
            if c.is_control() || is_invisible(c) {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// Characters that change how their neighbours are laid out (line separators, directional overrides and isolates): a name
/// could pose as another one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON has escapes for the control characters below 32; those from 127 to 159 (U+009B starts a terminal escape too) may
/// stand in it as they are. They can only be inside strings, so their escaped form means the same.
pub(crate) fn harmless_json(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            if c.is_control() || is_invisible(c) {
                let _ = write!(out, "\\u{:04x}", c as u32);
            } else {
                out.push(c);
            }
            out
        })
}

/// One cell: text and what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text that may come from a device: cleaned here. Nothing is shown as `-`, so that columns can be cut apart.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::styled(Style::Plain, text)
    }

    /// The same with a colour.
    pub(crate) fn styled(style: Style, text: impl AsRef<str>) -> Self {
        let text = clean(text.as_ref());
        let text = if text.trim().is_empty() {
            String::from("-")
        } else {
            text
        };
        Self { text, style }
    }

    /// The name of a row; empty when the row goes on with the one above.
    pub(crate) fn label(name: &'static str) -> Self {
        Self {
            text: name.to_owned(),
            style: Style::Head,
        }
    }

    /// Nothing to show.
    pub(crate) fn dash() -> Self {
        Self::new("-")
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table without lines: a head and rows, columns two spaces apart.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows. Columns without a name get no head.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has one cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Keeps the first rows only; returns how many were dropped.
    pub(crate) fn truncate(&mut self, rows: usize) -> usize {
        let dropped = self.rows.len().saturating_sub(rows);
        self.rows.truncate(rows);
        dropped
    }

    /// The lines as styled pieces, none wider than `width`.
    fn lines(&self, width: Option<usize>) -> Vec<Vec<(Style, String)>> {
        let head: Vec<Cell> = self
            .columns
            .iter()
            .map(|(name, _)| Cell {
                text: (*name).to_owned(),
                style: Style::Head,
            })
            .collect();
        let has_head = self.columns.iter().any(|(name, _)| !name.is_empty());
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                self.rows
                    .iter()
                    .chain([&head])
                    .filter_map(|row| row.get(column).map(Cell::width))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        has_head
            .then_some(&head)
            .into_iter()
            .chain(&self.rows)
            .map(|row| self.layout(row, &widths, width))
            .collect()
    }

    fn layout(&self, row: &[Cell], widths: &[usize], limit: Option<usize>) -> Vec<(Style, String)> {
        let mut pieces = Vec::new();
        let mut used = 0;
        let last = row.len().saturating_sub(1);
        for (column, cell) in row.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let pad = " ".repeat(widths[column] - cell.width());
            let (before, after) = match self.columns[column].1 {
                Align::Left if column == last => (String::new(), String::new()),
                Align::Left => (String::new(), pad),
                Align::Right => (pad, String::new()),
            };
            for (style, text) in [
                (Style::Plain, format!("{gap}{before}")),
                (cell.style, cell.text.clone()),
                (Style::Plain, after),
            ] {
                let length = text.chars().count();
                match limit {
                    Some(limit) if used + length > limit => {
                        pieces.push((style, cut(&text, limit.saturating_sub(used))));
                        return pieces;
                    }
                    _ => {
                        used += length;
                        pieces.push((style, text));
                    }
                }
            }
        }
        pieces
    }
}

/// The first `width` characters, the last of them an ellipsis when something is lost.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
    }
    let mut short: String = text.chars().take(width - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(table: &Table, width: Option<usize>) -> Vec<String> {
        table
            .lines(width)
            .iter()
            .map(|line| line.iter().map(|(_, text)| text.as_str()).collect())
            .collect()
    }

    fn sample() -> Table {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("RESTARTS", Align::Right),
            ("LAST END", Align::Left),
        ]);
        table.row(vec![Cell::new("hello"), Cell::new("3"), Cell::new("")]);
        table.row(vec![
            Cell::new("a-longer-name"),
            Cell::new("12"),
            Cell::new("trapped: unreachable executed"),
        ]);
        table
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        assert_eq!(
            plain(&sample(), None),
            [
                "NAME           RESTARTS  LAST END",
                "hello                 3  -",
                "a-longer-name        12  trapped: unreachable executed",
            ]
        );
    }

    #[test]
    fn lines_are_cut_at_the_edge_of_the_terminal() {
        for width in 0..60 {
            for line in plain(&sample(), Some(width)) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert_eq!(
            plain(&sample(), Some(30))[2],
            "a-longer-name        12  trap…"
        );
    }

    #[test]
    fn a_table_without_names_has_no_head() {
        let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
        table.row(vec![Cell::new("platform"), Cell::new("mobile")]);
        assert_eq!(plain(&table, None), ["platform  mobile"]);
    }

    #[test]
    fn a_cell_holds_no_escape_no_line_break_and_no_reversal() {
        let hostile = "\u{1b}[2J\u{1b}]0;title\u{7}a\r\nb\tc\u{9b}31m\u{202e}txt\u{7f}";
        let cell = Cell::new(hostile);
        assert!(
            !cell.text.chars().any(|c| c.is_control() || is_invisible(c)),
            "{:?}",
            cell.text
        );
    }

    #[test]
    fn json_stays_the_same_document_and_moves_no_terminal() {
        let value = serde_json::json!({ "text": "\u{1b}[31m\u{9b}31m\u{7f}\u{202e}é\n" });
        let text = harmless_json(&value.to_string());
        assert!(
            !text.chars().any(|c| c.is_control() || is_invisible(c)),
            "{text}"
        );
        let back: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(back, value);
    }

    #[test]
    fn cutting_counts_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("abc", 0), "");
    }
}
