//! A hosted daemon for one test.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vyoma_capabilities::control::{AppStatus, DeviceEvent, DeviceInfo, LogLine};

use crate::{from_make_test, guest};

/// For anything that should happen soon, on a machine that does much else at the same time.
pub const SOON: Duration = Duration::from_secs(30);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// What a daemon is to be started with. Its folders live as long as this does, so that it can be started again on them.
pub struct Setup {
    dir: TempDir,
    profile: String,
    arguments: Vec<String>,
}

impl Setup {
    /// An empty state directory, no apps.
    pub fn new(profile: &str) -> Self {
        // Short, since the path of a socket has at most 107 bytes.
        let dir = tempfile::Builder::new().prefix("vyoma-").tempdir().expect("a temporary folder");
        // App processes of a root daemon have uids of their own and are to see no difference.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        fs::create_dir(dir.path().join("apps")).expect("a folder for apps");
        Self { dir, profile: profile.into(), arguments: Vec::new() }
    }

    /// The profile's text with changes, instead of a built-in one.
    #[must_use]
    pub fn profile_text(mut self, change: impl Fn(&str) -> String) -> Self {
        let text = vyoma_capabilities::profile::builtin(&self.profile).expect("a built-in profile");
        let path = self.dir.path().join("profile.toml");
        fs::write(&path, change(text)).expect("write a profile");
        self.profile = path.display().to_string();
        self
    }

    /// Adds an app as it was built.
    #[must_use]
    pub fn app(self, name: &str) -> Self {
        self.app_as(name, name, |text| text.to_string())
    }

    /// Adds the component of `name` as the app `new_name`, with another manifest.
    #[must_use]
    pub fn app_as(self, name: &str, new_name: &str, change: impl Fn(&str) -> String) -> Self {
        copy_app(name, &self.apps().join(new_name), new_name, change);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arg(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// The folder of image apps.
    pub fn apps(&self) -> PathBuf {
        self.dir.path().join("apps")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A folder for whatever else a test needs.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The command that starts the daemon.
    pub fn command(&self) -> Command {
        let mut command = Command::new(from_make_test("VYOMAD_BIN"));
        command.args(["--hosted", "--console", "--profile", &self.profile, "--state"]).arg(self.state());
        command.arg("--apps").arg(self.apps()).args(&self.arguments).stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&self) -> HostedDaemon {
        let console = self.dir.path().join("console");
        let output = File::options().create(true).append(true).open(&console).expect("a file for the console");
        let errors = output.try_clone().expect("a second handle");
        let child = self.command().stdout(output).stderr(errors).spawn().expect("start vyomad");
        let mut daemon = HostedDaemon { child, state: self.state(), console };
        let socket = self.state().join("control.sock");
        wait_for("the control socket", || {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                panic!("vyomad ended at once with {status}: {}", daemon.console());
            }
            socket.exists() && daemon.ctl(&["info"]).status.success()
        });
        daemon
    }
}

/// Copies a built app into `to`, with `name` in its changed manifest.
pub fn copy_app(from: &str, to: &Path, name: &str, change: impl Fn(&str) -> String) {
    let folder = guest(from);
    fs::create_dir_all(to).expect("a folder for an app");
    for entry in fs::read_dir(&folder).expect("read an app").flatten() {
        if entry.file_name() != "vyoma.toml" {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copy a component");
        }
    }
    let text = fs::read_to_string(folder.join("vyoma.toml")).expect("read a manifest");
    let text = text.replacen(&format!("name = \"{from}\""), &format!("name = \"{name}\""), 1);
    fs::write(to.join("vyoma.toml"), change(&text)).expect("write a manifest");
}

/// A running hosted daemon; dropping it ends it.
pub struct HostedDaemon {
    child: Child,
    state: PathBuf,
    console: PathBuf,
}

impl HostedDaemon {
    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Everything that the daemon printed.
    pub fn console(&self) -> String {
        fs::read_to_string(&self.console).unwrap_or_default()
    }

    /// A `vyomactl` command for this daemon.
    pub fn vyomactl(&self) -> Command {
        let mut command = Command::new(from_make_test("VYOMACTL_BIN"));
        command.arg("--target").arg(format!("unix://{}/control.sock", self.state.display())).stdin(Stdio::null());
        command
    }

    /// Runs `vyomactl`.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        self.vyomactl().args(arguments).output().expect("run vyomactl")
    }

    /// Runs `vyomactl`, which has to succeed; its standard output.
    pub fn ctl_ok(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "vyomactl {arguments:?}: {}: {said}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs `vyomactl`, which has to fail; its exit code and what it said.
    pub fn ctl_fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.ctl(arguments);
        assert!(!output.status.success(), "vyomactl {arguments:?} succeeded: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// All apps.
    pub fn ps(&self) -> Vec<AppStatus> {
        let text = self.ctl_ok(&["ps", "--output", "json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("ps: {error}: {text}"))
    }

    /// One app.
    pub fn app(&self, name: &str) -> AppStatus {
        let all = self.ps();
        all.into_iter().find(|app| app.name == name).unwrap_or_else(|| panic!("no app {name}: {}", self.console()))
    }

    /// The device.
    pub fn info(&self) -> DeviceInfo {
        let text = self.ctl_ok(&["info", "--output", "json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("info: {error}: {text}"))
    }

    /// What happened.
    pub fn events(&self) -> Vec<DeviceEvent> {
        self.ctl_ok(&["events", "--output", "json"]).lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }

    /// Log lines of an app; `more` are further arguments of `vyomactl logs`.
    pub fn logs(&self, app: &str, more: &[&str]) -> Vec<LogLine> {
        let arguments = [&["logs", app, "--output", "json"], more].concat();
        self.ctl_ok(&arguments).lines().map(|line| serde_json::from_str(line).expect("a log line")).collect()
    }

    /// Texts of log lines of an app.
    pub fn texts(&self, app: &str) -> Vec<String> {
        self.logs(app, &[]).into_iter().map(|line| line.text).collect()
    }

    /// Waits until a log line of `app` contains `needle`; returns it.
    pub fn wait_for_log(&self, app: &str, needle: &str) -> String {
        let what = format!("{needle:?} in the log of {app}");
        self.until(&what, || self.texts(app).into_iter().find(|line| line.contains(needle)))
    }

    /// Waits until `done` says so of an app.
    pub fn wait_for_app(&self, app: &str, what: &str, done: impl Fn(&AppStatus) -> bool) -> AppStatus {
        self.until(&format!("{app} {what}"), || Some(self.app(app)).filter(&done))
    }

    /// Waits until there is a result.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "{what} did not come within {} s; the console says:\n{}", SOON.as_secs(), self.console());
            thread::sleep(LOOK);
        }
    }

    /// Starts `vyomactl` and hands on its lines as they come.
    pub fn follow(&self, arguments: &[&str]) -> Follower {
        let mut child = self.vyomactl().args(arguments).stdout(Stdio::piped()).spawn().expect("run vyomactl");
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

    /// Memory of the daemon itself (proportional set size), in KiB.
    pub fn pss_kb(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).expect("smaps_rollup");
        let pss = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a Pss line");
        pss.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
    }

    /// Children of the daemon: (process, state letter of proc(5)).
    pub fn children(&self) -> Vec<(u32, char)> {
        let parent = self.pid().to_string();
        let stat = |entry: fs::DirEntry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = text.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?.chars().next()?;
            (fields.next()? == parent).then_some((pid, state))
        };
        fs::read_dir("/proc").expect("/proc").flatten().filter_map(stat).collect()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{signal}");
    }

    /// Ends the daemon in order; how it ended.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Ends the daemon at once, as a power failure would.
    pub fn kill(mut self) {
        self.child.kill().expect("kill vyomad");
        self.ended();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(Instant::now() < end, "vyomad did not end; the console says:\n{}", self.console());
            thread::sleep(LOOK);
        }
    }
}

impl Drop for HostedDaemon {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // Its apps go with it: the kernel kills them when their parent dies.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("--- console of vyomad ---\n{}", self.console());
        }
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
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(needle) => return line,
                Ok(_) => {}
                Err(_) => panic!("no line with {needle:?} came within {} s", SOON.as_secs()),
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
        assert!(Instant::now() < end, "{what} did not come within {} s", SOON.as_secs());
        thread::sleep(LOOK);
    }
}

