//! What is signed of an app, and the file `vyoma.sig` that says so. Text only: the arithmetic of Ed25519 is the callers'
//! business, and whose key is trusted is the device's.
//!
//! ```text
//! vyoma signature 1
//! manifest HEX            SHA-256 of vyoma.toml, as it is
//! component HEX           SHA-256 of the component
//! machine-code HEX        SHA-256 of an artefact made of it; none, or one for each kind of device
//! key HEX                 the Ed25519 public key
//! signature HEX           of every byte before this line
//! ```

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use crate::hex;

/// Name of the file, beside `vyoma.toml`.
pub const FILE: &str = "vyoma.sig";
/// Most bytes of it.
pub const MAX_SIGNATURE: usize = 4096;
/// Most artefacts that one signature names: more kinds of device than there are.
pub const MAX_MACHINE_CODE: usize = 32;
/// What a public key begins with where people read it.
pub const KEY_PREFIX: &str = "ed25519:";

const HEAD: &str = "vyoma signature 1\n";

/// A `vyoma.sig` that can be read; whether its signature is right is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a> {
    /// SHA-256 of the manifest's text.
    pub manifest: [u8; 32],
    /// SHA-256 of the component.
    pub component: [u8; 32],
    /// SHA-256 of each artefact.
    pub machine_code: Vec<[u8; 32]>,
    /// Public key of who signed.
    pub key: [u8; 32],
    /// The signature.
    pub signature: [u8; 64],
    /// What was signed.
    pub message: &'a [u8],
}

/// A `vyoma.sig` that makes no sense: one line that says where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureError(String);

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for SignatureError {}

/// What has to be signed: everything before the last line.
pub fn message(
    manifest: &[u8; 32],
    component: &[u8; 32],
    machine_code: &[[u8; 32]],
    key: &[u8; 32],
) -> String {
    let mut text = String::from(HEAD);
    let mut line = |word: &str, hash: &[u8; 32]| {
        text.push_str(word);
        text.push(' ');
        text.push_str(&hex::encode(hash));
        text.push('\n');
    };
    line("manifest", manifest);
    line("component", component);
    for hash in machine_code {
        line("machine-code", hash);
    }
    line("key", key);
    text
}

/// The whole file.
pub fn file(message: &str, signature: &[u8; 64]) -> String {
    let (low, high) = signature.split_at(32);
    let half = |half: &[u8]| {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(half);
        hex::encode(&bytes)
    };
    format!("{message}signature {}{}\n", half(low), half(high))
}

/// Reads the file.
pub fn parse(text: &str) -> Result<Signed<'_>, SignatureError> {
    let wrong = |line: usize, expected: &str| {
        SignatureError(format!("{FILE}: line {line}: expected {expected}"))
    };
    if text.len() > MAX_SIGNATURE {
        return Err(SignatureError(format!(
            "{FILE}: found {} bytes; expected at most {MAX_SIGNATURE}",
            text.len()
        )));
    }
    let Some(mut rest) = text.strip_prefix(HEAD) else {
        return Err(wrong(1, "\"vyoma signature 1\""));
    };
    let mut number = 1;
    let mut next = |word: &'static str, digits: usize| {
        let value = rest
            .strip_prefix(word)
            .and_then(|rest| rest.strip_prefix(' '))
            .and_then(|rest| rest.split_once('\n'))
            .filter(|(value, _)| value.len() == digits && hex::is_lower_case(value));
        value.map(|(value, after)| {
            rest = after;
            number += 1;
            (value, text.len() - after.len(), number)
        })
    };
    let hash = |value: &str| hex::decode(value).unwrap_or_default();
    let (manifest, _, at) =
        next("manifest", 64).ok_or_else(|| wrong(2, "manifest and 64 hexadecimal digits"))?;
    let (component, _, mut at_line) = next("component", 64)
        .ok_or_else(|| wrong(at + 1, "component and 64 hexadecimal digits"))?;
    let mut machine_code = Vec::new();
    while let Some((value, _, at)) = next("machine-code", 64) {
        if machine_code.len() == MAX_MACHINE_CODE {
            return Err(wrong(at, "no more machine-code: there are 32 already"));
        }
        machine_code.push(hash(value));
        at_line = at;
    }
    let (key, signed, at) = next("key", 64).ok_or_else(|| {
        wrong(
            at_line + 1,
            "machine-code or key, and 64 hexadecimal digits",
        )
    })?;
    let (value, end, at) = next("signature", 128)
        .ok_or_else(|| wrong(at + 1, "signature and 128 hexadecimal digits"))?;
    if end != text.len() {
        return Err(wrong(at + 1, "the end of the file"));
    }
    let (low, high) = value.split_at(64);
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&hash(low));
    signature[32..].copy_from_slice(&hash(high));
    Ok(Signed {
        manifest: hash(manifest),
        component: hash(component),
        machine_code,
        key: hash(key),
        signature,
        message: &text.as_bytes()[..signed],
    })
}

/// A public key as people read it: `ed25519:` and 64 digits.
pub fn key_text(key: &[u8; 32]) -> String {
    format!("{KEY_PREFIX}{}", hex::encode(key))
}

/// Reads that.
pub fn parse_key(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.trim().strip_prefix(KEY_PREFIX)?)
}

/// Which of two versions is the newer one, as Semantic Versioning 2.0 orders them: by their numbers (one to four of them), and a
/// version with `-something` before the one without. `None`: one of them has no such form, and nothing can be said.
pub fn compare_versions(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (Parsed::of(a)?, Parsed::of(b)?);
    let before = match (a.before, b.before) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => compare_identifiers(a, b),
    };
    Some(a.numbers.cmp(&b.numbers).then(before))
}

struct Parsed<'a> {
    numbers: [u64; 4],
    /// What stands after `-`.
    before: Option<&'a str>,
}

impl<'a> Parsed<'a> {
    fn of(text: &'a str) -> Option<Self> {
        // Build metadata says nothing about which is newer.
        let text = text.split('+').next()?;
        let text = text.strip_prefix('v').unwrap_or(text);
        let (core, before) = match text.split_once('-') {
            Some((core, before)) => (core, Some(before)),
            None => (text, None),
        };
        let mut numbers = [0; 4];
        let mut parts = core.split('.');
        for number in &mut numbers {
            let Some(part) = parts.next() else { break };
            if !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *number = part.parse().ok()?;
        }
        parts.next().is_none().then_some(Self { numbers, before })
    }
}

/// Identifier by identifier: numbers by value and before words, words by their bytes, the shorter row first.
fn compare_identifiers(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => (x, y),
        };
        let order = match (x.parse::<u64>(), y.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => x.cmp(y),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn signed(codes: usize) -> String {
        let codes: Vec<[u8; 32]> = (0..codes).map(|n| [n as u8; 32]).collect();
        file(&message(&[1; 32], &[2; 32], &codes, &[4; 32]), &[5; 64])
    }

    #[test]
    fn a_signature_is_read_as_it_was_written_and_covers_all_but_its_last_line() {
        for codes in [0, 1, MAX_MACHINE_CODE] {
            let text = signed(codes);
            let read = parse(&text).unwrap();
            assert_eq!((read.manifest, read.component), ([1; 32], [2; 32]));
            assert_eq!(read.machine_code.len(), codes);
            assert_eq!((read.key, read.signature), ([4; 32], [5; 64]));
            let last = text.trim_end().rfind('\n').unwrap() + 1;
            assert_eq!(read.message, &text.as_bytes()[..last]);
        }
    }

    #[test]
    fn what_is_no_signature_is_refused_with_the_line() {
        let good = signed(1);
        for (text, said) in [
            (String::new(), "line 1"),
            (good.replace("signature 1\n", "signature 2\n"), "line 1"),
            (good.replace("manifest 01", "manifest 0"), "line 2"),
            (good.replace("manifest 01", "manifest 0G"), "line 2"),
            (good.replace("component", "Component"), "line 3"),
            (good.replace("machine-code", "code"), "line 4"),
            (good.replace("key 04", "key 0"), "line 5"),
            (good.replace("signature 05", "signature 0"), "line 6"),
            (good.clone() + "more\n", "line 7"),
            (good.trim_end().to_string(), "line 6"),
            (signed(MAX_MACHINE_CODE + 1), "line 36"),
            ("x".repeat(MAX_SIGNATURE + 1), "4097 bytes"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}: {text}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_shown() {
        let text = key_text(&[0xab; 32]);
        assert!(text.starts_with("ed25519:abab"));
        assert_eq!(parse_key(&text), Some([0xab; 32]));
        assert_eq!(parse_key(&text[8..]), None);
        assert_eq!(parse_key("ed25519:ab"), None);
    }

    #[test]
    fn versions_are_ordered_as_semantic_versioning_says() {
        let row = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.10",
            "2.0.0.1",
            "10",
        ];
        for (n, a) in row.iter().enumerate() {
            for (m, b) in row.iter().enumerate() {
                assert_eq!(compare_versions(a, b), Some(n.cmp(&m)), "{a} {b}");
            }
        }
        assert_eq!(
            compare_versions("1.0", "v1.0.0+build7"),
            Some(Ordering::Equal)
        );
        for text in [
            "",
            "one",
            "1.0.0.0.0",
            "1..2",
            "1.x",
            "99999999999999999999",
        ] {
            assert_eq!(compare_versions(text, "1.0"), None, "{text}");
        }
    }
}
