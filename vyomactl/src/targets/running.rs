//! The device that `cargo xtask run` has started on this machine, in QEMU: while it runs, a note in the cache folder says how
//! it is reached, with a key that was made for it and host keys of its own, so that nobody is asked anything about a
//! device that is rebuilt all day.

use std::path::PathBuf;

use crate::target::{Remote, Target};

/// Longest note.
const MOST_BYTES: u64 = 16 * 1024;

/// The note.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    target: String,
    options: Vec<String>,
}

fn path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(base.join("vyoma/running.toml"))
}

/// The note, as long as what wrote it runs. A note that can't be read is none: it is no file of the user's.
fn note() -> Option<Note> {
    let path = path()?;
    if std::fs::metadata(&path).ok()?.len() > MOST_BYTES {
        return None;
    }
    let (note, pid) = read(&std::fs::read_to_string(&path).ok()?)?;
    std::fs::exists(format!("/proc/{pid}"))
        .unwrap_or(false)
        .then_some(note)
}

fn read(text: &str) -> Option<(Note, i64)> {
    let document: toml_edit::DocumentMut = text.parse().ok()?;
    let options = document.get("options")?.as_array()?.iter();
    let note = Note {
        target: document.get("target")?.as_str()?.to_owned(),
        options: options
            .map(|option| option.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
    };
    Some((note, document.get("pid")?.as_integer()?))
}

/// Its address.
pub(super) fn address() -> Option<String> {
    note().map(|note| note.target)
}

/// Adds what ssh needs to know, if it is this device.
pub(super) fn equip(remote: &mut Remote) {
    let is_local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1");
    if is_local(&remote.host)
        && let Some(note) = note()
        && let Ok(Target::Ssh(running)) = Target::parse(&note.target)
        && running.port == remote.port
        && is_local(&running.host)
    {
        remote.options = note.options;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_or_is_none() {
        let text =
            "pid = 7\ntarget = \"ssh://localhost:2222\"\noptions = [\"IdentitiesOnly=yes\"]\n";
        let (note, pid) = read(text).expect("a note");
        assert_eq!((note.target.as_str(), pid), ("ssh://localhost:2222", 7));
        assert_eq!(note.options, ["IdentitiesOnly=yes"]);
        for text in [
            "",
            "pid = 7",
            "pid = \"7\"\ntarget = \"x\"\noptions = []",
            "pid = 7\ntarget = \"x\"\noptions = [3]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
