//! The notes and the commands that change them. No files here: `main` loads and saves.

use std::fmt;

/// Most notes kept; more are refused.
const MAX_NOTES: usize = 100;

/// Notes in order; each is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Book(Vec<String>);

impl Book {
    /// From a file with one note a line.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Carries out `add TEXT`, `list` or `delete N` (from 1) and tells in one line what came of it.
    pub(crate) fn obey(&mut self, command: &str) -> String {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match (verb, rest.trim()) {
            ("add", "") => "error: nothing to add; say: add TEXT".to_owned(),
            ("add", _) if self.0.len() >= MAX_NOTES => {
                format!("error: {MAX_NOTES} notes already; delete one first")
            }
            ("add", text) => {
                self.0.push(text.to_owned());
                format!("added {}", self.0.len())
            }
            ("list", "") => self.0.join("|"),
            ("delete", number) => match number.parse::<usize>() {
                Ok(number) if (1..=self.0.len()).contains(&number) => {
                    format!("deleted {}", self.0.remove(number - 1))
                }
                _ => format!(
                    "error: no note {number:?}; there are {} notes, the first is 1",
                    self.0.len()
                ),
            },
            _ => format!("error: unknown command {verb:?}; say: add TEXT, list, delete N"),
        }
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_added_listed_and_deleted() {
        let mut book = Book::parse("");
        assert_eq!(book.obey("add buy milk"), "added 1");
        assert_eq!(book.obey("add call home"), "added 2");
        assert_eq!(book.obey("list"), "buy milk|call home");
        assert_eq!(book.obey("delete 1"), "deleted buy milk");
        assert_eq!(book.obey("list"), "call home");
    }

    #[test]
    fn the_file_holds_what_the_book_holds() {
        let mut book = Book::parse("one\ntwo\n");
        book.obey("add three");
        assert_eq!(book.to_string(), "one\ntwo\nthree\n");
        assert_eq!(Book::parse(&book.to_string()), book);
    }

    #[test]
    fn nonsense_changes_nothing_and_says_what_to_do() {
        let mut book = Book::parse("one\n");
        for command in [
            "",
            "add",
            "add  ",
            "delete",
            "delete 0",
            "delete 2",
            "delete -1",
            "burn",
            "list all",
        ] {
            assert!(book.obey(command).starts_with("error: "), "{command:?}");
        }
        assert_eq!(book, Book::parse("one\n"));
    }

    #[test]
    fn a_full_book_refuses_more() {
        let mut book = Book::parse(&"x\n".repeat(MAX_NOTES));
        assert!(book.obey("add y").starts_with("error: 100 notes"));
        assert_eq!(book.len(), MAX_NOTES);
    }
}
