//! What we change in wasm3 0.9.0, each with its reason. A pattern that is not found exactly as often as expected stops
//! the build: the source is then another one, and every change has to be looked at again.

mod compiler;
mod floats;
mod runtime;

/// All of them, in the order in which they are applied.
pub(crate) fn all() -> impl Iterator<Item = &'static Patch> {
    [floats::PATCHES, runtime::PATCHES, compiler::PATCHES]
        .into_iter()
        .flatten()
}

/// Replaces text in one file.
pub(crate) struct Patch {
    /// Name of the file.
    pub(crate) file: &'static str,
    /// How often `find` has to occur.
    pub(crate) count: usize,
    /// What is replaced. With `until`, everything from here up to that.
    pub(crate) find: &'static str,
    /// See `find`.
    pub(crate) until: Option<&'static str>,
    /// What comes in its place.
    pub(crate) replace: &'static str,
}

impl Patch {
    /// The patched text.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        let found = text.matches(self.find).count();
        if found != self.count {
            return Err(format!(
                "{}: `{}` found {found} times, expected {}; expected wasm3 0.9.0",
                self.file,
                self.find.escape_debug(),
                self.count
            ));
        }
        let Some(until) = self.until else {
            return Ok(text.replace(self.find, self.replace));
        };
        text.split_once(self.find)
            .and_then(|(before, rest)| {
                let end = rest.find(until)?;
                Some(format!("{before}{}{}", self.replace, &rest[end..]))
            })
            .ok_or_else(|| format!("{}: no `{until}` after `{}`", self.file, self.find))
    }
}

pub(crate) const fn patch(
    file: &'static str,
    count: usize,
    find: &'static str,
    replace: &'static str,
) -> Patch {
    Patch {
        file,
        count,
        find,
        until: None,
        replace,
    }
}
