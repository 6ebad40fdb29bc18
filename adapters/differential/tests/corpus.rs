//! What the engines make of the corpus, and of some numbers that are new to it.

use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

use vyoma_differential::{Outcome, differences, engines, execute, generate};
use vyoma_runtime::sha256_hex;

/// The numbers that are tried at every run of the tests, the same on a slow machine and on a quick one: some twenty seconds. Long
/// runs: `cargo run --release -p vyoma-differential -- run`.
const NUMBERS: Range<u64> = 1_000_100..1_000_300;

/// What every engine makes of the component in `file`. All must be there.
fn all(file: &Path) -> Vec<(&'static str, Outcome)> {
    assert_eq!(
        engines::names(),
        ["wasmtime", "wasmtime-core", "wamr", "wamr-aot", "wasm3"],
        "{} has to name the program vyoma-aotc: `cargo xtask aotc` builds it and prints where it is",
        engines::AOTC
    );
    execute::all(Path::new(env!("CARGO_BIN_EXE_vyoma-differential")), file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_engine_makes_of_the_corpus_what_is_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is in the tree")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .collect();
    files.sort();
    assert!(
        files.len() >= 20,
        "{} holds {} components",
        folder.display(),
        files.len()
    );
    let mut found = String::new();
    for file in &files {
        let outcomes = all(file);
        let lines = differences(&outcomes);
        assert!(lines.is_empty(), "{}: {}", file.display(), lines.join("; "));
        let (_, outcome) = &outcomes[0];
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        writeln!(
            found,
            "{name} {} {}",
            outcome.ending,
            sha256_hex(&outcome.stdout)
        )
        .expect("text grows");
    }
    let recorded = folder.join("expected.txt");
    let expected = std::fs::read_to_string(&recorded).unwrap_or_default();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "differs from {}", recorded.display());
    }
    assert_eq!(found, expected, "differs from {}", recorded.display());
}

#[test]
fn all_engines_make_the_same_of_new_components() {
    let folder = tempfile::tempdir().expect("a folder");
    for number in NUMBERS {
        let Some(component) =
            generate::component(number).unwrap_or_else(|why| panic!("number {number}: {why}"))
        else {
            continue;
        };
        let file = folder.path().join("component.wasm");
        std::fs::write(&file, component).expect("it can be written");
        let lines = differences(&all(&file));
        assert!(
            lines.is_empty(),
            "`vyoma-differential make {number} FILE` and `replay FILE` show it: {}",
            lines.join("; ")
        );
    }
}

#[test]
fn a_number_gives_the_same_component_every_time() {
    for number in 0..10 {
        assert_eq!(generate::component(number), generate::component(number));
    }
}
