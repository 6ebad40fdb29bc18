//! What is said about a bad manifest or profile: one line with file, place, what was found and what was expected.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// A manifest or profile that can't be used.
///
/// Prints as `FILE:LINE: KEY: found X; expected Y; HINT` on one line (parts that are absent are left out).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as the user named it.
    pub file: String,
    /// 1-based line, when the problem has one.
    pub line: Option<u32>,
    /// Dotted key such as `capabilities.gpio.pins`; empty when the file as a whole is meant.
    pub key: String,
    /// What was found, quoted as far as sensible (never more than 80 characters of the file).
    pub found: String,
    /// What was expected instead.
    pub expected: String,
    /// What to do, when that is more than "write what was expected". Boxed as text that never
    /// grows, which also keeps a `Result` of this error small enough to hand around.
    pub hint: Option<Box<str>>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": found {}; expected {}", self.found, self.expected)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigError {}
