//! How `vyomactl` ends: the one table of exit codes, and the failure that carries one of them.
//!
//! Help, man page and tests read [`TABLE`]; every module makes [`Failure`]s; only `main` reports one.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use vyoma_capabilities::control::{ControlError, ErrorKind};

use crate::cli::OutputFormat;
use crate::output;

/// Why the command ended; the number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Something on this side failed.
    Local = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No app of that name.
    NoSuchApp = 3,
    /// Manifest, component or an argument can't be used.
    Invalid = 4,
    /// The bytes don't have the hash that was announced or pinned.
    HashMismatch = 5,
    /// A limit of the device or its profile.
    Limit = 6,
    /// It makes no sense in the app's present state.
    State = 7,
    /// The device failed.
    Device = 8,
    /// The new version did not prove healthy.
    RolledBack = 9,
    /// No connection.
    Unreachable = 10,
    /// The other side speaks something else.
    Protocol = 11,
    /// No answer in time.
    Timeout = 12,
    /// The device hung up before it had answered.
    Lost = 13,
    /// SSH: none of our keys may log in.
    Denied = 14,
    /// SSH: the device's host key is not known, or is another one.
    HostKey = 15,
    /// Several devices, and they failed in different ways.
    Mixed = 16,
    /// `doctor` found something wrong.
    Wrong = 17,
    /// No signature, where one is required.
    Unsigned = 20,
    /// The signature is not of these bytes.
    BadSignature = 21,
    /// The device does not trust the key.
    UnknownKey = 22,
    /// A newer version has run on the device.
    OlderVersion = 23,
}

impl Exit {
    /// Whether the conversation failed: nothing more is to be had over this connection.
    pub(crate) fn is_conversation(self) -> bool {
        (Self::Unreachable as u8..=Self::HostKey as u8).contains(&(self as u8))
    }
}

/// Every exit code with its name (also the `kind` of a JSON error) and its meaning. 10 to 15: the conversation failed, and
/// whether the device did what it was asked is not known. 20 and up: refused for who made it.
pub(crate) const TABLE: &[(Exit, &str, &str)] = &[
    (Exit::Ok, "ok", "done"),
    (
        Exit::Local,
        "local",
        "failed on this side: a file, the output, or a question answered no",
    ),
    (Exit::Usage, "usage", "the command line makes no sense"),
    (
        Exit::NoSuchApp,
        "no-such-app",
        "the device has no app of that name",
    ),
    (
        Exit::Invalid,
        "invalid",
        "the manifest, the component or an argument can't be used",
    ),
    (
        Exit::HashMismatch,
        "hash-mismatch",
        "the component does not have the SHA-256 that was pinned or sent",
    ),
    (Exit::Limit, "limit", "a limit of the device or its profile"),
    (
        Exit::State,
        "state",
        "it makes no sense in the app's present state",
    ),
    (
        Exit::Device,
        "device",
        "the device failed: disk full, input or output error",
    ),
    (
        Exit::RolledBack,
        "rolled-back",
        "the new version did not prove healthy, and the device went back to the one before",
    ),
    (
        Exit::Unreachable,
        "unreachable",
        "no connection to the device",
    ),
    (
        Exit::Protocol,
        "protocol",
        "the other side speaks another protocol version, or garbage",
    ),
    (
        Exit::Timeout,
        "timeout",
        "the device did not answer in time",
    ),
    (
        Exit::Lost,
        "lost",
        "the device hung up before it had answered",
    ),
    (
        Exit::Denied,
        "denied",
        "SSH: the device lets none of the keys here log in",
    ),
    (
        Exit::HostKey,
        "host-key",
        "SSH: the device's host key is not known yet, or has changed",
    ),
    (
        Exit::Mixed,
        "mixed",
        "several devices were asked, and failed in different ways: the table says how each one did",
    ),
    (Exit::Wrong, "wrong", "doctor found something wrong"),
    (
        Exit::Unsigned,
        "unsigned",
        "refused: no signature, and the device requires one",
    ),
    (
        Exit::BadSignature,
        "bad-signature",
        "refused: the signature is not of these bytes, or is no signature",
    ),
    (
        Exit::UnknownKey,
        "unknown-key",
        "refused: signed with a key that the device does not trust",
    ),
    (
        Exit::OlderVersion,
        "older-version",
        "refused: a newer version has run on the device",
    ),
];

/// What a shell makes of an end by Ctrl-C; the process itself has no code then.
pub(crate) const INTERRUPTED: (u8, &str) = (130, "interrupted by Ctrl-C, as the shell shows it");

/// The table as text, for `--help`.
pub(crate) fn table_text() -> String {
    let mut text = String::from("Exit codes:\n");
    for (exit, _, meaning) in TABLE {
        let _ = writeln!(text, "  {:>3}  {meaning}", *exit as u8);
    }
    let (code, meaning) = INTERRUPTED;
    let _ = write!(text, "  {code:>3}  {meaning}");
    text
}

/// A command that did not succeed: one line for people, and the exit code for programs.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// `message`: what was wrong, where, and what to do, on one line. It may quote other people's text.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Writing the output failed. A reader that went away (`| head`) is no failure: the end is quiet.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::quiet();
        }
        Self::new(
            Exit::Local,
            format!("cannot write the output: {error}; look at where standard output goes"),
        )
    }

    /// Nobody reads the output any more: end without a word.
    pub(crate) fn quiet() -> Self {
        Self::new(Exit::Ok, "")
    }

    /// The same, said of one of several devices.
    pub(crate) fn of_device(self, name: &str) -> Self {
        if self.message.starts_with(name) {
            return self;
        }
        Self::new(self.exit, format!("{name}: {}", self.message))
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What is said.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says it on standard error, in the form that was asked for, and gives the code to end with.
    pub(crate) fn report(&self, format: OutputFormat) -> ExitCode {
        let code = self.exit as u8;
        if self.exit != Exit::Ok {
            match format {
                OutputFormat::Table => {
                    output::complain(&format!("vyomactl: {}", output::clean(&self.message)));
                }
                OutputFormat::Json => {
                    let error = serde_json::json!({ "error": self.json() });
                    output::complain(&output::harmless_json(&error.to_string()));
                }
            }
        }
        ExitCode::from(code)
    }

    /// Code, kind and message, as they stand in JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let code = self.exit as u8;
        serde_json::json!({ "code": code, "kind": self.kind(), "message": self.message })
    }

    /// The name of the exit code.
    pub(crate) fn kind(&self) -> &'static str {
        TABLE
            .iter()
            .find(|(exit, ..)| *exit == self.exit)
            .map_or("local", |(_, name, _)| name)
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let exit = match error.kind {
            ErrorKind::Protocol => Exit::Protocol,
            ErrorKind::NoSuchApp => Exit::NoSuchApp,
            ErrorKind::Invalid => Exit::Invalid,
            ErrorKind::HashMismatch => Exit::HashMismatch,
            ErrorKind::Limit => Exit::Limit,
            ErrorKind::State => Exit::State,
            ErrorKind::Device => Exit::Device,
            ErrorKind::Unsigned => Exit::Unsigned,
            ErrorKind::BadSignature => Exit::BadSignature,
            ErrorKind::UnknownKey => Exit::UnknownKey,
            ErrorKind::OlderVersion => Exit::OlderVersion,
        };
        Self::new(exit, error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_stand_in_the_table_once_and_in_order() {
        assert!(
            TABLE
                .windows(2)
                .all(|pair| (pair[0].0 as u8) < pair[1].0 as u8)
        );
        let mut names: Vec<_> = TABLE.iter().map(|(_, name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn every_kind_of_refusal_has_its_own_code() {
        let kinds = [
            ErrorKind::Protocol,
            ErrorKind::NoSuchApp,
            ErrorKind::Invalid,
            ErrorKind::HashMismatch,
            ErrorKind::Limit,
            ErrorKind::State,
            ErrorKind::Device,
            ErrorKind::Unsigned,
            ErrorKind::BadSignature,
            ErrorKind::UnknownKey,
            ErrorKind::OlderVersion,
        ];
        let mut codes: Vec<u8> = kinds
            .iter()
            .map(|kind| {
                let error = ControlError {
                    kind: *kind,
                    message: String::from("no"),
                };
                Failure::from(error).exit() as u8
            })
            .collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), kinds.len());
        assert!(codes.iter().all(|code| *code > 2));
    }
}
