//! `vyomad compile`: what `admit` does, off the device: the build of an image fills its `/store` with it. No sandbox,
//! since the bytes come from whoever builds the image; nothing of it runs on a device.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vyoma_capabilities::profile::{self, Profile};

use crate::spec::level;

const USAGE: &str = "usage: vyomad compile --profile NAME|FILE [--cpu LEVEL] --store DIR COMPONENT";

/// What is printed, as one line of JSON.
#[derive(serde::Serialize)]
struct Compiled {
    /// Of the component.
    sha256: String,
    /// File name in the store.
    key: String,
    /// Bytes of the artefact.
    size: usize,
}

struct Options {
    profile: String,
    cpu: Option<String>,
    store: PathBuf,
    component: PathBuf,
}

/// Main function of the process; reads its own arguments.
pub(crate) fn main() -> ExitCode {
    // The program's name and `compile`.
    let words = std::env::args().skip(2);
    match parse(words).and_then(|options| compile(&options)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("vyomad compile: {why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut profile, mut cpu, mut store, mut component) = (None, None, None, None);
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--profile" => &mut profile,
            "--cpu" => &mut cpu,
            "--store" => &mut store,
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}; {USAGE}")),
            _ if component.is_some() => {
                return Err(format!("found a second component {word}; {USAGE}"));
            }
            _ => {
                component = Some(word);
                continue;
            }
        };
        *place = Some(
            words
                .next()
                .ok_or_else(|| format!("{word} needs a value; {USAGE}"))?,
        );
    }
    let needed = |value: Option<String>, what: &str| {
        value.ok_or_else(|| format!("{what} is missing; {USAGE}"))
    };
    Ok(Options {
        profile: needed(profile, "--profile")?,
        cpu,
        store: needed(store, "--store")?.into(),
        component: needed(component, "the component")?.into(),
    })
}

fn compile(options: &Options) -> Result<String, String> {
    let profile = find_profile(&options.profile)?;
    let component = fs::read(&options.component)
        .map_err(|error| format!("{}: {error}", options.component.display()))?;
    let sha256 = vyoma_runtime::sha256_hex(&component);
    let engine = super::engine::for_cpu(profile.engine, options.cpu.as_deref())?;
    let of_component =
        |error: vyoma_runtime::EngineError| format!("{}: {error}", options.component.display());
    engine.validate(&component).map_err(of_component)?;
    let artefact = engine
        .compile(&component, level(&profile))
        .map_err(of_component)?;
    let key = engine.key(&sha256, level(&profile)).file_name();
    store(&options.store, &key, &artefact)?;
    let compiled = Compiled {
        sha256,
        key,
        size: artefact.len(),
    };
    serde_json::to_string(&compiled).map_err(|error| error.to_string())
}

/// The text of a built-in profile, or a file.
fn find_profile(name: &str) -> Result<Profile, String> {
    let text = match profile::builtin(name) {
        Some(text) => text.to_owned(),
        None => fs::read_to_string(name).map_err(|error| {
            format!(
                "--profile {name}: {error}; expected a file or one of {}",
                profile::PLATFORMS.join(", ")
            )
        })?,
    };
    profile::parse(name, &text).map_err(|error| error.to_string())
}

/// Whole or not at all: a build that is interrupted leaves no half artefact under a valid name.
fn store(folder: &Path, key: &str, artefact: &[u8]) -> Result<(), String> {
    let (part, whole) = (folder.join(format!("{key}.part")), folder.join(key));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&part, artefact))
        .and_then(|()| fs::rename(&part, &whole))
        .map_err(|error| format!("{}: {error}", whole.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Options, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_may_stand_in_any_order() {
        let options = words("a.wasm --store s --profile mobile --cpu v1").unwrap();
        assert_eq!(
            (options.component, options.store),
            ("a.wasm".into(), "s".into())
        );
        assert_eq!(
            (options.profile.as_str(), options.cpu.as_deref()),
            ("mobile", Some("v1"))
        );
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (line, expected) in [
            ("--store s a.wasm", "--profile is missing"),
            ("--profile mobile a.wasm", "--store is missing"),
            ("--profile mobile --store s", "component is missing"),
            ("--profile", "--profile needs a value"),
            ("--bogus", "--bogus"),
            ("a.wasm b.wasm", "b.wasm"),
        ] {
            let error = words(line).err().unwrap();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn an_unknown_profile_gets_the_list() {
        let error = find_profile("no-such-platform").err().unwrap();
        assert!(error.contains("server-headless"), "{error}");
    }
}
