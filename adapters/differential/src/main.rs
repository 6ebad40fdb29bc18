//! Runs random components on every engine and says where they differ.
//!
//! `vyoma-differential run [--seed N] [--count M] [--seconds S] [--keep DIR]` tries the numbers from N up, until M were tried or
//! S seconds are over, writes each component that differs to DIR, and exits with 1 when there was one.
//! `vyoma-differential replay FILE..` says what each engine makes of a component.
//! `vyoma-differential make N FILE` writes the component of a number.
//! `vyoma-differential corpus DIR [--seed N] [--count M]` picks components that cover what no other before them does.
//!
//! With the environment variable `VYOMA_AOTC` set to the program `vyoma-aotc`, machine code of WAMR is compared too.

#![allow(clippy::print_stdout, reason = "a command")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use vyoma_differential::{differences, engines, execute, generate};

/// Most components of the corpus.
const CORPUS: usize = 40;
/// Most bytes of one: enough for a dozen functions.
const SMALL: usize = 24_576;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [execute::CHILD, engine, component, report] => {
            execute::child(engine, Path::new(component), Path::new(report)).map(|()| true)
        }
        ["run", options @ ..] => Options::read(options).and_then(|options| run(&options)),
        ["replay", files @ ..] if !files.is_empty() => replay(files),
        ["make", seed, file] => make(seed, Path::new(file)),
        ["corpus", folder, options @ ..] => {
            Options::read(options).and_then(|options| corpus(Path::new(folder), &options))
        }
        _ => Err("usage: vyoma-differential run [--seed N] [--count M] [--seconds S] [--keep DIR] | replay FILE.. | make N FILE | corpus DIR [--seed N] [--count M]".to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("vyoma-differential: {why}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    seed: u64,
    count: u64,
    limit: Option<Duration>,
    keep: PathBuf,
}

impl Options {
    fn read(words: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            seed: 0,
            count: u64::MAX,
            limit: None,
            keep: PathBuf::from("findings"),
        };
        let mut words = words.iter();
        while let Some(&name) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{name} wants a value"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|error| format!("{name} {value}: {error}"))
            };
            match name {
                "--seed" => options.seed = number()?,
                "--count" => options.count = number()?,
                "--seconds" => options.limit = Some(Duration::from_secs(number()?)),
                "--keep" => options.keep = PathBuf::from(value),
                _ => {
                    return Err(format!(
                        "unknown option {name}; expected --seed, --count, --seconds or --keep"
                    ));
                }
            }
        }
        if options.count == u64::MAX && options.limit.is_none() {
            options.count = 1000;
        }
        Ok(options)
    }
}

fn program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| error.to_string())
}

fn run(options: &Options) -> Result<bool, String> {
    let program = program()?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("component.wasm");
    let begin = Instant::now();
    let (mut tried, mut unfit, mut found) = (0_u64, 0_u64, 0_u64);
    let mut endings = std::collections::BTreeMap::<String, u64>::new();
    for seed in options.seed..options.seed.saturating_add(options.count) {
        if options.limit.is_some_and(|limit| begin.elapsed() > limit) {
            break;
        }
        let Some(component) =
            generate::component(seed).map_err(|why| format!("number {seed}: {why}"))?
        else {
            unfit += 1;
            continue;
        };
        std::fs::write(&file, &component).map_err(|error| error.to_string())?;
        let outcomes = execute::all(&program, &file).map_err(|error| error.to_string())?;
        tried += 1;
        *endings.entry(outcomes[0].1.ending.clone()).or_default() += 1;
        let lines = differences(&outcomes);
        if !lines.is_empty() {
            found += 1;
            std::fs::create_dir_all(&options.keep).map_err(|error| error.to_string())?;
            let kept = options.keep.join(format!("{seed}.wasm"));
            std::fs::write(&kept, &component).map_err(|error| error.to_string())?;
            println!(
                "number {seed} ({})\n    {}",
                kept.display(),
                lines.join("\n    ")
            );
        }
    }
    println!(
        "{tried} components on {} in {} s: {found} differ ({unfit} numbers gave none that is admitted)",
        engines::names().join(", "),
        begin.elapsed().as_secs()
    );
    for (ending, count) in endings {
        println!("{count:8} {ending}");
    }
    Ok(found == 0)
}

fn replay(files: &[&str]) -> Result<bool, String> {
    let program = program()?;
    let mut same = true;
    for file in files {
        let outcomes =
            execute::all(&program, Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
        for (engine, outcome) in &outcomes {
            println!(
                "{file}: {engine}: {}, prints {}",
                outcome.ending,
                words(&outcome.stdout)
            );
        }
        same &= differences(&outcomes).is_empty();
    }
    Ok(same)
}

/// Output as hashes of 8 bytes.
fn words(bytes: &[u8]) -> String {
    bytes
        .chunks(8)
        .map(|chunk| {
            chunk
                .iter()
                .rev()
                .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn make(seed: &str, file: &Path) -> Result<bool, String> {
    let seed = seed.parse().map_err(|error| format!("{seed}: {error}"))?;
    let component = generate::component(seed)?.ok_or("this number gives none that is admitted")?;
    std::fs::write(file, component).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(true)
}

fn corpus(folder: &Path, options: &Options) -> Result<bool, String> {
    let program = program()?;
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut covered = BTreeSet::new();
    let mut kept = 0;
    for seed in options.seed..options.seed.saturating_add(options.count) {
        let Some(component) = generate::component(seed)? else {
            continue;
        };
        if component.len() > SMALL || kept == CORPUS {
            continue;
        }
        let file = folder.join(format!("{seed}.wasm"));
        std::fs::write(&file, &component).map_err(failed)?;
        let outcomes = execute::all(&program, &file).map_err(failed)?;
        let mut here = operators(&component).map_err(|error| error.to_string())?;
        here.insert(outcomes[0].1.ending.clone());
        if differences(&outcomes).is_empty() && !here.is_subset(&covered) {
            println!(
                "{}: {} new",
                file.display(),
                here.difference(&covered).count()
            );
            covered.extend(here);
            kept += 1;
        } else {
            std::fs::remove_file(&file).map_err(failed)?;
        }
    }
    println!(
        "{kept} components, {} kinds of instructions and endings",
        covered.len()
    );
    Ok(true)
}

/// Names of the instructions of all functions.
fn operators(component: &[u8]) -> Result<BTreeSet<String>, wasmparser::BinaryReaderError> {
    let mut names = BTreeSet::new();
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        if let wasmparser::Payload::CodeSectionEntry(body) = payload? {
            for operator in body.get_operators_reader()? {
                let text = format!("{:?}", operator?);
                names.insert(text.split([' ', '(']).next().unwrap_or_default().to_owned());
            }
        }
    }
    Ok(names)
}
