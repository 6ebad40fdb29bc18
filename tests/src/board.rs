//! A microcontroller's board in QEMU for one test: the firmware as it ships, the apps that the test chose in its flash, and
//! `vyomactl` on its serial line. What is in the flash outlives the board, so that it can be started again with it.

use std::fs::{self, File, OpenOptions};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::operator::{LOOK, Operator};
use crate::turn::Turn;
use crate::{copy_app, from_make_test};

/// For anything that should happen soon on an emulated board, on a machine that does much else at the same time.
const SOON: Duration = Duration::from_mins(1);
/// For what xtask may have to build first.
const BUILD: Duration = Duration::from_mins(20);

/// What a board is to be started with.
pub struct Setup {
    dir: TempDir,
    arguments: Vec<String>,
    apps: usize,
}

impl Setup {
    /// A board of that name, without apps.
    pub fn new(board: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("vyoma-")
            .tempdir()
            .expect("a temporary folder");
        let flash = dir.path().join("flash.img").display().to_string();
        let control = dir.path().join("control").display().to_string();
        let arguments = [
            "--platform",
            "mcu-minimal",
            "--board",
            board,
            "--data",
            &flash,
            "--control",
            &control,
        ];
        Self {
            arguments: arguments.map(str::to_owned).to_vec(),
            dir,
            apps: 0,
        }
    }

    /// Adds an app as it was built.
    #[must_use]
    pub fn app(self, name: &str) -> Self {
        self.app_as(name, name, str::to_owned)
    }

    /// Adds the component of `name` as the app `new_name`, with another manifest.
    #[must_use]
    pub fn app_as(mut self, name: &str, new_name: &str, change: impl Fn(&str) -> String) -> Self {
        let folder = self.folder(name, new_name, change);
        self.apps += 1;
        self.arg(&["--app", &folder.display().to_string()])
    }

    /// The component of `name` as the app `new_name` in a folder, to be installed.
    pub fn folder(&self, name: &str, new_name: &str, change: impl Fn(&str) -> String) -> PathBuf {
        let folder = self.dir.path().join("apps").join(new_name);
        copy_app(name, &folder, new_name, change);
        folder
    }

    /// Adds arguments of `cargo xtask boot`.
    #[must_use]
    pub fn arg(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Adds arguments of QEMU.
    #[must_use]
    pub fn qemu(self, arguments: &[&str]) -> Self {
        arguments
            .iter()
            .fold(self, |setup, argument| setup.arg(&["--qemu", argument]))
    }

    /// A path in the folder of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The file that is the board's flash, once it was started. It has the apps' region somewhere in it.
    pub fn flash(&self) -> PathBuf {
        self.path("flash.img")
    }

    /// Starts the machine; it need not answer yet.
    pub fn power_on(&self) -> Board {
        let turn = Turn::shared();
        let scratch = self.dir.path();
        let console = scratch.join("console");
        let output = File::create(&console).expect("a file for the console");
        let errors = output.try_clone().expect("a second handle");
        let control = scratch.join("control");
        let _ = fs::remove_file(&control);
        let mut command = Command::new(from_make_test("VYOMA_XTASK_BIN"));
        command.arg("boot").args(&self.arguments);
        if self.apps == 0 {
            command.arg("--no-apps");
        }
        command
            .args(["--timeout", "1800"])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let target = format!("serial://{}", control.display());
        let mut board = Board {
            child: command.spawn().expect("start xtask"),
            operator: Operator::new(target, &console, SOON),
            control,
            line: None,
            _turn: turn,
        };
        board.wait(BUILD, "the control line", |board| {
            board.control.symlink_metadata().is_ok()
        });
        board.line = Some(open(&board.control));
        board
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> Board {
        let mut board = self.power_on();
        board.wait(SOON, "an answer from the board", |board| {
            board.ctl(&["info"]).status.success()
        });
        board
    }
}

/// Opens the other end of the control line.
fn open(control: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        // It must not become the terminal that signals this process.
        .custom_flags(0o400)
        .open(control)
        .unwrap_or_else(|error| panic!("{}: {error}", control.display()))
}

/// A board that runs; dropping it takes its power away.
pub struct Board {
    child: Child,
    operator: Operator,
    control: PathBuf,
    /// QEMU looks once a second whether someone has the line open; so someone always has.
    line: Option<File>,
    _turn: Turn,
}

impl Deref for Board {
    type Target = Operator;
    fn deref(&self) -> &Operator {
        &self.operator
    }
}

impl Board {
    /// The control line, for a test that says there what no `vyomactl` would.
    pub fn line(&self) -> File {
        open(&self.control)
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

    /// Waits until a line of the console contains `needle`; returns it.
    pub fn wait_for_console(&self, needle: &str) -> String {
        self.until(&format!("{needle:?} on the console"), || {
            let console = self.console();
            let line = console.lines().find(|line| line.contains(needle));
            line.map(str::to_owned)
        })
    }

    /// Takes its power away at once.
    pub fn cut_power(self) {
        drop(self);
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // QEMU dies with xtask.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- console of the board ---\n{}", self.console());
        }
    }
}
