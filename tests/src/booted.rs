//! A device in QEMU for one test: an image with vyomad as PID 1 as it ships, the apps that the test chose, and beside
//! them the bridge (`bin/bridge.rs`) by which `vyomactl` reaches it and files of the device can be read.
//!
//! What is only to be seen on the console needs none of this: `cargo xtask boot` is enough for that.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Deref;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::operator::{LOOK, Operator};
use crate::turn::Turn;
use crate::{copy_app, from_make_test};

/// For anything that should happen soon in an emulated machine, of which a loaded host makes a very slow one.
const SOON: Duration = Duration::from_mins(3);
/// For what xtask may have to build first.
const BUILD: Duration = Duration::from_mins(20);
/// Where the bridge listens.
const PORT: u16 = 7;
/// The data disk: 64 MiB are enough for what tests install.
const DISK: u64 = 64 << 20;

/// What a device is to be started with. Its folders live as long as this does, so that it can be started again.
pub struct Machine {
    dir: TempDir,
    arguments: Vec<String>,
    arch: &'static str,
    alone: bool,
    ssh: Option<u16>,
}

impl Machine {
    /// A device of `platform` in its usual size, with an empty disk and no apps.
    pub fn new(platform: &str, arch: &'static str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("vyoma-")
            .tempdir()
            .expect("a temporary folder");
        let arguments = ["--platform", platform, "--arch", arch];
        let mut machine = Self {
            dir,
            arguments: arguments.map(str::to_owned).to_vec(),
            arch,
            alone: false,
            ssh: None,
        };
        let disk = machine.dir.path().join("data.img");
        File::create(&disk)
            .and_then(|file| file.set_len(DISK))
            .expect("a disk");
        let mut mke2fs = Command::new("mke2fs");
        mke2fs
            .args(["-q", "-t", "ext4", "-L", "vyoma-data"])
            .arg(&disk);
        let path = std::env::var("PATH").unwrap_or_default();
        let made = mke2fs
            .env("PATH", format!("{path}:/sbin:/usr/sbin"))
            .status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "mke2fs failed or is missing; install e2fsprogs"
        );
        machine.push(&["--data", &disk.display().to_string()]);
        machine
    }

    fn push(&mut self, arguments: &[&str]) {
        self.arguments
            .extend(arguments.iter().map(ToString::to_string));
    }

    /// Runs with no other machine beside it: for tests that measure times.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Lets the owner of this public key log in by SSH, at [`Device::ssh_port`] of this machine.
    #[must_use]
    pub fn ssh(mut self, public_key: &Path) -> Self {
        let port = free_port();
        self.ssh = Some(port);
        self.push(&["--ssh-key", &public_key.display().to_string()]);
        self.push(&["--forward", &format!("{port}:22")]);
        self
    }

    /// Adds arguments of `cargo xtask boot`.
    #[must_use]
    pub fn arg(mut self, arguments: &[&str]) -> Self {
        self.push(arguments);
        self
    }

    /// Adds an app as it was built.
    #[must_use]
    pub fn app(self, name: &str) -> Self {
        self.app_as(name, name, str::to_owned)
    }

    /// Adds the component of `name` as the app `new_name`, with another manifest.
    #[must_use]
    pub fn app_as(mut self, name: &str, new_name: &str, change: impl Fn(&str) -> String) -> Self {
        let folder = self.dir.path().join("apps").join(new_name);
        copy_app(name, &folder, new_name, change);
        self.push(&["--app", &folder.display().to_string()]);
        self
    }

    /// Boots it and waits until it answers.
    pub fn start(&self) -> Device {
        let turn = if self.alone {
            Turn::alone()
        } else {
            Turn::shared()
        };
        let scratch = self.dir.path();
        let (console, report) = (scratch.join("console"), scratch.join("report.json"));
        let output = File::create(&console).expect("a file for the console");
        let errors = output.try_clone().expect("a second handle");
        let port = free_port();
        let bridge = format!("/bridge={}", bridge(scratch, self.arch).display());
        let mut command = Command::new(from_make_test("VYOMA_XTASK_BIN"));
        command
            .arg("boot")
            .args(&self.arguments)
            .args(["--add", &bridge, "--append", "rdinit=/bridge"])
            .args(["--forward", &format!("{port}:{PORT}")])
            .args(["--timeout", "900", "--json"])
            .arg(&report)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = command.spawn().expect("start xtask");
        let socket = scratch.join("control.sock");
        // Left by an earlier boot of the same machine.
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).expect("a socket");
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || forward(client, port));
            }
        });
        let mut device = Device {
            child,
            port,
            ssh: self.ssh,
            report,
            operator: Operator::new(format!("unix://{}", socket.display()), &console, SOON),
            _turn: turn,
        };
        device.wait(BUILD, "the kernel's first line", |device| {
            device.console().contains("Linux version")
        });
        device.wait_until_it_answers();
        device
    }
}

/// A port of this machine that nobody had a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

/// Builds the bridge as a static program: it needs nothing but std, so rustc alone is enough.
fn bridge(folder: &Path, arch: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/bridge.rs");
    let program = folder.join("bridge");
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition",
        "2024",
        "-O",
        "-C",
        "panic=abort",
        "-C",
        "strip=symbols",
    ]);
    rustc.args(["--target", &format!("{arch}-unknown-linux-musl")]);
    if arch != "x86_64" {
        rustc.args(["-C", "linker=rust-lld"]);
    }
    let done = rustc.arg(source).arg("-o").arg(&program).status();
    assert!(done.is_ok_and(|status| status.success()), "rustc failed");
    program
}

/// Hands a client of our socket on to the control socket of the device.
fn forward(client: UnixStream, port: u16) -> io::Result<()> {
    let mut device = TcpStream::connect(("127.0.0.1", port))?;
    device.write_all(b"control\n")?;
    let (mut from, mut to) = (client.try_clone()?, device.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (device, client);
    let _ = io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Both)
}

/// A running device; dropping it takes its power away.
pub struct Device {
    child: Child,
    port: u16,
    ssh: Option<u16>,
    report: PathBuf,
    operator: Operator,
    _turn: Turn,
}

impl Deref for Device {
    type Target = Operator;
    fn deref(&self) -> &Operator {
        &self.operator
    }
}

impl Device {
    /// Waits until the control socket answers: after a reboot as well.
    pub fn wait_until_it_answers(&mut self) {
        self.wait(SOON, "an answer from the device", |device| {
            device.ctl(&["info"]).status.success()
        });
    }

    /// Where its SSH is on this machine.
    ///
    /// # Panics
    /// When nobody may log in: see [`Machine::ssh`].
    pub fn ssh_port(&self) -> u16 {
        self.ssh.expect("a device with SSH")
    }

    fn wait(&mut self, patience: Duration, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + patience;
        while !done(self) {
            let ended = self.child.try_wait().expect("wait");
            assert!(
                ended.is_none() && Instant::now() < end,
                "{what} did not come; xtask {ended:?} says:\n{}",
                self.console()
            );
            thread::sleep(LOOK);
        }
    }

    /// A file of the device.
    pub fn read(&self, path: &str) -> String {
        self.ask(&format!("read {path}"))
    }

    /// Writes to a file of the device, most likely one of the kernel's.
    pub fn write(&self, path: &str, text: &str) {
        let said = self.ask(&format!("write {path} {text}"));
        assert_eq!(said, "done", "{path}");
    }

    /// Names in a folder of the device.
    pub fn list(&self, path: &str) -> Vec<String> {
        let said = self.ask(&format!("list {path}"));
        said.lines().map(str::to_owned).collect()
    }

    /// How many threads fit into the app's control group beside what it has.
    pub fn threads_that_fit(&self, app: &str) -> usize {
        let said = self.ask(&format!("threads /sys/fs/cgroup/apps/{app}"));
        said.trim().parse().unwrap_or_else(|_| panic!("{said}"))
    }

    fn ask(&self, question: &str) -> String {
        let mut answer = String::new();
        let mut ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.write_all(format!("{question}\n").as_bytes())?;
            stream.read_to_string(&mut answer)
        };
        ask().unwrap_or_else(|error| panic!("{question}: {error}"));
        answer
    }

    /// Waits until it has powered itself off; what `cargo xtask boot` reports.
    pub fn ended(mut self) -> Value {
        let end = Instant::now() + SOON;
        while self.child.try_wait().expect("wait").is_none() {
            assert!(
                Instant::now() < end,
                "the device is still on:\n{}",
                self.console()
            );
            thread::sleep(LOOK);
        }
        let text = fs::read_to_string(&self.report).expect("a report");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Takes its power away at once.
    pub fn cut_power(self) {
        drop(self);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // QEMU dies with xtask.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- console of the device ---\n{}", self.console());
        }
    }
}
