//! A role's end of the socket pair to the daemon: one JSON document in, one out. Called by `app`, `admit` and `ssh`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::spec::fd;

/// Longest specification. Arguments and environment come from a manifest of at most 64 KiB; JSON escapes can make that
/// longer, and the rest is small.
const MAX_SPEC: u64 = 256 * 1024;

/// The connection to the daemon.
pub(super) struct Control(File);

impl Control {
    /// Takes the inherited descriptor and reads the specification, up to the end that the daemon makes by shutting its
    /// side down for writing.
    pub(super) fn open<T: DeserializeOwned>() -> Result<(Self, T), String> {
        let mut control = take(fd::CONTROL, "control socket")?;
        let mut text = Vec::new();
        (&mut control)
            .take(MAX_SPEC + 1)
            .read_to_end(&mut text)
            .map_err(|error| {
                format!(
                    "can't read the specification on descriptor {}: {error}",
                    fd::CONTROL
                )
            })?;
        if text.len() as u64 > MAX_SPEC {
            return Err(format!("the specification is longer than {MAX_SPEC} bytes"));
        }
        let spec = serde_json::from_slice(&text).map_err(|error| {
            format!("the specification is not what this vyomad expects: {error}")
        })?;
        Ok((Self(control), spec))
    }

    /// The connection itself, for a role that reports more than once.
    pub(super) fn into_file(self) -> File {
        self.0
    }

    /// Sends the report. A daemon that is gone can't be told, and ends this process anyway.
    pub(super) fn report<T: Serialize>(mut self, report: &T) {
        if let Ok(text) = serde_json::to_vec(report) {
            let _ = self.0.write_all(&text);
        }
    }
}

/// Takes ownership of an inherited descriptor. Each number once.
pub(super) fn take(number: i32, what: &str) -> Result<File, String> {
    // SAFETY: fcntl on a number that may not be open has no effect but its result.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(format!(
            "descriptor {number} ({what}) is not open; vyomad starts this role itself, it is not for the command line"
        ));
    }
    // SAFETY: it is open, it is above stdio, and each role takes each of its numbers at most once.
    Ok(unsafe { File::from_raw_fd(number) })
}
