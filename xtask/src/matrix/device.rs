//! The places where the matrix runs its apps: a booted image of each platform, and each engine hosted on this machine. Both
//! are asked by the control protocol, so what is reported is what the device itself says.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use vyoma_capabilities::control::{AppStatus, DeviceInfo, LogLine, Request, Response};

use super::board::{self, Operator};
use super::job::Job;
use crate::bridge;
use crate::context::{Context, write_atomically};
use crate::control::{self, Control};
use crate::platforms::{Arch, MICROCONTROLLER};

/// For what has to be built first, and for an emulated machine on a busy host.
const PATIENCE: Duration = Duration::from_mins(15);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// A device that runs, until this is dropped.
pub(crate) struct Device {
    child: Child,
    way: Way,
    log: PathBuf,
    /// Folders of the device.
    _dir: tempfile::TempDir,
}

/// How its control socket is reached.
enum Way {
    /// Through the bridge, behind this port.
    Bridge(u16),
    Socket(PathBuf),
    /// By `vyomactl` on a serial line.
    Serial(Operator),
}

/// What a device said of one app.
pub(crate) struct Seen {
    pub(crate) status: AppStatus,
    pub(crate) log: Vec<LogLine>,
    /// From the app's start to its end or its last line that counts, by the device's clock.
    pub(crate) seconds: f64,
    /// Everything came that was waited for.
    pub(crate) done: bool,
}

impl Device {
    /// Boots an image of `platform` that holds the apps of `jobs`.
    pub(crate) fn boot(
        context: &Context,
        platform: &str,
        arch: Arch,
        jobs: &[Job],
    ) -> anyhow::Result<Self> {
        let dir = folder()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = bridge::build(context, arch, dir.path())?;
        let add = format!("/{}={}", bridge::PATH, program.display());
        let mut xtask = Command::new(std::env::current_exe()?);
        xtask.args(["boot", "--platform", platform, "--arch", arch.name()]);
        xtask.args(["--add", &add, "--append", bridge::START]);
        xtask.args(["--forward", &format!("{port}:{}", bridge::PORT)]);
        xtask.args(["--timeout", &PATIENCE.as_secs().to_string()]);
        for job in jobs {
            xtask.arg("--app").arg(&job.dir);
        }
        Self::start(dir, xtask, Way::Bridge(port))
    }

    /// Starts `vyomad` on this machine, with the engine of `profile` and the machine code in `store`.
    pub(crate) fn hosted(
        vyomad: &Path,
        profile: &Path,
        store: Option<&Path>,
        jobs: &[Job],
    ) -> anyhow::Result<Self> {
        let dir = folder()?;
        let apps = dir.path().join("apps");
        for job in jobs {
            for file in std::fs::read_dir(&job.dir)?.flatten() {
                let to = apps.join(&job.name).join(file.file_name());
                write_atomically(&to, &std::fs::read(file.path())?)?;
            }
        }
        let state = dir.path().join("state");
        let mut daemon = Command::new(vyomad);
        daemon.arg("--hosted").arg("--profile").arg(profile);
        daemon.arg("--apps").arg(&apps).arg("--state").arg(&state);
        if let Some(store) = store {
            daemon.arg("--store").arg(store);
        }
        Self::start(dir, daemon, Way::Socket(state.join("control.sock")))
    }

    /// Boots a microcontroller's board with the apps of `jobs` in its flash.
    pub(crate) fn board(context: &Context, jobs: &[&Job]) -> anyhow::Result<Self> {
        let dir = folder()?;
        let control = dir.path().join("control");
        let operator = Operator::new(context, &control)?;
        let mut xtask = Command::new(std::env::current_exe()?);
        xtask.args(["boot", "--platform", MICROCONTROLLER, "--control"]);
        xtask.arg(&control);
        xtask.args(["--timeout", &PATIENCE.as_secs().to_string()]);
        for job in jobs {
            xtask.arg("--app").arg(&job.dir);
        }
        Self::start(dir, xtask, Way::Serial(operator))
    }

    fn start(dir: tempfile::TempDir, mut command: Command, way: Way) -> anyhow::Result<Self> {
        let log = dir.path().join("log");
        let output = std::fs::File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self {
            child,
            way,
            log,
            _dir: dir,
        })
    }

    fn connect(&self) -> anyhow::Result<Control> {
        match &self.way {
            Way::Bridge(port) => bridge::connect(*port),
            Way::Socket(socket) => Control::connect(socket),
            Way::Serial(_) => bail!("a serial line has no socket"),
        }
    }

    fn look(&self) -> Duration {
        match self.way {
            Way::Serial(_) => board::LOOK,
            _ => LOOK,
        }
    }

    fn ask_info(&self) -> anyhow::Result<DeviceInfo> {
        if let Way::Serial(operator) = &self.way {
            return operator.info();
        }
        match self.connect()?.ask(&Request::Info)? {
            Response::Info(info) => Ok(info),
            other => bail!("the device answered {other:?} to info"),
        }
    }

    fn ps(&self) -> anyhow::Result<Vec<AppStatus>> {
        if let Way::Serial(operator) = &self.way {
            return operator.ps();
        }
        match self.connect()?.ask(&Request::Ps)? {
            Response::Apps(apps) => Ok(apps),
            other => bail!("the device answered {other:?} to ps"),
        }
    }

    fn logs(&self, app: &str) -> anyhow::Result<Vec<LogLine>> {
        match &self.way {
            Way::Serial(operator) => operator.logs(app),
            _ => logs(&mut self.connect()?, app),
        }
    }

    fn send(&self, app: &str, bytes: &[u8]) -> anyhow::Result<()> {
        if let Way::Serial(operator) = &self.way {
            return operator.send(app, bytes);
        }
        let request = Request::Send {
            app: app.to_owned(),
            text: String::from_utf8_lossy(bytes).into_owned(),
            end: true,
        };
        self.connect()?.ask(&request).map(drop)
    }

    /// Waits until the device answers, and gives what it says of itself.
    pub(crate) fn info(&mut self) -> anyhow::Result<DeviceInfo> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask_info() {
                Ok(info) => return Ok(info),
                Err(error) => {
                    ensure!(
                        Instant::now() < deadline,
                        "no answer: {error:#}; {}",
                        self.last_words()
                    );
                    if let Some(status) = self.child.try_wait()? {
                        bail!(
                            "ended with {status} before it answered: {}",
                            self.last_words()
                        );
                    }
                    std::thread::sleep(self.look());
                }
            }
        }
    }

    /// Gives an app its standard input.
    pub(crate) fn feed(&self, job: &Job, bytes: &[u8]) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.send(&job.name, bytes) {
                // It may be starting still; one that ended without reading needs nothing any more.
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => {
                    if self
                        .ps()?
                        .iter()
                        .any(|app| app.name == job.name && app.last_ending.is_some())
                    {
                        return Ok(());
                    }
                    std::thread::sleep(self.look());
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Waits for `job` to be done, at most until `deadline`.
    pub(crate) fn wait(&self, job: &Job, deadline: Instant) -> anyhow::Result<Seen> {
        loop {
            let apps = self.ps()?;
            let log = self.logs(&job.name)?;
            let status = apps
                .into_iter()
                .find(|status| status.name == job.name)
                .with_context(|| format!("the device has no app {}", job.name))?;
            // A log is read after the ending was seen, so that nothing is missing from it.
            let done = job.is_done(status.last_ending.as_ref(), &log);
            if done || Instant::now() > deadline {
                let log = if done { self.logs(&job.name)? } else { log };
                let seconds = seconds(job, &log);
                return Ok(Seen {
                    status,
                    log,
                    seconds,
                    done,
                });
            }
            std::thread::sleep(self.look());
        }
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if matches!(self.way, Way::Serial(_)) {
            // A board has no power switch; QEMU dies with xtask.
            let _ = self.child.kill();
            let _ = self.child.wait();
            return;
        }
        let control = self.connect();
        control::end(&mut self.child, control);
    }
}

/// A daemon that is root gives apps uids of their own; they must reach their folders.
fn folder() -> anyhow::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    Ok(dir)
}

fn logs(control: &mut Control, app: &str) -> anyhow::Result<Vec<LogLine>> {
    control.send(&Request::Logs {
        app: Some(app.to_owned()),
        follow: false,
        since_ms: None,
        previous: false,
        tail: None,
    })?;
    let mut lines = Vec::new();
    loop {
        match control.next()? {
            Response::LogLine(line) => lines.push(line),
            Response::Done => return Ok(lines),
            other => bail!("the device answered {other:?} to logs"),
        }
    }
}

/// Between the first and the last line that count; the daemon's own lines mark start and end.
fn seconds(job: &Job, log: &[LogLine]) -> f64 {
    let most = job.lines.unwrap_or(usize::MAX).max(1);
    let times: Vec<u64> = log.iter().map(|line| line.time_ms).take(most).collect();
    match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first) as f64 / 1000.0,
        _ => 0.0,
    }
}
