//! Which keys ssh has shown a device: for the message that none of them may log in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::target::Remote;

/// Most that are named.
const NAMED: usize = 3;

/// Public keys that ssh would show to `remote`: files, and those of an agent; `None` when ssh can't be asked.
pub(super) fn identities(remote: &Remote) -> Option<Vec<String>> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-G");
    for option in &remote.options {
        ssh.args(["-o", option]);
    }
    if let Some(user) = &remote.user {
        ssh.args(["-l", user]);
    }
    let output = ssh
        .args(["--", &remote.host])
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let home = std::env::home_dir().unwrap_or_default();
    let mut found: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("identityfile "))
        .filter_map(|file| public(&home, file))
        .map(|file| file.display().to_string())
        .collect();
    let agent = Command::new("ssh-add")
        .arg("-l")
        .stdin(Stdio::null())
        .output();
    if agent.is_ok_and(|output| output.status.success()) {
        found.push("a key of the agent (`ssh-add -L` shows them)".to_owned());
    }
    found.truncate(NAMED);
    Some(found)
}

/// The public half of a key that is there.
fn public(home: &Path, file: &str) -> Option<PathBuf> {
    let path = match file.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(file),
    };
    let mut public = path.clone().into_os_string();
    public.push(".pub");
    let public = PathBuf::from(public);
    (path.exists() || public.exists()).then_some(public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_when_either_half_of_it_is_there() {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join(".ssh")).expect("a folder");
        std::fs::write(home.path().join(".ssh/id_ed25519"), "").expect("a key");
        let expected = home.path().join(".ssh/id_ed25519.pub");
        assert_eq!(public(home.path(), "~/.ssh/id_ed25519"), Some(expected));
        assert_eq!(public(home.path(), "~/.ssh/id_rsa"), None);
    }
}
