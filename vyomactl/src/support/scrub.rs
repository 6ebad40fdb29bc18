//! Takes out of lines what looks like a secret: an app may print one that no environment has. The device has taken out the
//! values of environments already, which it knows; what is here are guesses, and they err on the side of too much.

use std::collections::HashSet;

/// What stands in the place of a secret.
const REMOVED: &str = "[removed]";
/// A word that ends in one of these, and is followed by `=` or `:`, has a secret for its value.
const NAMES: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "private_key",
    "credentials",
    "cookie",
];
/// Everything after these is secret, whatever its form.
const HEADERS: [&str; 3] = ["authorization", "bearer ", "proxy-authorization"];

/// Cleans the lines of several logs, each of which may be inside a key in text form.
#[derive(Default)]
pub(super) struct Scrubber {
    /// Logs that are between `BEGIN` and `END` of a private key.
    inside_key: HashSet<String>,
}

impl Scrubber {
    /// The line without what looks like a secret; `log` tells logs apart whose lines come mixed.
    pub(super) fn line(&mut self, log: &str, text: &str) -> String {
        let begins = text.contains("-----BEGIN") && text.contains("PRIVATE KEY");
        let ends = text.contains("-----END") && text.contains("PRIVATE KEY");
        let inside = self.inside_key.contains(log);
        if begins && !ends {
            self.inside_key.insert(log.to_owned());
        }
        if ends {
            self.inside_key.remove(log);
        }
        if begins || inside || ends {
            return REMOVED.to_owned();
        }
        text_without_secrets(text)
    }
}

/// The same for a text that stands alone.
pub(super) fn text_without_secrets(text: &str) -> String {
    let text = without_users(text);
    let mut text = without_values(&text);
    let lower = text.to_ascii_lowercase();
    let header = HEADERS
        .iter()
        .filter_map(|name| Some(lower.find(name)? + name.len()))
        .min();
    if let Some(end) = header
        && end < text.len()
    {
        text.truncate(end);
        text.push_str(if text.ends_with(' ') {
            REMOVED
        } else {
            ": [removed]"
        });
    }
    text
}

/// `https://user:pass@host` without user and pass.
fn without_users(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#'))
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                clean.push_str(REMOVED);
                &after[at..]
            }
            None => after,
        };
    }
    clean.push_str(rest);
    clean
}

/// `password=x`, `"token": "x"` and the like without x.
fn without_values(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    while let Some((start, end)) = next_value(&lower, from) {
        clean.push_str(&text[from..start]);
        clean.push_str(REMOVED);
        from = end;
    }
    clean.push_str(&text[from..]);
    clean
}

/// Where the next secret value is, in lower-case text, from `from` on.
fn next_value(lower: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let (found, name) = NAMES
            .iter()
            .filter_map(|name| Some((at + lower[at..].find(name)?, name.len())))
            .min()?;
        at = found + name;
        // `"token" : "x"`: a quote may end the name, and spaces may stand around the sign.
        let after = lower[at..].trim_start_matches(['"', '\'', '\\']);
        let after = after.trim_start_matches(' ');
        let Some(after) = after.strip_prefix(['=', ':']) else {
            continue;
        };
        let after = after.trim_start_matches(' ');
        let quoted = after.trim_start_matches('\\').strip_prefix(['"', '\'']);
        let value = quoted.unwrap_or(after);
        let start = lower.len() - value.len();
        let length = value
            .find(|c: char| match quoted {
                Some(_) => matches!(c, '"' | '\'' | '\\'),
                None => c.is_whitespace() || matches!(c, ',' | ';' | '&' | '"' | '\'' | '}' | ')'),
            })
            .unwrap_or(value.len());
        if length > 0 {
            return Some((start, start + length));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_removed_and_the_rest_stays() {
        for (text, clean) in [
            (
                "user=me password=hunter2 port=80",
                "user=me password=[removed] port=80",
            ),
            ("DB_PASSWORD: hunter2, next", "DB_PASSWORD: [removed], next"),
            (
                r#"{"api_key": "a b c", "n": 1}"#,
                r#"{"api_key": "[removed]", "n": 1}"#,
            ),
            (r#"{\"token\":\"abc\"}"#, r#"{\"token\":\"[removed]\"}"#),
            ("GET /?token=abc&page=2", "GET /?token=[removed]&page=2"),
            ("https://me:pw@host/path", "https://[removed]@host/path"),
            ("Authorization: Basic bWU6cHc=", "Authorization: [removed]"),
            ("sent Bearer abc.def", "sent Bearer [removed]"),
            ("3 tokens were read: fine", "3 tokens were read: fine"),
            ("no password", "no password"),
            ("mail me@example.org", "mail me@example.org"),
            ("É token=ß é", "É token=[removed] é"),
        ] {
            assert_eq!(text_without_secrets(text), clean);
        }
    }

    #[test]
    fn a_private_key_over_several_lines_is_removed_from_its_own_log_only() {
        let mut scrubber = Scrubber::default();
        let lines = [
            ("a", "-----BEGIN OPENSSH PRIVATE KEY-----", REMOVED),
            ("b", "hello", "hello"),
            ("a", "b3BlbnNzaC1rZXktdjEA", REMOVED),
            ("a", "-----END OPENSSH PRIVATE KEY-----", REMOVED),
            ("a", "hello", "hello"),
        ];
        for (log, line, clean) in lines {
            assert_eq!(scrubber.line(log, line), clean, "{line}");
        }
    }
}
