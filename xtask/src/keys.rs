//! Who may log in to an image by SSH: the developer's own public keys, or one made for the purpose; and the note by which
//! `vyomactl` finds a device that `run` has started (vyomactl/src/targets/running.rs reads it).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::context::{Context, call, say, write_atomically};

/// The port of SSH on a device.
pub(crate) const PORT: u16 = 22;
/// Where an image has them.
pub(crate) const IN_IMAGE: &str = "etc/vyoma/authorized_keys";
/// Public keys that developers have, of the kinds that a device takes.
const USUAL: [&str; 2] = ["id_ed25519.pub", "id_ecdsa.pub"];
/// What those files start with.
const KINDS: [&str; 2] = ["ssh-ed25519 ", "ecdsa-sha2-"];

/// Options of commands that build images for people.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WhichKeys {
    /// Let the owner of this public key log in by SSH (may be repeated). Default, for `image` and `run`: those in ~/.ssh, or a
    /// key that is made for it.
    #[arg(long = "ssh-key", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Let nobody log in by SSH: the device does not listen for it.
    #[arg(long, conflicts_with = "files")]
    no_ssh_key: bool,
    /// Filled in by commands that have a default.
    #[arg(skip)]
    default: Vec<PathBuf>,
}

impl WhichKeys {
    /// The same, with the developer's keys where none were named; says which.
    pub(crate) fn or_the_developers(&self, context: &Context) -> anyhow::Result<Self> {
        let mut keys = self.clone();
        if keys.files.is_empty() && !keys.no_ssh_key {
            keys.default = developers();
            if keys.default.is_empty() {
                keys.default.push(public(&made(context)?));
            }
        }
        for file in keys.files.iter().chain(&keys.default) {
            say(format_args!("may log in by SSH: {}", file.display()));
        }
        Ok(keys)
    }

    /// The same, and the key that is made for it.
    pub(crate) fn and_the_made_one(&self, context: &Context) -> anyhow::Result<Self> {
        let mut keys = self.clone();
        if !keys.no_ssh_key {
            keys.default.push(public(&made(context)?));
        }
        Ok(keys)
    }

    /// Whether nobody may log in.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.default.is_empty()
    }

    /// The text of `authorized_keys`, each key once.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        let mut lines: Vec<String> = Vec::new();
        for file in self.files.iter().chain(&self.default) {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read the public key {}", file.display()))?;
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                ensure!(
                    KINDS.iter().any(|kind| line.starts_with(kind)),
                    "{}: found {:?}; expected a public key that starts with ssh-ed25519 or ecdsa-sha2-, as `ssh-keygen -t ed25519` makes one",
                    file.display(),
                    line.chars().take(40).collect::<String>()
                );
                if !lines.iter().any(|known| known == line) {
                    lines.push(line.to_owned());
                }
            }
        }
        lines.push(String::new());
        Ok(lines.join("\n"))
    }
}

/// The public keys of whoever runs this.
fn developers() -> Vec<PathBuf> {
    let home = std::env::home_dir().unwrap_or_default();
    USUAL
        .iter()
        .map(|name| home.join(".ssh").join(name))
        .filter(|file| file.is_file())
        .collect()
}

/// The private key that is made for devices on this machine, once.
pub(crate) fn made(context: &Context) -> anyhow::Result<PathBuf> {
    let key = context.cache.join("ssh/id_ed25519");
    if key.is_file() && public(&key).is_file() {
        return Ok(key);
    }
    let folder = context.cache.join("ssh");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let _ = fs::remove_file(&key);
    call(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "made by xtask", "-f"])
            .arg(&key),
    )
    .context("no key could be made; `make setup` installs openssh-client, or name one with --ssh-key FILE")?;
    Ok(key)
}

fn public(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// The note about a device that runs here; it goes with this.
pub(crate) struct Note(PathBuf);

impl Note {
    /// Writes it: the device of `platform` is behind `port` of this machine.
    pub(crate) fn write(context: &Context, platform: &str, port: u16) -> anyhow::Result<Self> {
        let known_hosts = context.cache.join(format!("ssh/known_hosts-{platform}"));
        // Of an earlier run, maybe with another data disk and so with another host key.
        let _ = fs::remove_file(&known_hosts);
        let options = [
            format!("IdentityFile={}", made(context)?.display()),
            format!("UserKnownHostsFile={}", known_hosts.display()),
            // Only the process that listens at this machine's own port can answer: what it shows first is taken.
            "StrictHostKeyChecking=accept-new".to_owned(),
        ];
        if let Some(odd) = options
            .iter()
            .find(|option| option.contains([' ', '"', '\\']))
        {
            bail!(
                "{odd}: the path of the cache folder has a character that ssh would not understand; set XDG_CACHE_HOME"
            );
        }
        let options = options.map(|option| format!("\"{option}\"")).join(", ");
        let text = format!(
            "# A device that `cargo xtask run` runs; vyomactl reads this while it does.\npid = {}\ntarget = \"{}\"\noptions = [{}]\n",
            std::process::id(),
            address(port),
            options
        );
        let path = context.cache.join("running.toml");
        write_atomically(&path, text.as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // Another one may have been started since: then the note is about that.
        let own = format!("pid = {}\n", std::process::id());
        if fs::read_to_string(&self.0).is_ok_and(|text| text.contains(&own)) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// The target of a device behind `port` of this machine.
pub(crate) fn address(port: u16) -> String {
    format!("ssh://localhost:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(texts: &[&str]) -> (tempfile::TempDir, WhichKeys) {
        let dir = tempfile::tempdir().expect("a folder");
        let files = texts.iter().enumerate().map(|(number, text)| {
            let file = dir.path().join(number.to_string());
            fs::write(&file, text).expect("a key");
            file
        });
        let keys = WhichKeys {
            files: files.collect(),
            ..WhichKeys::default()
        };
        (dir, keys)
    }

    #[test]
    fn each_key_stands_in_the_image_once() {
        let (_dir, keys) = keys(&[
            "ssh-ed25519 AAAA a\n",
            "\nssh-ed25519 AAAA a\n\necdsa-sha2-nistp256 BBBB b",
        ]);
        let text = keys.text().expect("keys");
        assert_eq!(text, "ssh-ed25519 AAAA a\necdsa-sha2-nistp256 BBBB b\n");
    }

    #[test]
    fn a_private_key_does_not_get_into_an_image() {
        let (_dir, keys) = keys(&["-----BEGIN OPENSSH PRIVATE KEY-----\nx"]);
        let error = keys.text().expect_err("no public key").to_string();
        assert!(error.contains("expected a public key"), "{error}");
    }
}
