//! Figures of SSH: how long it takes from `vyomactl install` to the app's first line at the operator's terminal, on a booted image,
//! through the system's OpenSSH client, beside it the same commands to the same device without SSH; and what a connection takes of
//! the device's memory.

use std::cell::RefCell;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use regex_lite::Regex;
use vyoma_capabilities::control::Request;

use crate::apps;
use crate::artefacts;
use crate::boot::{self, MachineOptions, Plan};
use crate::bridge;
use crate::context::{Context, call, say};
use crate::figures::{Figure, Goal, commit, insert_between, table};
use crate::image::{self, WhichApps};
use crate::keys::{self, WhichKeys};
use crate::platforms::{self, Arch};
use crate::qemu::Forward;

/// An emulated machine does all of the mathematics of a log-in, and compiles.
const TIMEOUT: Duration = Duration::from_mins(10);

const BEGIN: &str = "<!-- ssh: begin -->";
const END: &str = "<!-- ssh: end -->";

/// The page with `section` in the place of the old one, or at its end if it had none.
pub(crate) fn insert(page: &str, section: &str) -> String {
    insert_between(page, BEGIN, END, section)
}

/// Measures; the figures, and the section of the page.
pub(crate) fn measure(context: &Context, runs: usize) -> anyhow::Result<(Vec<Figure>, String)> {
    let figures = ["server-headless", "iot-edge"]
        .into_iter()
        .map(|platform| install(context, platform, runs))
        .collect::<anyhow::Result<Vec<_>>>()?
        .concat();
    let section = format!(
        "## SSH\n\nFrom the start of `vyomactl install hello` to hello's first line out of `vyomactl logs -f hello`, which follows it: \
         two log-ins, the upload, the admission (server-headless compiles on the device, for iot-edge vyoma-aotc compiles here) and the \
         start of the app. The baseline is the same two commands to the same device through a bridge without SSH, one beside the \
         other. A connection is a process; its memory is read while it follows events.\n\n{}\n- {}\n",
        table(&figures),
        commit(context)
    );
    Ok((figures, section))
}

fn install(context: &Context, platform: &str, runs: usize) -> anyhow::Result<Vec<Figure>> {
    let target = platforms::select(context, Some(platform), None)?;
    let (shipped, _) = apps::build_all(context)?;
    let hello = shipped
        .iter()
        .find(|app| app.name == "hello")
        .context("no app hello")?;
    let vyomactl = artefacts::program(context, "vyomactl", Arch::X86_64)?;
    let aotc = artefacts::aotc(context)?;
    let folder = tempfile::tempdir()?;
    // A cache folder of its own, and in it a key of its own: nothing of whoever runs this is used.
    let private = Context {
        cache: folder.path().join("vyoma"),
        ..context.clone()
    };
    let mut which = WhichApps::only(Vec::new());
    which.keys = WhichKeys::default().and_the_made_one(&private)?;
    let bridge = bridge::build(context, target.arch, folder.path())?;
    which.add.push((bridge::PATH.to_owned(), bridge));
    let image = image::build(context, &target, &which)?;
    let (ssh, plain) = (free_port()?, free_port()?);
    let forward = |host, guest| Forward { host, guest };
    let options = MachineOptions {
        append: vec![bridge::START.to_owned()],
        forward: vec![forward(ssh, keys::PORT), forward(plain, bridge::PORT)],
        ..MachineOptions::default()
    };
    let _note = keys::Note::write(&private, platform, ssh)?;
    let socket = folder.path().join("control.sock");
    serve(&socket, plain)?;
    let vyomactl = |place: &str| {
        let mut command = Command::new(&vyomactl);
        command
            .args(["--target", place])
            .env("XDG_CACHE_HOME", folder.path())
            .env("VYOMA_AOTC", &aotc);
        command
    };
    let once = |place: &str| -> anyhow::Result<f64> {
        let command = || vyomactl(place);
        let begun = Instant::now();
        call(
            command()
                .arg("install")
                .arg(&hello.dir)
                .stdout(Stdio::null()),
        )?;
        let logs = Follower::start(command().args(["logs", "-f", "hello"]), "hello")?;
        let took = begun.elapsed().as_secs_f64();
        drop(logs);
        call(command().args(["remove", "hello"]).stdout(Stdio::null()))?;
        Ok(took)
    };
    say(format_args!(
        "measuring {runs} installations of hello on {platform} by SSH, each beside one without"
    ));
    let samples = RefCell::new(None);
    let plan = Plan {
        until: &[Regex::new("host key SHA256:")?],
        timeout: TIMEOUT,
        keep_running: true,
        screenshot: None,
        echo: false,
    };
    boot::boot(&target, &image, &options, &plan, &|_| {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut held = Vec::new();
        for _ in 0..runs {
            ours.push(once(&keys::address(ssh))?);
            theirs.push(once(&format!("unix://{}", socket.display()))?);
            let mut command = vyomactl(&keys::address(ssh));
            let _events = Follower::start(command.args(["events", "-f"]), "")?;
            held.push(connection_kb(plain)?);
        }
        *samples.borrow_mut() = Some((ours, theirs, held));
        bridge::connect(plain)?.send(&Request::Shutdown)
    })?;
    let (ours, theirs, held) = samples
        .into_inner()
        .with_context(|| format!("{platform} did not say that it serves SSH"))?;
    let took = Figure {
        what: format!(
            "install of hello by SSH on {}, in QEMU: from the command to its first line",
            target.id()
        ),
        unit: "s",
        samples: ours,
        baseline: Some(("the same without SSH".into(), theirs)),
        goal: Goal::None,
    };
    let memory = Figure {
        what: format!(
            "memory (PSS) of one connection by SSH on {}, which follows events",
            target.id()
        ),
        unit: "KB",
        samples: held,
        baseline: None,
        goal: Goal::None,
    };
    Ok(vec![took, memory])
}

/// KiB that the one process of SSH holds on the device behind the bridge at `port`.
fn connection_kb(port: u16) -> anyhow::Result<f64> {
    let processes = bridge::ask(port, "list /proc")?;
    for process in processes.lines() {
        if process.bytes().all(|byte| byte.is_ascii_digit())
            && bridge::ask(port, &format!("read /proc/{process}/cmdline"))?
                .starts_with("vyomad\0ssh\0")
        {
            let memory = bridge::ask(port, &format!("read /proc/{process}/smaps_rollup"))?;
            let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kb = pss.and_then(|rest| rest.trim().strip_suffix(" kB"));
            return Ok(kb
                .with_context(|| format!("no Pss in {memory:?}"))?
                .parse()?);
        }
    }
    bail!("the device has no process of SSH while somebody is connected by it")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A command that goes on, and ends with this. Its output is kept: whoever writes to a pipe that nobody reads ends.
struct Follower {
    child: Child,
    _output: BufReader<ChildStdout>,
}

impl Follower {
    /// Starts it and waits for its first line, which has to have `expected` in it.
    fn start(command: &mut Command, expected: &str) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run vyomactl")?;
        let mut output = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let follower = Self {
            child,
            _output: output,
        };
        ensure!(
            !line.is_empty() && line.contains(expected),
            "found {line:?}; expected a first line with {expected:?}"
        );
        Ok(follower)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket of this machine that leads to the control socket behind the bridge at `port`, for as long as this process runs.
fn serve(socket: &Path, port: u16) -> anyhow::Result<()> {
    let listener = UnixListener::bind(socket)?;
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || carry(client, port));
        }
    });
    Ok(())
}

fn carry(client: UnixStream, port: u16) -> io::Result<()> {
    let mut device = TcpStream::connect(("127.0.0.1", port))?;
    device.set_nodelay(true)?;
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
