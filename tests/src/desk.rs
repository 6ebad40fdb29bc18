//! An operator's desk for one test: the system's own `ssh` with keys, known hosts and a configuration of its own, whatever the
//! user of this machine has, and `vyomactl` that finds this `ssh` first in PATH.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use vyoma_capabilities::control::{
    FRAME_HEADER, FrameKind, PROTOCOL, Request, Response, decode_header, encode_header,
};

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

/// A control conversation over the standard input and output of a program.
pub struct Frames {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Frames {
    /// Starts the program and exchanges greetings.
    pub fn over(mut program: Command) -> Self {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a program");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let mut frames = Self {
            child,
            input,
            output,
        };
        let answer = frames.ask(&Request::Hello { protocol: PROTOCOL });
        assert!(matches!(answer, Some(Response::Hello { .. })), "{answer:?}");
        frames
    }

    /// Sends a request; what is answered, `None` when the other side hung up.
    pub fn ask(&mut self, request: &Request) -> Option<Response> {
        let body = serde_json::to_vec(request).expect("JSON");
        self.send(FrameKind::Json, &body);
        self.answer()
    }

    /// Sends a frame. A side that has hung up takes it nowhere.
    pub fn send(&mut self, kind: FrameKind, body: &[u8]) {
        let header = encode_header(kind, body.len()).expect("a frame");
        if let Some(input) = &mut self.input {
            let _ = input
                .write_all(&header)
                .and_then(|()| input.write_all(body));
            let _ = input.flush();
        }
    }

    /// The next answer, `None` when there is none any more.
    pub fn answer(&mut self) -> Option<Response> {
        let mut header = [0; FRAME_HEADER];
        self.output.read_exact(&mut header).ok()?;
        let (kind, length) = decode_header(header).expect("a header");
        assert_eq!(kind, FrameKind::Json);
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).ok()?;
        Some(serde_json::from_slice(&body).expect("a response"))
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends our side and waits for the program.
    pub fn finish(mut self) -> std::process::ExitStatus {
        drop(self.input.take());
        self.child.wait().expect("wait")
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
