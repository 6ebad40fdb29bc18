//! A registry, as the OCI Distribution Specification 1.1 describes it: manifests and blobs are got and put over HTTP. TLS and HTTP
//! are libraries'; here is who may (tokens) and what comes (bounds).

use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, RequestBuilder};

use super::reference::Reference;
use crate::exit::{Exit, Failure};

/// For a whole exchange, the largest component included.
const PATIENCE: Duration = Duration::from_mins(5);
/// Most bytes of an answer that is read for its words only.
const MAX_WORDS: u64 = 64 * 1024;

/// A registry, and the right to something in it.
pub(super) struct Registry {
    agent: Agent,
    reference: Reference,
    /// Of the `Authorization` header.
    authorization: Option<String>,
}

type Answer = Response<Body>;

impl Registry {
    pub(super) fn new(reference: &Reference) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!reference.is_local())
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("vyomactl/", env!("CARGO_PKG_VERSION")));
        if !reference.is_local() {
            config = config.tls_config(tls());
        }
        Self {
            agent: config.build().into(),
            reference: reference.clone(),
            authorization: None,
        }
    }

    fn url(&self, path: &str) -> String {
        let scheme = if self.reference.is_local() {
            "http"
        } else {
            "https"
        };
        let Reference { registry, name, .. } = &self.reference;
        format!("{scheme}://{registry}/v2/{name}/{path}")
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let exit = if matches!(error, ureq::Error::Timeout(_)) {
            Exit::Timeout
        } else {
            Exit::Unreachable
        };
        Failure::new(
            exit,
            format!(
                "cannot reach the registry {}: {error}; check the name and the network",
                self.reference.registry
            ),
        )
    }

    /// Asks, and once more with a token if the registry wants one.
    fn ask(
        &mut self,
        ask: impl Fn(&Agent, Option<&str>) -> Result<Answer, ureq::Error>,
    ) -> Result<Answer, Failure> {
        let answer = ask(&self.agent, self.authorization.as_deref())
            .map_err(|error| self.unreachable(&error))?;
        if answer.status() != 401 || self.authorization.is_some() {
            return Ok(answer);
        }
        let challenge = answer
            .headers()
            .get("www-authenticate")
            .and_then(|value| value.to_str().ok())
            .and_then(Challenge::parse);
        let Some(challenge) = challenge else {
            return Ok(answer);
        };
        self.authorization = Some(self.token(&challenge)?);
        ask(&self.agent, self.authorization.as_deref()).map_err(|error| self.unreachable(&error))
    }

    /// A token for everybody, from where the registry says.
    fn token(&self, challenge: &Challenge) -> Result<String, Failure> {
        let refused = |why: &str| {
            Failure::new(
                Exit::Denied,
                format!(
                    "{}: {why}; only what is public can be pulled",
                    self.reference
                ),
            )
        };
        let mut request = self.agent.get(&challenge.realm);
        for (key, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
            if let Some(value) = value {
                request = request.query(key, value);
            }
        }
        let mut answer = request.call().map_err(|error| self.unreachable(&error))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_WORDS)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        let token: Value = serde_json::from_str(&text).unwrap_or_default();
        let token = token["token"]
            .as_str()
            .or_else(|| token["access_token"].as_str())
            .ok_or_else(|| refused("the registry gives no token"))?;
        Ok(format!("Bearer {token}"))
    }

    /// What an answer that is no success means.
    fn refusal(&self, mut answer: Answer, what: &str) -> Failure {
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_WORDS)
            .read_to_string()
            .unwrap_or_default();
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = said["errors"][0]["message"].as_str().unwrap_or_default();
        let (exit, why) = match status {
            401 | 403 => (Exit::Denied, "it is not public, or needs a log-in"),
            404 => (Exit::Invalid, "there is no such thing in the registry"),
            _ => (Exit::Protocol, "the registry refused"),
        };
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {said}")
        };
        Failure::new(
            exit,
            format!("{}: {what}: {why} ({status}{said})", self.reference),
        )
    }

    fn read(&self, mut answer: Answer, most: u64) -> Result<Vec<u8>, Failure> {
        answer
            .body_mut()
            .with_config()
            .limit(most)
            .read_to_vec()
            .map_err(|error| {
                Failure::new(
                    Exit::Lost,
                    format!(
                        "{}: the answer broke off, or is longer than {most} bytes: {error}; try again",
                        self.reference
                    ),
                )
            })
    }

    /// The bytes of the manifest.
    pub(super) fn manifest(&mut self, accept: &str, most: u64) -> Result<Vec<u8>, Failure> {
        let url = self.url(&format!("manifests/{}", self.reference.what));
        let answer = self.ask(|agent, authorization| {
            authorized(agent.get(&url).header("Accept", accept), authorization).call()
        })?;
        if answer.status() != 200 {
            return Err(self.refusal(answer, "manifest"));
        }
        self.read(answer, most)
    }

    /// The bytes of a blob, at most `size` of them.
    pub(super) fn blob(&mut self, digest: &str, size: u64) -> Result<Vec<u8>, Failure> {
        let url = self.url(&format!("blobs/{digest}"));
        let answer =
            self.ask(|agent, authorization| authorized(agent.get(&url), authorization).call())?;
        if answer.status() != 200 {
            return Err(self.refusal(answer, "component"));
        }
        self.read(answer, size + 1)
    }

    /// Puts a blob, unless it is there already.
    pub(super) fn push_blob(&mut self, digest: &str, bytes: &[u8]) -> Result<(), Failure> {
        let url = self.url(&format!("blobs/{digest}"));
        let there =
            self.ask(|agent, authorization| authorized(agent.head(&url), authorization).call())?;
        if there.status() == 200 {
            return Ok(());
        }
        let url = self.url("blobs/uploads/");
        let begun = self
            .ask(|agent, authorization| authorized(agent.post(&url), authorization).send_empty())?;
        let place = begun
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok())
            .filter(|_| begun.status() == 202)
            .map(str::to_owned);
        let Some(place) = place else {
            return Err(self.refusal(begun, "upload"));
        };
        // The place may be relative, and may have a query of its own.
        let place = if place.starts_with('/') {
            let root = self.url("");
            let end = root.find("/v2/").unwrap_or(root.len());
            format!("{}{place}", &root[..end])
        } else {
            place
        };
        let done = self.ask(|agent, authorization| {
            let request = agent
                .put(&place)
                .query("digest", digest)
                .header("Content-Type", "application/octet-stream");
            authorized(request, authorization).send(bytes)
        })?;
        if done.status() == 201 {
            Ok(())
        } else {
            Err(self.refusal(done, "upload"))
        }
    }

    /// Puts a manifest under the reference's tag.
    pub(super) fn push_manifest(&mut self, media_type: &str, bytes: &[u8]) -> Result<(), Failure> {
        let url = self.url(&format!("manifests/{}", self.reference.what));
        let done = self.ask(|agent, authorization| {
            let request = agent.put(&url).header("Content-Type", media_type);
            authorized(request, authorization).send(bytes)
        })?;
        if done.status() == 201 {
            Ok(())
        } else {
            Err(self.refusal(done, "manifest"))
        }
    }
}

/// A request with the token, if there is one.
fn authorized<B>(request: RequestBuilder<B>, authorization: Option<&str>) -> RequestBuilder<B> {
    match authorization {
        Some(authorization) => request.header("Authorization", authorization),
        None => request,
    }
}

/// TLS with what this machine trusts.
fn tls() -> TlsConfig {
    let roots: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned())
        .collect();
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .build()
}

/// `Bearer realm="...",service="...",scope="..."`: where a token is to be had (Docker Registry v2 authentication).
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let value = |key: &str| {
            let start = rest.find(&format!("{key}=\""))? + key.len() + 2;
            let end = rest[start..].find('"')?;
            Some(rest[start..start + end].to_owned())
        };
        // A token that goes over an open line is everybody's.
        let realm = value("realm").filter(|realm| {
            realm.starts_with("https://")
                || Reference::parse(&format!(
                    "{}/x",
                    realm
                        .strip_prefix("http://")
                        .unwrap_or("?")
                        .split('/')
                        .next()
                        .unwrap_or("?")
                ))
                .is_ok_and(|reference| reference.is_local())
        })?;
        Some(Self {
            realm,
            service: value("service"),
            scope: value("scope"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_where_a_token_is_to_be_had_and_never_over_an_open_line() {
        let header = r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull""#;
        let expected = Challenge {
            realm: "https://auth.example/token".into(),
            service: Some("r.example".into()),
            scope: Some("repository:a/b:pull".into()),
        };
        assert_eq!(Challenge::parse(header), Some(expected));
        assert!(Challenge::parse(r#"Bearer realm="http://localhost:5001/token""#).is_some());
        for header in [
            r#"Bearer realm="http://auth.example/token""#,
            r#"Basic realm="x""#,
            "Bearer",
            "Bearer service=\"x\"",
        ] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }
}
