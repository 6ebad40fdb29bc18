//! Which keys may log in: the lines of `authorized_keys` files, as OpenSSH writes them, without options.

use russh::keys::PublicKey;
use russh::keys::ssh_key::{Algorithm, HashAlg};

use crate::spec::KeyFile;

/// Most keys: a file of the most bytes that the daemon hands over holds ten times as many.
const MOST: usize = 64;

/// Keys that may log in, and what was wrong with the others.
#[derive(Debug, Default)]
pub(super) struct Authorized {
    keys: Vec<PublicKey>,
    /// One line for each line that is not used.
    pub(super) problems: Vec<String>,
}

impl Authorized {
    /// Reads the files. A line that can't be used lets nobody in and is told; it keeps no other one out.
    pub(super) fn parse(files: &[KeyFile]) -> Self {
        let mut found = Self::default();
        for file in files {
            for (number, line) in (1..).zip(file.text.lines()) {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                match key(line) {
                    Ok(_) if found.keys.len() == MOST => {
                        found
                            .problems
                            .push(format!("{}:{number}: more than {MOST} keys", file.name));
                        return found;
                    }
                    Ok(key) => found.keys.push(key),
                    Err(why) => found
                        .problems
                        .push(format!("{}:{number}: {why}", file.name)),
                }
            }
        }
        found
    }

    /// How many may log in.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key as its owner wrote it down, if it may log in.
    pub(super) fn find(&self, offered: &PublicKey) -> Option<&PublicKey> {
        self.keys
            .iter()
            .find(|key| key.key_data() == offered.key_data())
    }
}

fn key(line: &str) -> Result<PublicKey, String> {
    const EXPECTED: &str =
        "expected ssh-ed25519 or ecdsa-sha2-..., the key and a comment, without options";
    let kind = line.split_whitespace().next().unwrap_or_default();
    let key = PublicKey::from_openssh(line).map_err(|error| {
        let kind: String = kind.chars().take(40).collect();
        format!("found {kind:?} ({error}); {EXPECTED}")
    })?;
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        other => Err(format!(
            "found a key of kind {}; {EXPECTED}",
            other.as_str()
        )),
    }
}

/// `SHA256:...`, as `ssh-keygen -l` shows it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Fingerprint and comment, for the event log.
pub(super) fn named(key: &PublicKey) -> String {
    let comment: String = key
        .comment()
        .as_str_lossy()
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect();
    if comment.is_empty() {
        fingerprint(key)
    } else {
        format!("{} ({comment})", fingerprint(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ uwe@desk";

    fn parse(text: &str) -> Authorized {
        Authorized::parse(&[KeyFile {
            name: "keys".into(),
            text: text.into(),
        }])
    }

    #[test]
    fn comments_and_blank_lines_are_no_keys() {
        let found = parse(&format!("# who\n\n  {GOOD}\r\n"));
        assert_eq!((found.len(), found.problems), (1, Vec::<String>::new()));
    }

    #[test]
    fn a_line_with_options_lets_nobody_in_since_its_restrictions_would_not_hold() {
        let found = parse(&format!("from=\"10.0.0.1\" {GOOD}\n{GOOD}\n"));
        assert_eq!(found.len(), 1);
        assert!(
            found.problems[0].starts_with("keys:1: found \"from="),
            "{:?}",
            found.problems
        );
    }

    #[test]
    fn kinds_that_are_not_taken_are_named() {
        let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDJlvvf7rYBvK0o0nRJxqHc0QAWkQpUbbMWrvRp7RlB0w== old";
        let found = parse(&format!("{rsa}\nssh-dss AAAA\nnonsense\n"));
        assert_eq!((found.len(), found.problems.len()), (0, 3));
        assert!(
            found
                .problems
                .iter()
                .all(|why| why.contains("expected ssh-ed25519"))
        );
    }

    #[test]
    fn there_are_at_most_so_many_keys() {
        let found = parse(&format!("{GOOD}\n").repeat(MOST + 5));
        assert_eq!((found.len(), found.problems.len()), (MOST, 1));
    }

    #[test]
    fn a_key_is_found_by_its_bytes_whatever_its_comment() {
        let found = parse(GOOD);
        let offered = PublicKey::from_openssh(GOOD.trim_end_matches(" uwe@desk")).unwrap();
        let known = found.find(&offered).unwrap();
        assert!(named(known).ends_with("(uwe@desk)") && named(known).starts_with("SHA256:"));
        let other =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFBQ4+k3gCkwMwIqcLHGyIr2PZuqUcpLJzFyPk/zmLBs";
        assert!(
            found
                .find(&PublicKey::from_openssh(other).unwrap())
                .is_none()
        );
    }
}
