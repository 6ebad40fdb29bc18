//! Secret keys: made, kept in files that only their owner can read, used to sign. A secret never stands on a command line, in
//! an environment or in a message; where it was in memory it is overwritten.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use rustix::rand::{GetRandomFlags, getrandom};
use vyoma_capabilities::{hex, signature};
use zeroize::Zeroizing;

use crate::client::plain;
use crate::exit::{Exit, Failure};

/// How a file with a secret begins.
const HEAD: &str = "vyoma secret key 1\n";
/// Before the secret itself.
const PREFIX: &str = "ed25519-secret:";
/// Longest such file.
const MAX_FILE: u64 = 256;
/// Bits of a file's mode that let others at it.
const OTHERS: u32 = 0o077;

/// A secret key.
pub(crate) struct Secret(SigningKey);

impl Secret {
    /// Makes a key: the secret goes to `path`, which must not be there yet, the public key beside it. Where that is, and it.
    pub(crate) fn create(path: &Path) -> Result<(PathBuf, String), Failure> {
        let mut seed = Zeroizing::new([0; 32]);
        let filled = getrandom(&mut seed[..], GetRandomFlags::empty());
        if filled != Ok(seed.len()) {
            return Err(Failure::new(
                Exit::Local,
                "the system gives no random numbers; a key can't be made",
            ));
        }
        let secret = Self(SigningKey::from_bytes(&seed));
        let digits = Zeroizing::new(hex::encode(&seed));
        let text = Zeroizing::new(format!("{HEAD}{PREFIX}{}\n", digits.as_str()));
        write_new(path, 0o600, text.as_bytes())?;
        let public = secret.public();
        let beside = path.with_extension("pub");
        write_new(&beside, 0o644, format!("{public}\n").as_bytes())?;
        Ok((beside, public))
    }

    /// Reads one.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let named = |error: &io::Error| {
            Failure::new(
                Exit::Local,
                format!(
                    "cannot read the key {}: {}; `vyomactl key new` makes one",
                    path.display(),
                    plain(error)
                ),
            )
        };
        let mut file = File::open(path).map_err(|error| named(&error))?;
        let mode = file.metadata().map_err(|error| named(&error))?.mode();
        if mode & OTHERS != 0 {
            return Err(Failure::new(
                Exit::Local,
                format!(
                    "{}: others may read or change this secret key (mode {:03o}); expected 600; `chmod 600` it, and make a new key if others had it",
                    path.display(),
                    mode & 0o777
                ),
            ));
        }
        let mut text = Zeroizing::new(String::new());
        (&mut file)
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(|error| named(&error))?;
        let seed = text
            .strip_prefix(HEAD)
            .and_then(|rest| rest.trim_end().strip_prefix(PREFIX))
            .and_then(hex::decode)
            .map(Zeroizing::new);
        let Some(seed) = seed else {
            // Not a word of what stands there: it may be a secret all the same.
            return Err(Failure::new(
                Exit::Invalid,
                format!(
                    "{}: no secret key; expected a file that `vyomactl key new` made",
                    path.display()
                ),
            ));
        };
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public key, as people read it.
    pub(crate) fn public(&self) -> String {
        signature::key_text(self.0.verifying_key().as_bytes())
    }

    /// Signs an app: the text of its `vyoma.sig`.
    pub(crate) fn sign(
        &self,
        manifest: &[u8; 32],
        component: &[u8; 32],
        machine_code: &[[u8; 32]],
    ) -> String {
        let key = *self.0.verifying_key().as_bytes();
        let message = signature::message(manifest, component, machine_code, &key);
        let signed = self.0.sign(message.as_bytes());
        signature::file(&message, &signed.to_bytes())
    }
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| {
        let advice = if error.kind() == io::ErrorKind::AlreadyExists {
            "; choose another name, nothing is overwritten"
        } else {
            ""
        };
        Failure::new(
            Exit::Local,
            format!("cannot write {}: {}{advice}", path.display(), plain(&error)),
        )
    })
}
