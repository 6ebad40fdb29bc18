//! Whose apps this device takes: the trust store, the policy, and the check of an installation against both. Keys came with the
//! image, or an operator added them; what is installed is checked before anything else looks at it.
//!
//! What came with the image is not checked: whoever can change the image can change this program.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, VerifyingKey};
use vyoma_capabilities::control::{
    ControlError, ErrorKind, SignaturePolicy, TrustStore, TrustedKey,
};
use vyoma_capabilities::manifest::is_app_name;
use vyoma_capabilities::{hex, signature};

use super::files;
use super::operate::{ignore_missing, refuse};

/// Most keys of a device: a vendor's, an integrator's, an owner's and their successors.
const MOST_KEYS: usize = 32;
/// Longest key file.
const KEY_BYTES: usize = 256;
/// Longest list of keys that are not trusted any more.
const LIST_BYTES: usize = 64 * 1024;
/// Below the state directory.
const FOLDER: &str = "keys";
/// A file in it: signatures are required.
const REQUIRED: &str = "required";
/// A file in it: keys of the image that are not trusted any more, one a line.
const UNTRUSTED: &str = "untrusted";

/// The trust store of this device.
#[derive(Debug)]
pub(crate) struct Trust {
    folder: PathBuf,
    /// As the device was started.
    fixed: Option<SignaturePolicy>,
    /// As an operator wants it.
    required: bool,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    public: [u8; 32],
    image: bool,
    trusted: bool,
}

/// What is to be checked.
pub(crate) struct Claim<'a> {
    /// The app, for messages.
    pub(crate) name: &'a str,
    /// Text of the manifest.
    pub(crate) manifest_sha256: [u8; 32],
    /// SHA-256 of the component, in hex.
    pub(crate) component: &'a str,
    /// The same of the machine code.
    pub(crate) code: Option<&'a str>,
    /// Text of the signature.
    pub(crate) signature: Option<&'a str>,
}

impl Trust {
    /// Reads the store. What can't be read is told and trusted by nobody.
    pub(crate) fn open(
        state: &Path,
        image: &[PathBuf],
        fixed: Option<SignaturePolicy>,
    ) -> (Self, Vec<String>) {
        let folder = state.join(FOLDER);
        let mut notes = Vec::new();
        let untrusted: BTreeSet<[u8; 32]> = files::read_text(&folder.join(UNTRUSTED), LIST_BYTES)
            .unwrap_or_default()
            .lines()
            .filter_map(signature::parse_key)
            .collect();
        let mut keys: Vec<Key> = Vec::new();
        let places = image.iter().map(|dir| (dir.as_path(), true));
        for (dir, image) in places.chain([(folder.as_path(), false)]) {
            for path in key_files(dir) {
                let name = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let key = files::read_text(&path, KEY_BYTES)
                    .ok()
                    .and_then(|text| signature::parse_key(&text));
                match key {
                    Some(key) if is_app_name(&name) && keys.len() < MOST_KEYS => {
                        if keys.iter().all(|known| known.public != key && known.name != name) {
                            keys.push(Key {
                                trusted: !untrusted.contains(&key),
                                name,
                                public: key,
                                image,
                            });
                        }
                    }
                    _ => notes.push(format!(
                        "{}: no public key; expected one line that starts with {}, in a file NAME.pub, at most {MOST_KEYS} of them",
                        path.display(),
                        signature::KEY_PREFIX
                    )),
                }
            }
        }
        let trust = Self {
            required: folder.join(REQUIRED).exists(),
            folder,
            fixed,
            keys,
        };
        (trust, notes)
    }

    /// Whether signatures are needed.
    pub(crate) fn policy(&self) -> SignaturePolicy {
        self.fixed.unwrap_or(if self.required {
            SignaturePolicy::Required
        } else {
            SignaturePolicy::Off
        })
    }

    /// Whether what this key signed may be installed.
    fn counts(&self, key: &Key) -> bool {
        key.trusted && (key.image || self.policy() != SignaturePolicy::Image)
    }

    /// For `key list`.
    pub(crate) fn list(&self) -> TrustStore {
        TrustStore {
            policy: self.policy(),
            fixed: self.fixed.is_some(),
            keys: self
                .keys
                .iter()
                .map(|key| TrustedKey {
                    name: key.name.clone(),
                    key: signature::key_text(&key.public),
                    image: key.image,
                    trusted: self.counts(key),
                })
                .collect(),
        }
    }

    /// Checks what is to be installed. Returns whose signature it has, when it has one that is trusted.
    pub(crate) fn check(&self, claim: &Claim<'_>) -> Result<Option<String>, ControlError> {
        let name = claim.name;
        let policy = self.policy();
        let Some(text) = claim.signature else {
            if policy == SignaturePolicy::Off {
                return Ok(None);
            }
            return Err(refuse(
                ErrorKind::Unsigned,
                format!(
                    "{name} is not signed, and this device takes only signed apps; sign it with `vyomactl sign`"
                ),
            ));
        };
        let bad = |why: String| refuse(ErrorKind::BadSignature, format!("{name}: {why}"));
        let signed = signature::parse(text).map_err(|error| bad(error.to_string()))?;
        // Strictly: a key or signature of small order would be valid for several messages.
        VerifyingKey::from_bytes(&signed.key)
            .and_then(|key| {
                key.verify_strict(signed.message, &Signature::from_bytes(&signed.signature))
            })
            .map_err(|_| {
                bad("the signature is not of what it says: it was changed, or made with another key; sign it anew".into())
            })?;
        for (what, found, expected) in [
            (
                "vyoma.toml",
                hex::encode(&claim.manifest_sha256),
                &signed.manifest,
            ),
            (
                "the component",
                claim.component.to_string(),
                &signed.component,
            ),
        ] {
            let expected = hex::encode(expected);
            if found != expected {
                return Err(bad(format!(
                    "SHA-256 of {what}: found {found}; expected {expected}, which was signed; install what was signed, or sign it anew"
                )));
            }
        }
        let known = self.keys.iter().find(|known| known.public == signed.key);
        let trusted = known.filter(|known| self.counts(known));
        if policy == SignaturePolicy::Off {
            return Ok(trusted.map(|key| key.name.clone()));
        }
        let Some(key) = trusted else {
            return Err(refuse(
                ErrorKind::UnknownKey,
                format!(
                    "{name} is signed with {}, which this device does not trust; `vyomactl key list` shows whom it trusts",
                    signature::key_text(&signed.key)
                ),
            ));
        };
        if let Some(code) = claim.code
            && !signed
                .machine_code
                .iter()
                .any(|listed| hex::encode(listed) == code)
        {
            return Err(refuse(
                ErrorKind::Unsigned,
                format!(
                    "the machine code of {name} is not signed, and this device takes only signed code; sign it with `vyomactl install --key FILE` or `vyomactl pack`, or leave it out with --no-aot"
                ),
            ));
        }
        Ok(Some(key.name.clone()))
    }

    /// Adds a key.
    pub(crate) fn trust(&mut self, name: &str, key: &str) -> Result<(), ControlError> {
        if self.fixed == Some(SignaturePolicy::Image) {
            return Err(refuse(
                ErrorKind::State,
                "this device trusts only the keys of its image (vyoma.signatures=image); build the image with the key",
            ));
        }
        if !is_app_name(name) {
            return Err(refuse(
                ErrorKind::Invalid,
                format!(
                    "name of a key: found {name:?}; expected 1 to 32 characters of a-z, 0-9 and -, the first a letter"
                ),
            ));
        }
        let bytes = signature::parse_key(key)
            .filter(|bytes| VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak()))
            .ok_or_else(|| {
                refuse(
                    ErrorKind::Invalid,
                    format!(
                        "found no public key; expected {} and 64 hexadecimal digits, as `vyomactl key new` writes them",
                        signature::KEY_PREFIX
                    ),
                )
            })?;
        if let Some(known) = self.keys.iter_mut().find(|known| known.public == bytes) {
            if known.trusted {
                return Err(refuse(
                    ErrorKind::State,
                    format!("that key is trusted already, as {}", known.name),
                ));
            }
            known.trusted = true;
            return self.write_untrusted();
        }
        if self.keys.iter().any(|known| known.name == name) {
            return Err(refuse(
                ErrorKind::State,
                format!("{name} is another key here; choose another name"),
            ));
        }
        if self.keys.len() >= MOST_KEYS {
            return Err(refuse(
                ErrorKind::Limit,
                format!("{MOST_KEYS} keys are known already, which is the most; remove one first"),
            ));
        }
        let text = signature::key_text(&bytes) + "\n";
        let path = self.folder.join(format!("{name}.pub"));
        files::replace_durably(&path, text.as_bytes()).map_err(|error| failed(&path, &error))?;
        self.keys.push(Key {
            name: name.into(),
            public: bytes,
            image: false,
            trusted: true,
        });
        Ok(())
    }

    /// Trusts a key no longer; by its name or by itself.
    pub(crate) fn untrust(&mut self, which: &str) -> Result<(), ControlError> {
        let bytes = signature::parse_key(which);
        let position = self.keys.iter().position(|known| {
            known.trusted && (known.name == which || Some(known.public) == bytes)
        });
        let Some(position) = position else {
            return Err(refuse(
                ErrorKind::State,
                format!("no key {which:?} is trusted here; `vyomactl key list` shows them"),
            ));
        };
        if self.keys[position].image {
            self.keys[position].trusted = false;
            return self.write_untrusted();
        }
        let path = self
            .folder
            .join(format!("{}.pub", self.keys[position].name));
        ignore_missing(fs::remove_file(&path))
            .and_then(|()| files::sync(&self.folder))
            .map_err(|error| failed(&path, &error))?;
        self.keys.remove(position);
        Ok(())
    }

    /// Requires signatures, or no longer.
    pub(crate) fn require(&mut self, on: bool) -> Result<(), ControlError> {
        if let Some(fixed) = self.fixed {
            return Err(refuse(
                ErrorKind::State,
                format!(
                    "how this device was started says whether it requires signatures (vyoma.signatures={fixed}); a client can't change it"
                ),
            ));
        }
        let path = self.folder.join(REQUIRED);
        let done = if on {
            files::replace_durably(&path, b"")
        } else {
            ignore_missing(fs::remove_file(&path)).and_then(|()| files::sync(&self.folder))
        };
        done.map_err(|error| failed(&path, &error))?;
        self.required = on;
        Ok(())
    }

    fn write_untrusted(&self) -> Result<(), ControlError> {
        let keys = self.keys.iter().filter(|key| !key.trusted);
        let text: String = keys
            .map(|key| signature::key_text(&key.public) + "\n")
            .collect();
        let path = self.folder.join(UNTRUSTED);
        files::replace_durably(&path, text.as_bytes()).map_err(|error| failed(&path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> ControlError {
    refuse(ErrorKind::Device, format!("{}: {error}", path.display()))
}

/// Files `*.pub` in `dir`, by name.
fn key_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pub"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    const MANIFEST: [u8; 32] = [1; 32];
    const COMPONENT: [u8; 32] = [2; 32];
    const CODE: [u8; 32] = [3; 32];

    fn secret(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> String {
        signature::key_text(secret(seed).verifying_key().as_bytes())
    }

    fn signed(seed: u8, codes: &[[u8; 32]]) -> String {
        let secret = secret(seed);
        let key = *secret.verifying_key().as_bytes();
        let message = signature::message(&MANIFEST, &COMPONENT, codes, &key);
        signature::file(&message, &secret.sign(message.as_bytes()).to_bytes())
    }

    fn check(
        trust: &Trust,
        text: Option<&str>,
        code: Option<&[u8; 32]>,
    ) -> Result<Option<String>, ErrorKind> {
        let code = code.map(hex::encode);
        trust
            .check(&Claim {
                name: "app",
                manifest_sha256: MANIFEST,
                component: &hex::encode(&COMPONENT),
                code: code.as_deref(),
                signature: text,
            })
            .map_err(|error| error.kind)
    }

    /// A store with a key of the image (seed 1) and one that an operator added (seed 2).
    fn store(fixed: Option<SignaturePolicy>) -> (tempfile::TempDir, Trust) {
        let dir = tempfile::tempdir().unwrap();
        let (state, image) = (dir.path().join("state"), dir.path().join("image"));
        fs::create_dir_all(state.join(FOLDER)).unwrap();
        fs::create_dir(&image).unwrap();
        fs::write(image.join("vendor.pub"), public(1)).unwrap();
        fs::write(state.join(FOLDER).join("owner.pub"), public(2)).unwrap();
        let (trust, notes) = Trust::open(&state, &[image], fixed);
        assert_eq!(notes, Vec::<String>::new());
        (dir, trust)
    }

    #[test]
    fn what_is_required_decides_what_is_taken_and_each_refusal_is_of_its_own_kind() {
        use SignaturePolicy::{Image, Off, Required};
        let tampered = signed(1, &[]).replacen("manifest 01", "manifest 02", 1);
        let other_app = signed(1, &[]).replacen("component 02", "component 03", 1);
        let by = |seed| signed(seed, &[CODE]);
        for (policy, text, code, expected) in [
            (Off, None, None, Ok(None)),
            (Off, Some(by(1)), None, Ok(Some("vendor"))),
            (Off, Some(by(9)), Some(CODE), Ok(None)),
            (
                Off,
                Some(tampered.clone()),
                None,
                Err(ErrorKind::BadSignature),
            ),
            (Required, None, None, Err(ErrorKind::Unsigned)),
            (Required, Some(by(1)), Some(CODE), Ok(Some("vendor"))),
            (Required, Some(by(2)), None, Ok(Some("owner"))),
            (Required, Some(by(9)), None, Err(ErrorKind::UnknownKey)),
            (Required, Some(tampered), None, Err(ErrorKind::BadSignature)),
            (
                Required,
                Some(other_app),
                None,
                Err(ErrorKind::BadSignature),
            ),
            (
                Required,
                Some("nonsense".into()),
                None,
                Err(ErrorKind::BadSignature),
            ),
            (
                Required,
                Some(signed(1, &[])),
                Some(CODE),
                Err(ErrorKind::Unsigned),
            ),
            (Image, Some(by(1)), None, Ok(Some("vendor"))),
            (Image, Some(by(2)), None, Err(ErrorKind::UnknownKey)),
        ] {
            let (_dir, trust) = store(Some(policy));
            let found = check(&trust, text.as_deref(), code.as_ref());
            assert_eq!(
                found.as_ref().map(Option::as_deref),
                expected.as_ref().map(|by| *by),
                "{policy} {text:?}"
            );
        }
    }

    #[test]
    fn a_right_signature_of_something_else_is_refused() {
        let (_dir, trust) = store(Some(SignaturePolicy::Off));
        let text = signed(1, &[]);
        let claim = Claim {
            name: "app",
            manifest_sha256: [7; 32],
            component: &hex::encode(&COMPONENT),
            code: None,
            signature: Some(&text),
        };
        let error = trust.check(&claim).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadSignature);
        assert!(
            error.message.contains("vyoma.toml") && error.message.contains("0707"),
            "{error}"
        );
    }

    #[test]
    fn what_an_operator_does_to_keys_outlives_the_daemon() {
        let (dir, mut trust) = store(None);
        assert_eq!(trust.policy(), SignaturePolicy::Off);
        trust.require(true).unwrap();
        trust.trust("third", &public(3)).unwrap();
        trust.untrust("vendor").unwrap();
        trust.untrust(&public(2)).unwrap();
        let (state, image) = (dir.path().join("state"), dir.path().join("image"));
        let (mut trust, _) = Trust::open(&state, &[image], None);
        assert_eq!(trust.policy(), SignaturePolicy::Required);
        let list = trust.list();
        let shown: Vec<_> = list
            .keys
            .iter()
            .map(|key| (key.name.as_str(), key.image, key.trusted))
            .collect();
        assert_eq!(shown, [("vendor", true, false), ("third", false, true)]);
        assert_eq!(
            check(&trust, Some(&signed(1, &[])), None),
            Err(ErrorKind::UnknownKey)
        );
        assert_eq!(
            check(&trust, Some(&signed(3, &[])), None),
            Ok(Some("third".into()))
        );
        // Once more, and the image's key counts again.
        trust.trust("vendor", &public(1)).unwrap();
        assert_eq!(
            check(&trust, Some(&signed(1, &[])), None),
            Ok(Some("vendor".into()))
        );
        trust.require(false).unwrap();
        assert_eq!(check(&trust, None, None), Ok(None));
    }

    #[test]
    fn keys_that_are_none_or_known_already_and_a_policy_that_is_fixed_are_refused() {
        let (_dir, mut trust) = store(Some(SignaturePolicy::Required));
        let kind = |result: Result<(), ControlError>| result.unwrap_err().kind;
        assert_eq!(kind(trust.trust("../x", &public(5))), ErrorKind::Invalid);
        assert_eq!(kind(trust.trust("x", "ed25519:00")), ErrorKind::Invalid);
        // The neutral element: every signature would be its own.
        let weak = signature::key_text(&{
            let mut one = [0; 32];
            one[0] = 1;
            one
        });
        assert_eq!(kind(trust.trust("x", &weak)), ErrorKind::Invalid);
        assert_eq!(kind(trust.trust("x", &public(1))), ErrorKind::State);
        assert_eq!(kind(trust.trust("owner", &public(5))), ErrorKind::State);
        assert_eq!(kind(trust.untrust("nobody")), ErrorKind::State);
        assert_eq!(kind(trust.require(false)), ErrorKind::State);
        let (_dir, mut trust) = store(Some(SignaturePolicy::Image));
        assert_eq!(kind(trust.trust("x", &public(5))), ErrorKind::State);
    }
}
