//! An operator's desk for one test: the system's own `ssh` with keys, known hosts and a configuration of its own, whatever the
//! user of this machine has, and `vyomactl` that finds this `ssh` first in PATH.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::frames::Frames;
use crate::operator::Operator;

/// The desk; its folder goes with it.
pub struct Desk {
    dir: TempDir,
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

impl Desk {
    /// A desk with one key, `id`, that takes the host key of whatever it meets first.
    ///
    /// # Panics
    /// When OpenSSH's client is not installed.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("vyoma-desk-")
            .tempdir()
            .expect("a temporary folder");
        let desk = Self { dir };
        let script = format!(
            "#!/bin/sh\nexec {} -F {} \"$@\"\n",
            program("ssh").display(),
            desk.file("config").display()
        );
        fs::create_dir(desk.file("bin")).expect("a folder");
        fs::write(desk.file("bin/ssh"), script).expect("a script");
        fs::set_permissions(desk.file("bin/ssh"), fs::Permissions::from_mode(0o755))
            .expect("permissions");
        desk.make_key("id");
        desk.configure("id", "accept-new");
        desk
    }

    /// A file of the desk.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes an ed25519 key; its public half is `NAME.pub`.
    pub fn make_key(&self, name: &str) -> PathBuf {
        let made = Command::new(program("ssh-keygen"))
            .args([
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                &format!("{name}@desk"),
                "-f",
            ])
            .arg(self.file(name))
            .output()
            .expect("run ssh-keygen");
        assert!(made.status.success(), "ssh-keygen: {made:?}");
        self.file(&format!("{name}.pub"))
    }

    /// From now on ssh shows the key `key` and no other, and is as strict about host keys as `strict` says.
    pub fn configure(&self, key: &str, strict: &str) {
        let text = format!(
            "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  \
             GlobalKnownHostsFile none\n  StrictHostKeyChecking {strict}\n",
            self.file(key).display(),
            self.file("known_hosts").display()
        );
        fs::write(self.file("config"), text).expect("a configuration");
    }

    /// Adds to the configuration.
    pub fn configure_more(&self, text: &str) {
        let path = self.file("config");
        let before = fs::read_to_string(&path).expect("a configuration");
        fs::write(path, format!("{text}\n{before}")).expect("a configuration");
    }

    /// PATH with this desk's ssh in front.
    pub fn path(&self) -> OsString {
        let mut path = OsString::from(self.file("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    /// Someone with `vyomactl` at this desk.
    pub fn operator(&self, target: &str, console: &Path, patience: Duration) -> Operator {
        Operator::new(target.to_owned(), console, patience).with_path(self.path())
    }

    /// ssh to `localhost` at `port`, with `arguments` before the host and `command` behind it.
    pub fn ssh(&self, port: u16, arguments: &[&str], command: &[&str]) -> Command {
        let mut ssh = Command::new(self.file("bin/ssh"));
        ssh.args(["-o", "BatchMode=yes", "-p", &port.to_string()])
            .args(arguments)
            .arg("127.0.0.1")
            .args(command)
            .stdin(Stdio::null());
        ssh
    }

    /// Runs ssh to its end.
    pub fn run_ssh(&self, port: u16, arguments: &[&str], command: &[&str]) -> Output {
        self.ssh(port, arguments, command)
            .output()
            .expect("run ssh")
    }

    /// A conversation in frames over ssh, greeted.
    pub fn frames(&self, port: u16) -> Frames {
        Frames::over(self.ssh(port, &[], &["vyoma-control"]))
    }
}

/// Where a program of OpenSSH is.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; `make setup` installs openssh-client"))
}
