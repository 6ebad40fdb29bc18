//! `cargo xtask boot`: boots an image, watches its console, and reports in JSON what was seen and when. For tests and
//! figures; people use `run`. It judges nothing but what `--until` asks for.

mod report;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use regex_lite::Regex;
use serde_json::{Value, json};

pub(crate) use self::report::{Line, Moment, Report};
use self::report::{harmless, line};
use crate::Which;
use crate::context::{Context, say, shown, write_atomically};
use crate::data::{self, Disk};
use crate::image::{self, Image, WhichApps};
use crate::kernel;
use crate::mcu;
use crate::platforms::{Flavour, MICROCONTROLLER, Target};
use crate::qemu::{Console, Event, Forward, Hardware, Machine, Qmp};
use crate::setup::{self, Need};

/// `cargo xtask boot`
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    apps: WhichApps,
    #[command(flatten)]
    machine: MachineOptions,
    /// Boot on another machine of QEMU's than the platform's usual one, for tests (iot-edge and robotics-rt only).
    #[arg(long = "on", value_name = "MACHINE", value_enum)]
    hardware: Option<Hardware>,
    /// Succeed once a console line matches. Repeated: once each has matched, in any order.
    #[arg(long, value_name = "REGEX")]
    until: Vec<Regex>,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// After `--until` has matched, go on until the device powers off or the time is up.
    #[arg(long)]
    keep_running: bool,
    /// Save what the display shows, as PNG, before QEMU is ended.
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
    /// Where the report goes. With `--keep-running` also written when `--until` has matched.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Don't repeat the console on stdout.
    #[arg(long)]
    quiet: bool,
}

/// How the machine differs from the platform's usual one.
#[derive(Args, Clone)]
pub(crate) struct MachineOptions {
    /// Words for the kernel's command line, such as vyoma.ip=off.
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub(crate) append: Vec<String>,
    /// The data disk: none, blank, fresh (formatted, thrown away afterwards) or an image file. Of mcu-minimal the flash: fresh
    /// (with the apps of the image), or a file, which is made when it is not there.
    #[arg(long, value_name = "DISK", default_value = "fresh")]
    pub(crate) data: Disk,
    /// One more argument for QEMU.
    #[arg(long = "qemu", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) qemu: Vec<String>,
    /// Another machine of QEMU's than the platform's usual one, and its device tree.
    #[arg(skip)]
    pub(crate) hardware: Option<(Hardware, PathBuf)>,
    /// Memory of the machine instead of the profile's.
    #[arg(long, value_name = "MB")]
    pub(crate) memory: Option<u64>,
    /// Make a TCP port of the device reachable at 127.0.0.1.
    #[arg(long, value_name = "HOSTPORT:GUESTPORT")]
    pub(crate) forward: Vec<Forward>,
    /// Where the link to a board's control line is made (mcu-minimal only).
    #[arg(long, value_name = "FILE")]
    pub(crate) control: Option<PathBuf>,
}

enum Seen {
    Line(Line),
    Event(Event),
    /// QEMU closed the console.
    End,
}

/// `cargo xtask boot`
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    let plan = Plan {
        until: &options.until,
        timeout: Duration::from_secs(options.timeout),
        keep_running: options.keep_running,
        screenshot: options.screenshot.as_deref(),
        echo: !options.quiet,
    };
    if let Some(board) = options.which.board(context)? {
        setup::ensure(context, Need::Firmware)?;
        let image = mcu::image::build(context, board, &options.apps)?;
        let about =
            json!({"platform": MICROCONTROLLER, "board": board.name(), "image": image.report()?});
        let write = |report: &Report| write_report(options.json.as_deref(), report, &about);
        let report = mcu::run::boot(&image, &options.machine, &plan, &write)?;
        write(&report)?;
        return Ok(summarise(board.name(), &report, &options.until));
    }
    let target = options.which.target(context)?;
    setup::ensure(context, Need::Boot)?;
    let image = image::build(context, &target, &options.apps)?;
    let arch = target.arch.name();
    let mut machine = options.machine.clone();
    if let Some(hardware) = options.hardware {
        ensure!(
            target.flavour == Flavour::Realtime,
            "--on: the kernel of {} has no drivers for it; expected iot-edge or robotics-rt",
            target.platform
        );
        let name = hardware.device_tree();
        let tree = kernel::device_tree(context, target.arch, target.flavour, name)?;
        machine.hardware = Some((hardware, tree));
    }
    let about = json!({"platform": target.platform, "arch": arch, "image": image.report()?});
    let write = |report: &Report| write_report(options.json.as_deref(), report, &about);
    let report = boot(&target, &image, &machine, &plan, &write)?;
    write(&report)?;
    Ok(summarise(&target.id(), &report, &options.until))
}

/// Writes what was seen, and what was booted, to the file that was asked for.
fn write_report(file: Option<&Path>, report: &Report, about: &Value) -> anyhow::Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    let mut value = serde_json::to_value(report)?;
    for (key, what) in about.as_object().into_iter().flatten() {
        value[key] = what.clone();
    }
    let text = serde_json::to_string_pretty(&value)?;
    write_atomically(&std::path::absolute(file)?, text.as_bytes())
}

/// What to wait for.
pub(crate) struct Plan<'a> {
    /// Lines to wait for.
    pub(crate) until: &'a [Regex],
    /// How long.
    pub(crate) timeout: Duration,
    /// Go on after the match.
    pub(crate) keep_running: bool,
    /// Picture to take at the end.
    pub(crate) screenshot: Option<&'a Path>,
    /// Repeat the console on stdout.
    pub(crate) echo: bool,
}

/// Boots `image` and watches. `on_match` sees the report at the moment when everything has matched.
pub(crate) fn boot(
    target: &Target,
    image: &Image,
    options: &MachineOptions,
    plan: &Plan,
    on_match: &dyn Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let scratch = tempfile::tempdir()?;
    let qmp_path = scratch.path().join("qmp");
    let disk = data::prepare(&options.data, scratch.path())?;
    let machine = Machine {
        target,
        kernel: &image.kernel.image,
        initramfs: &image.initramfs,
        memory_mb: options.memory,
        append: &options.append,
        data: disk.as_deref(),
        forwards: &options.forward,
        extra: &options.qemu,
        console: Console::Pipe,
        qmp: Some(&qmp_path),
        hardware: options
            .hardware
            .as_ref()
            .map(|(hardware, tree)| (*hardware, tree.as_path())),
    };
    supervise(machine.command()?, &qmp_path, plan, on_match)
}

/// Runs a machine whose console is its standard output and which listens for QMP at `qmp_path`, and watches.
pub(crate) fn supervise(
    mut command: Command,
    qmp_path: &Path,
    plan: &Plan,
    on_match: &dyn Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", shown(&command)))?;
    let (sender, seen) = channel();
    read_console(&mut child, started, sender.clone())?;
    let qmp = Qmp::connect(qmp_path, move |event| {
        let _ = sender.send(Seen::Event(event));
    });
    let mut qmp = match qmp {
        Ok(qmp) => qmp,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
    };
    let mut report = Report::new();
    let watched = watch(&mut report, &seen, plan, started, on_match);
    if let Some(path) = plan.screenshot
        && report.ended != Some("powered-off")
    {
        qmp.screendump(&std::path::absolute(path)?)?;
    }
    if report.ended != Some("powered-off") {
        // It may have gone in this very moment.
        let _ = qmp.quit();
    }
    report.qemu_status = wait(&mut child)?;
    watched?;
    if report.ended == Some("powered-off") && report.qemu_status != Some(0) {
        report.ended = Some("qemu-failed");
    }
    report.ok = if plan.until.is_empty() {
        report.ended == Some("powered-off")
    } else {
        report.matched.len() == plan.until.len() && report.ended != Some("qemu-failed")
    };
    Ok(report)
}

fn read_console(child: &mut Child, started: Instant, sender: Sender<Seen>) -> anyhow::Result<()> {
    let mut console = child.stdout.take().context("the console is a pipe")?;
    std::thread::spawn(move || {
        let mut pending = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = console.read(&mut buffer) {
            let at = started.elapsed().as_secs_f64();
            for byte in &buffer[..count] {
                match byte {
                    b'\n' => {
                        let _ = sender.send(Seen::Line(line(at, &pending)));
                        pending.clear();
                    }
                    other => pending.push(*other),
                }
            }
        }
        if !pending.is_empty() {
            let _ = sender.send(Seen::Line(line(started.elapsed().as_secs_f64(), &pending)));
        }
        let _ = sender.send(Seen::End);
    });
    Ok(())
}

/// Takes in what is seen until the plan is fulfilled, the device is off or the time is up.
fn watch(
    report: &mut Report,
    seen: &Receiver<Seen>,
    plan: &Plan,
    started: Instant,
    on_match: &dyn Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    loop {
        let left = plan.timeout.saturating_sub(started.elapsed());
        match seen.recv_timeout(left) {
            Ok(Seen::Line(line)) => {
                if plan.echo {
                    let _ = writeln!(std::io::stdout(), "{}", harmless(&line.text));
                }
                let before = report.matched.len();
                report.take(line, plan.until);
                if report.matched.len() > before && report.matched.len() == plan.until.len() {
                    on_match(report)?;
                    if !plan.keep_running {
                        report.ended = Some("stopped");
                        return Ok(());
                    }
                }
            }
            Ok(Seen::Event(event)) => {
                // The machine is reset once before it starts; only those that the guest asked for count.
                if event.name == "RESET" && event.guest {
                    report.resets += 1;
                }
                report.events.push(event.name);
            }
            Ok(Seen::End) | Err(RecvTimeoutError::Disconnected) => {
                report.ended = Some("powered-off");
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {
                report.ended = Some("timeout");
                return Ok(());
            }
        }
    }
}

fn wait(child: &mut Child) -> anyhow::Result<Option<i32>> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() > deadline {
            child.kill()?;
            return Ok(child.wait()?.code());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn summarise(what: &str, report: &Report, until: &[Regex]) -> ExitCode {
    let seconds = |moment: Option<Moment>| {
        moment.map_or("-".to_owned(), |moment| format!("{:.2} s", moment.wall))
    };
    say(format_args!(
        "{}: {}; kernel {}, init {}, first app line {}; {} resets; QEMU {}",
        what,
        if report.ok { "ok" } else { "failed" },
        seconds(report.kernel),
        seconds(report.init),
        seconds(report.first_app_line),
        report.resets,
        report.ended.unwrap_or("-"),
    ));
    for regex in until {
        if !report
            .matched
            .iter()
            .any(|found| found.regex == regex.as_str())
        {
            say(format_args!(
                "no console line matched {:?} ({} lines seen)",
                regex.as_str(),
                report.lines.len()
            ));
        }
    }
    if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
