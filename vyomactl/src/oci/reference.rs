//! `oci://HOST[:PORT]/NAME[:TAG]` or `...@sha256:DIGEST`: which artifact in which registry.

use std::fmt;

use vyoma_capabilities::hex;

use crate::exit::{Exit, Failure};

/// What such a reference starts with.
pub(crate) const SCHEME: &str = "oci://";
/// The tag of a reference that names none.
const LATEST: &str = "latest";
/// Longest name and tag, as the OCI Distribution Specification 1.1 has them.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// An artifact in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `HOST[:PORT]`
    pub(crate) registry: String,
    /// Name in it.
    pub(crate) name: String,
    /// A tag, or `sha256:` and 64 digits.
    pub(crate) what: String,
}

impl Reference {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let slip = |expected: &str| {
            Failure::new(
                Exit::Usage,
                format!(
                    "{text:?}: expected {SCHEME}HOST[:PORT]/NAME[:TAG or @sha256:DIGEST], {expected}"
                ),
            )
        };
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (registry, rest) = rest
            .split_once('/')
            .ok_or_else(|| slip("with a name after the host"))?;
        let (host, port) = match registry.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (registry, None),
        };
        let is_host = !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        if !is_host || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(slip("with the host of a registry"));
        }
        let (name, what) = if let Some((name, digest)) = rest.split_once('@') {
            let digits = digest
                .strip_prefix("sha256:")
                .filter(|digits| digits.len() == 64 && hex::is_lower_case(digits))
                .ok_or_else(|| slip("with 64 hexadecimal digits in a digest"))?;
            (name, format!("sha256:{digits}"))
        } else {
            let (name, tag) = rest.rsplit_once(':').unwrap_or((rest, LATEST));
            let is_tag = (1..=MAX_TAG).contains(&tag.len())
                && !tag.starts_with(['.', '-'])
                && tag
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if !is_tag {
                return Err(slip(
                    "with a tag of letters, digits, dots, dashes and underscores",
                ));
            }
            (name, tag.to_owned())
        };
        let is_name = name.len() <= MAX_NAME
            && name.split('/').all(|part| {
                part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && part.bytes().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
                    })
            });
        if !is_name {
            return Err(slip("with a name of small letters, digits and ._-/"));
        }
        Ok(Self {
            registry: registry.into(),
            name: name.into(),
            what,
        })
    }

    /// The digest that it names.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.what.starts_with("sha256:").then_some(&self.what)
    }

    /// Whether the registry is on this machine: only such a one is spoken to without TLS.
    pub(crate) fn is_local(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.registry,
        };
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = if self.digest().is_some() { '@' } else { ':' };
        write!(
            f,
            "{SCHEME}{}/{}{before}{}",
            self.registry, self.name, self.what
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_registry_a_name_and_a_tag_or_digest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, registry, name, what) in [
            ("oci://ghcr.io/a/b:1.0", "ghcr.io", "a/b", "1.0"),
            (
                "oci://localhost:5000/app",
                "localhost:5000",
                "app",
                "latest",
            ),
            ("oci://[::1]:5000/app:x_1", "[::1]:5000", "app", "x_1"),
            (
                &format!("oci://r.example/app@{digest}"),
                "r.example",
                "app",
                &digest,
            ),
        ] {
            let found = Reference::parse(text).expect(text);
            let parts = (
                found.registry.as_str(),
                found.name.as_str(),
                found.what.as_str(),
            );
            assert_eq!(parts, (registry, name, what));
            assert_eq!(Reference::parse(&found.to_string()).expect(text), found);
        }
        for text in [
            "oci://",
            "oci://host",
            "oci:///app",
            "oci://host:port/app",
            "oci://host/App",
            "oci://host/../app",
            "oci://host/app:",
            "oci://host/app:-x",
            "oci://host/app@sha256:0",
            "oci://user@host/app",
            "oci://host/a//b",
            "oci://host/app?x",
        ] {
            assert_eq!(Reference::parse(text).expect_err(text).exit(), Exit::Usage);
        }
    }

    #[test]
    fn only_a_registry_on_this_machine_is_spoken_to_without_tls() {
        for (text, local) in [
            ("oci://localhost:5000/app", true),
            ("oci://127.0.0.1:5000/app", true),
            ("oci://[::1]:5000/app", true),
            ("oci://localhost.example/app", false),
            ("oci://10.0.0.1:5000/app", false),
        ] {
            assert_eq!(
                Reference::parse(text).expect(text).is_local(),
                local,
                "{text}"
            );
        }
    }
}
