//! Starts `vyomad app` and `vyomad admit` as the daemon does: the descriptors of `src/spec.rs`, a specification in, a
//! report out. For the tests of these roles; the daemon's own tests start the daemon.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

/// As the daemon gives the first app.
pub(crate) const UID: u32 = 20_000;

/// Whether the processes can get a uid of their own. All of the sandbox is required then.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The binary under test: cargo's, or another build of it, such as an image's.
pub(crate) fn vyomad() -> PathBuf {
    std::env::var_os("VYOMA_TEST_VYOMAD")
        .map_or_else(|| env!("CARGO_BIN_EXE_vyomad").into(), PathBuf::from)
}

/// Specification of an app, before what a test changes.
pub(crate) fn app_spec(grants: Value) -> Value {
    let mut all = json!({
        "stdio": true, "network": null, "filesystem": false, "display": false, "mouse": false, "touch": false,
        "shell": false, "audio": false, "gpio": null, "i2c": null, "spi": null, "uart": null, "adc": null,
        "watchdog_secs": null, "memory_kb": null, "cpu_percent": null, "storage_kb": null,
    });
    merge(&mut all, grants);
    json!({
        "name": "probed", "args": [], "env": [], "grants": all,
        "uid": is_root().then_some(UID), "sandbox_required": is_root(),
        "memory_bytes": null, "engine": "wasmtime", "artefact_key": "test",
    })
}

/// Overwrites the keys of one object with those of another.
pub(crate) fn merge(into: &mut Value, from: Value) {
    if let Value::Object(from) = from {
        into.as_object_mut().unwrap().extend(from);
    }
}

/// A data folder as the daemon makes it: of the app's uid, closed to others.
pub(crate) fn data_folder(path: &Path) -> File {
    std::fs::create_dir_all(path).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    if is_root() {
        chown(path, Some(UID), Some(UID)).unwrap();
    }
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path)
        .unwrap()
}

/// An empty memory file of `size` bytes.
pub(crate) fn memfd(size: u64) -> File {
    let file: File = nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
        .unwrap()
        .into();
    file.set_len(size).unwrap();
    file
}

/// A role process that has been told what to do.
pub(crate) struct Role {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: BufReader<std::process::ChildStdout>,
    control: UnixStream,
}

impl Role {
    /// Starts `vyomad ROLE NAME` with descriptors 4, 5 and, if given, 6.
    pub(crate) fn start(
        role: &str,
        spec: &Value,
        code: &File,
        shared: &File,
        data: Option<&File>,
    ) -> Self {
        let (control, theirs) = UnixStream::pair().unwrap();
        // Out of the way of the numbers that they will get.
        let high = |fd: RawFd| -> OwnedFd {
            // SAFETY: duplicating an open descriptor; the result is owned here alone.
            unsafe { OwnedFd::from_raw_fd(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 100)) }
        };
        let mut passed = vec![
            (high(theirs.as_raw_fd()), 3),
            (high(code.as_raw_fd()), 4),
            (high(shared.as_raw_fd()), 5),
        ];
        passed.extend(data.map(|data| (high(data.as_raw_fd()), 6)));
        // One that leaks: the role has to close it.
        passed.push((high(theirs.as_raw_fd()), 77));
        let mut command = Command::new(vyomad());
        command
            .args([role, "probed"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // SAFETY: dup2 and close are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                for number in 3..7 {
                    libc::close(number);
                }
                for (from, to) in &passed {
                    if libc::dup2(from.as_raw_fd(), *to) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap();
        drop(theirs);
        let mut role = Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            control,
        };
        role.control.write_all(spec.to_string().as_bytes()).unwrap();
        role.control.shutdown(Shutdown::Write).unwrap();
        role
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// A field of /proc/PID/status, such as `Uid`.
    pub(crate) fn status(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with(&format!("{field}:")))
            .unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Closes its stdin and waits for its end: report, exit status and what was left to read of its output.
    pub(crate) fn end(mut self) -> (Value, Option<i32>, String) {
        drop(self.stdin.take());
        let mut output = Vec::new();
        self.stdout.read_to_end(&mut output).unwrap();
        let mut report = String::new();
        self.control.read_to_string(&mut report).unwrap();
        let status = self.child.wait().unwrap();
        let report = serde_json::from_str(&report).unwrap_or(Value::Null);
        (
            report,
            status.code(),
            String::from_utf8_lossy(&output).into_owned(),
        )
    }
}
