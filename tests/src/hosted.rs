//! A hosted daemon for one test.

use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

pub use crate::copy_app;
use crate::from_make_test;
use crate::operator::{LOOK, Operator};
pub use crate::operator::{SOON, wait_for};

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
        let dir = tempfile::Builder::new()
            .prefix("vyoma-")
            .tempdir()
            .expect("a temporary folder");
        // App processes of a root daemon have uids of their own and are to see no difference.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        fs::create_dir(dir.path().join("apps")).expect("a folder for apps");
        Self {
            dir,
            profile: profile.into(),
            arguments: Vec::new(),
        }
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
        self.app_as(name, name, str::to_string)
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
        self.arguments
            .extend(arguments.iter().map(ToString::to_string));
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
        command
            .args([
                "--hosted",
                "--console",
                "--profile",
                &self.profile,
                "--state",
            ])
            .arg(self.state());
        command
            .arg("--apps")
            .arg(self.apps())
            .args(&self.arguments)
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&self) -> HostedDaemon {
        let console = self.dir.path().join("console");
        let output = File::options()
            .create(true)
            .append(true)
            .open(&console)
            .expect("a file for the console");
        let errors = output.try_clone().expect("a second handle");
        let child = self
            .command()
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("start vyomad");
        let socket = self.state().join("control.sock");
        let mut daemon = HostedDaemon {
            child,
            state: self.state(),
            operator: Operator::new(format!("unix://{}", socket.display()), &console, SOON),
        };
        wait_for("the control socket", || {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                panic!("vyomad ended at once with {status}: {}", daemon.console());
            }
            socket.exists() && daemon.ctl(&["info"]).status.success()
        });
        daemon
    }
}

/// A running hosted daemon; dropping it ends it.
pub struct HostedDaemon {
    child: Child,
    state: PathBuf,
    operator: Operator,
}

impl Deref for HostedDaemon {
    type Target = Operator;
    fn deref(&self) -> &Operator {
        &self.operator
    }
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

    /// Memory that the daemon itself wrote to (anonymous, proportional), in KiB. Pages of its file are not counted: how many of
    /// them are mapped is up to this machine's kernel, which may map 2 MB at once, and not to the daemon.
    pub fn own_kb(&self) -> u64 {
        let text =
            fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).expect("smaps_rollup");
        let own = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss_Anon:"))
            .expect("a Pss_Anon line");
        own.split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a number")
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
        fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(stat)
            .collect()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.pid().to_string()])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "kill -{signal}"
        );
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
            assert!(
                Instant::now() < end,
                "vyomad did not end; the console says:\n{}",
                self.console()
            );
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
