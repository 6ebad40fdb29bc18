//! Messages in postcard.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::control::{ControlError, ErrorKind, Request, Response};

/// What [`Response::Apps`] starts with: before how many they are, and each of them.
pub const APPS: u8 = 1;
/// What [`Response::LogLine`] starts with: before the line.
pub const LOG_LINE: u8 = 2;
/// What [`Response::Event`] starts with: before the event.
pub const EVENT: u8 = 3;

/// What [`Request::Install`] starts with: a microcontroller reads no more of it.
pub const INSTALL: u8 = 3;
/// What requests start with that only a daemon on Linux understands: this and all higher numbers. A microcontroller's code
/// has no room to read them, or to write their answers: they stand last in [`Request`] and [`Response`], and are left out when a
/// firmware is built. So whatever a microcontroller is to understand comes before them, and is another version of the line.
pub const FOR_LINUX: u8 = 14;

/// A request as it goes over the line.
pub fn encode_request(request: &Request) -> Vec<u8> {
    encode(request)
}

/// Reads a request. What it takes of memory is bounded by `bytes`.
pub fn decode_request(bytes: &[u8]) -> Result<Request, ControlError> {
    match postcard::take_from_bytes(bytes) {
        Ok((request, [])) => Ok(request),
        Ok((_, rest)) => Err(senseless(&format!(
            "{} bytes after the request",
            rest.len()
        ))),
        // postcard's own words would be most of a kilobyte of a firmware.
        Err(_) => Err(senseless("what can't be read")),
    }
}

/// An answer as it goes over the line.
pub fn encode_response(response: &Response) -> Vec<u8> {
    encode(response)
}

/// Takes the first answer from what has come: it, and how many bytes it took. `None`: not all of it has come.
pub fn take_response(bytes: &[u8]) -> Result<Option<(Response, usize)>, ControlError> {
    match postcard::take_from_bytes(bytes) {
        Ok((response, rest)) => Ok(Some((response, bytes.len() - rest.len()))),
        Err(postcard::Error::DeserializeUnexpectedEnd) => Ok(None),
        Err(error) => Err(senseless(&format!("{error}"))),
    }
}

fn encode(message: &impl serde::Serialize) -> Vec<u8> {
    // Nothing in a message is of unknown length, which is all that postcard refuses to write.
    postcard::to_allocvec(message).unwrap_or_default()
}

fn senseless(why: &str) -> ControlError {
    ControlError {
        kind: ErrorKind::Protocol,
        message: String::from("message: found ")
            + why
            + "; expected one in postcard; use the vyomactl of the device's version",
    }
}
