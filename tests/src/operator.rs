//! What an operator does to a device, hosted, booted or on a serial line: `vyomactl` against it, and waiting for what is to
//! happen.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use vyoma_capabilities::control::{AppStatus, DeviceEvent, DeviceInfo, LogLine};

use crate::from_make_test;

/// For anything that should happen soon, on a machine that does much else at the same time.
pub const SOON: Duration = Duration::from_secs(30);
/// Between two looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// Someone with `vyomactl` and a view of the console.
pub struct Operator {
    target: String,
    console: PathBuf,
    patience: Duration,
    path: Option<OsString>,
}

impl Operator {
    /// Talks to `target`, as `vyomactl --target` takes it, whose console goes to the file `console`, and waits at most
    /// `patience` for anything.
    pub fn new(target: String, console: &Path, patience: Duration) -> Self {
        Self {
            target,
            console: console.into(),
            patience,
            path: None,
        }
    }

    /// Looks for programs in `path` instead of PATH: `vyomactl` runs the `ssh` that it finds first.
    #[must_use]
    pub fn with_path(mut self, path: OsString) -> Self {
        self.path = Some(path);
        self
    }

    /// Everything that the daemon printed.
    pub fn console(&self) -> String {
        fs::read_to_string(&self.console).unwrap_or_default()
    }

    /// A `vyomactl` command for this daemon.
    pub fn vyomactl(&self) -> Command {
        let mut command = Command::new(from_make_test("VYOMACTL_BIN"));
        command
            .arg("--target")
            .arg(&self.target)
            .stdin(Stdio::null());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command
    }

    /// Runs `vyomactl`.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        self.vyomactl()
            .args(arguments)
            .output()
            .expect("run vyomactl")
    }

    /// Runs `vyomactl`, which has to succeed; its standard output.
    pub fn ctl_ok(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "vyomactl {arguments:?}: {}: {said}",
            output.status
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs `vyomactl`, which has to fail; its exit code and what it said.
    pub fn ctl_fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.ctl(arguments);
        assert!(
            !output.status.success(),
            "vyomactl {arguments:?} succeeded: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// All apps.
    pub fn ps(&self) -> Vec<AppStatus> {
        let text = self.ctl_ok(&["ps", "--output", "json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("ps: {error}: {text}"))
    }

    /// One app.
    pub fn app(&self, name: &str) -> AppStatus {
        let all = self.ps();
        all.into_iter()
            .find(|app| app.name == name)
            .unwrap_or_else(|| panic!("no app {name}: {}", self.console()))
    }

    /// The device.
    pub fn info(&self) -> DeviceInfo {
        let text = self.ctl_ok(&["info", "--output", "json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("info: {error}: {text}"))
    }

    /// What happened.
    pub fn events(&self) -> Vec<DeviceEvent> {
        self.ctl_ok(&["events", "--output", "json"])
            .lines()
            .map(|line| serde_json::from_str(line).expect("an event"))
            .collect()
    }

    /// Log lines of an app; `more` are further arguments of `vyomactl logs`.
    pub fn logs(&self, app: &str, more: &[&str]) -> Vec<LogLine> {
        let arguments = [&["logs", app, "--output", "json"], more].concat();
        self.ctl_ok(&arguments)
            .lines()
            .map(|line| serde_json::from_str(line).expect("a log line"))
            .collect()
    }

    /// Texts of log lines of an app.
    pub fn texts(&self, app: &str) -> Vec<String> {
        self.logs(app, &[])
            .into_iter()
            .map(|line| line.text)
            .collect()
    }

    /// Waits until a log line of `app` contains `needle`; returns it.
    pub fn wait_for_log(&self, app: &str, needle: &str) -> String {
        let what = format!("{needle:?} in the log of {app}");
        self.until(&what, || {
            self.texts(app)
                .into_iter()
                .find(|line| line.contains(needle))
        })
    }

    /// Waits until `done` says so of an app.
    pub fn wait_for_app(
        &self,
        app: &str,
        what: &str,
        done: impl Fn(&AppStatus) -> bool,
    ) -> AppStatus {
        self.until(&format!("{app} {what}"), || {
            Some(self.app(app)).filter(&done)
        })
    }

    /// Waits until there is a result.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + self.patience;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                Instant::now() < end,
                "{what} did not come within {} s; the console says:\n{}",
                self.patience.as_secs(),
                self.console()
            );
            thread::sleep(LOOK);
        }
    }

    /// Starts `vyomactl` and hands on its lines as they come.
    pub fn follow(&self, arguments: &[&str]) -> Follower {
        let mut child = self
            .vyomactl()
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("run vyomactl");
        let output = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Follower { child, lines }
    }
}

/// A `vyomactl` that follows something.
pub struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    /// Waits for a line that contains `needle`.
    pub fn wait_for(&self, needle: &str) -> String {
        let end = Instant::now() + SOON;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {needle:?} came within {} s", SOON.as_secs());
            };
            if line.contains(needle) {
                return line;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(
            Instant::now() < end,
            "{what} did not come within {} s",
            SOON.as_secs()
        );
        thread::sleep(LOOK);
    }
}
