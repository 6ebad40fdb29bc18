//! Which devices a command is for: what `--target` names, one or several, by address, or by the name of a target or a group in
//! `targets.toml`; else the default there, else a device that `cargo xtask run` has started here, else this machine's socket.

mod commands;
mod file;
mod running;

pub(crate) use commands::{add, list, remove};

use crate::cli::DEFAULT_TARGET;
use crate::exit::{Exit, Failure};
use crate::target::Target;
use file::File;

/// Most devices of one command.
const MOST: usize = 1000;

/// A device that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// As it was named, for tables.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) target: Target,
}

/// The devices that these words name, each once; without any word, the default.
pub(crate) fn resolve(words: &[String]) -> Result<Vec<Place>, Failure> {
    let mut file = None;
    let mut places = Vec::new();
    if words.is_empty() {
        let known = File::load()?;
        let default = known
            .default()?
            .or_else(running::address)
            .unwrap_or_else(|| DEFAULT_TARGET.to_owned());
        add_word(&default, &mut Some(known), &mut places)?;
    }
    for word in words {
        add_word(word, &mut file, &mut places)?;
    }
    if places.len() > MOST {
        return Err(Failure::new(
            Exit::Usage,
            format!("found {} targets; expected at most {MOST}", places.len()),
        ));
    }
    let several = places.len() > 1;
    for place in &mut places {
        if let Target::Ssh(remote) = &mut place.target {
            remote.batch = several;
            running::equip(remote);
        }
    }
    Ok(places)
}

fn add_word(word: &str, file: &mut Option<File>, places: &mut Vec<Place>) -> Result<(), Failure> {
    let mut add = |place: Place| {
        if !places.iter().any(|known| known.name == place.name) {
            places.push(place);
        }
    };
    if !file::is_name(word) {
        add(Place {
            name: word.to_owned(),
            target: Target::parse(word)?,
        });
        return Ok(());
    }
    let file = match file {
        Some(file) => file,
        None => file.insert(File::load()?),
    };
    file.find(word)?.into_iter().for_each(add);
    Ok(())
}

/// Whether commands take all that is in `targets.toml`, if there is one.
pub(crate) fn check() -> Result<(), Failure> {
    File::load()?.check_all()
}

/// The one device of a command that takes no more.
pub(crate) fn only(words: &[String], command: &str) -> Result<Place, Failure> {
    single(&resolve(words)?, command).cloned()
}

/// The same, of devices that are known.
pub(crate) fn single<'a>(places: &'a [Place], command: &str) -> Result<&'a Place, Failure> {
    match places {
        [place] => Ok(place),
        _ => Err(Failure::new(
            Exit::Usage,
            format!(
                "{command} takes one target, found {}; say it once with -t NAME",
                places.len()
            ),
        )),
    }
}
