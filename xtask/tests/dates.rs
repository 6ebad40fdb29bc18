//! `.ci/dates`: what cargo may go by when a fresh clone meets build outputs that are already there. A date that is too old
//! would be a test of something else than what stands in the tree, so each way to get one is tried here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// Build outputs, and repositories that share them.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir_all(scratch.target().join("debug/.fingerprint/app-1")).expect("a folder");
        scratch
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("target")
    }

    /// A repository with these files, as a clone has them: dated now.
    fn clone(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = self.0.path().join(name);
        fs::create_dir_all(root.join(".ci")).expect("a folder");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/dates");
        fs::copy(script, root.join(".ci/dates")).expect("the script");
        for (path, text) in files {
            fs::write(root.join(path), text).expect("a file");
        }
        for arguments in [&["init", "-q"][..], &["add", "-A"]] {
            let git = Command::new("git")
                .args(arguments)
                .current_dir(&root)
                .status();
            assert!(git.expect("running git").success());
        }
        root
    }

    fn dates(&self, root: &Path, verb: &str) {
        let done = Command::new(root.join(".ci/dates"))
            .arg(verb)
            .env("CARGO_TARGET_DIR", self.target())
            .status();
        assert!(done.expect("running the script").success());
    }
}

fn age(file: &Path, days: u64) -> SystemTime {
    let then = SystemTime::now() - Duration::from_hours(24 * days);
    let file = fs::File::options().write(true).open(file).expect("a file");
    file.set_modified(then).expect("a date");
    date_of(&file.metadata().expect("a date"))
}

fn date_of(metadata: &fs::Metadata) -> SystemTime {
    metadata.modified().expect("a date")
}

fn date(file: &Path) -> SystemTime {
    date_of(&fs::metadata(file).expect("a file"))
}

fn is_new(file: &Path) -> bool {
    date(file)
        .elapsed()
        .is_ok_and(|age| age < Duration::from_hours(1))
}

#[test]
fn a_clone_gets_the_dates_of_what_is_unchanged_and_of_nothing_else() {
    let scratch = Scratch::new();
    let placed = r#"env!("CARGO_MANIFEST_DIR")"#;
    let first = scratch.clone(
        "first",
        &[("same", "1"), ("changed", "1"), ("placed", placed)],
    );
    let then = age(&first.join("same"), 3);
    age(&first.join("changed"), 3);
    age(&first.join("placed"), 3);
    scratch.dates(&first, "keep");

    let second = scratch.clone(
        "second",
        &[
            ("same", "1"),
            ("changed", "2"),
            ("placed", placed),
            ("added", "1"),
        ],
    );
    scratch.dates(&second, "restore");
    assert_eq!(date(&second.join("same")), then);
    for name in ["changed", "placed", "added"] {
        assert!(is_new(&second.join(name)), "{name}");
    }
    // Back to what it was two builds ago: not what the last one was made of.
    scratch.dates(&second, "keep");
    let third = scratch.clone("third", &[("same", "1"), ("changed", "1")]);
    scratch.dates(&third, "restore");
    assert!(is_new(&third.join("changed")));
    assert_eq!(date(&third.join("same")), then);
}

#[test]
fn a_clone_in_the_same_place_keeps_the_dates_of_files_that_compile_their_place_in() {
    let scratch = Scratch::new();
    let files = [("placed", r#"env!("CARGO_MANIFEST_DIR")"#)];
    let root = scratch.clone("here", &files);
    let then = age(&root.join("placed"), 3);
    scratch.dates(&root, "keep");
    fs::remove_dir_all(&root).expect("removing the first clone");
    let root = scratch.clone("here", &files);
    assert!(is_new(&root.join("placed")));
    scratch.dates(&root, "restore");
    assert_eq!(date(&root.join("placed")), then);
}

#[test]
fn what_was_built_after_the_record_makes_it_void() {
    let scratch = Scratch::new();
    let root = scratch.clone("first", &[("same", "1")]);
    age(&root.join("same"), 3);
    scratch.dates(&root, "keep");
    age(&scratch.target().join("dates"), 1);
    let made = scratch.target().join("debug/.fingerprint/app-1/lib-app");
    fs::write(made, "by somebody else").expect("a fingerprint");
    let second = scratch.clone("second", &[("same", "1")]);
    scratch.dates(&second, "restore");
    assert!(is_new(&second.join("same")));
}

#[test]
fn without_a_record_every_date_stays() {
    let scratch = Scratch::new();
    let root = scratch.clone("first", &[("same", "1")]);
    scratch.dates(&root, "restore");
    assert!(is_new(&root.join("same")));
}
