//! Keeps notes in the app's private folder, which it sees as `/`.
//!
//! Other apps send it `add TEXT`, `list` or `delete N`, and get one line back. At every start it appends a line to a
//! journal and reads it back, so one can see that data outlives a restart and a reboot.

mod book;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};

use book::Book;
use vyoma::{Inbox, Incoming};

const NOTES: &str = "/notes.txt";
const NEW_NOTES: &str = "/notes.txt.new";
const STARTS: &str = "/starts.txt";

fn main() -> io::Result<()> {
    let start = count_this_start().map_err(|error| {
        io::Error::other(format!(
            "can't write {STARTS}: {error}; does vyoma.toml say `filesystem = true`?"
        ))
    })?;
    let mut book = Book::parse(&read_or_empty(NOTES)?);
    vyoma::log(format_args!("start {start}, {} notes", book.len()));
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        let name = entry.file_name();
        let size = entry.metadata()?.len();
        vyoma::log(format_args!("/{} {size} bytes", name.to_string_lossy()));
    }

    let mut inbox = Inbox::growing();
    while let Some(incoming) = inbox.receive().map_err(io::Error::other)? {
        let Incoming::Line(command) = incoming else {
            continue;
        };
        let before = book.clone();
        let answer = book.obey(command);
        if book == before {
            vyoma::reply(answer);
            continue;
        }
        // Answer only what is safely on disk; what can't be saved has not happened.
        match save(&book) {
            Ok(()) => vyoma::reply(answer),
            Err(error) => {
                book = before;
                vyoma::log(format_args!("can't write {NOTES}: {error}"));
                vyoma::reply(format_args!("error: not saved: {error}"));
            }
        }
    }
    Ok(())
}

/// Appends a line to the journal and tells how many there are now.
fn count_this_start() -> io::Result<usize> {
    let mut journal = OpenOptions::new().create(true).append(true).open(STARTS)?;
    journal.write_all(b"started\n")?;
    journal.sync_all()?;
    Ok(fs::read_to_string(STARTS)?.lines().count())
}

fn read_or_empty(path: &str) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result,
    }
}

/// Writes beside the old file, then renames: power may fail at any moment, and one of the two is whole.
fn save(book: &Book) -> io::Result<()> {
    let mut file = fs::File::create(NEW_NOTES)?;
    file.write_all(book.to_string().as_bytes())?;
    file.sync_all()?;
    fs::rename(NEW_NOTES, NOTES)
}
