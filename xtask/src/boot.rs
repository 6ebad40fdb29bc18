//! `cargo xtask boot`: boots an image, watches its console, and reports in JSON what was seen and when. For tests and
//! figures; people use `run`. It judges nothing but what `--until` asks for.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use regex_lite::Regex;
use serde::Serialize;
use serde_json::{Value, json};
use vyoma_capabilities::manifest::is_app_name;

use crate::Which;
use crate::context::{Context, say, shown, write_atomically};
use crate::data::{self, Disk};
use crate::image::{self, Image, WhichApps};
use crate::mcu;
use crate::platforms::{MICROCONTROLLER, Target};
use crate::qemu::{Console, Event, Forward, Machine, Qmp};
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
    /// The data disk: none, blank, fresh (formatted, thrown away afterwards) or an image file.
    #[arg(long, value_name = "DISK", default_value = "fresh")]
    pub(crate) data: Disk,
    /// One more argument for QEMU.
    #[arg(long = "qemu", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) qemu: Vec<String>,
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

/// One console line and when its last byte arrived, in seconds since QEMU was started.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Seconds.
    pub(crate) at: f64,
    /// The line, without its end.
    pub(crate) text: String,
}

/// A line that `--until` waited for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Match {
    /// The expression.
    pub(crate) regex: String,
    /// Seconds since QEMU was started.
    pub(crate) at: f64,
    /// The line.
    pub(crate) line: String,
}

/// When a milestone was passed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Moment {
    /// Seconds since QEMU was started.
    pub(crate) wall: f64,
    /// Seconds since the kernel started, from the line's own time stamp, where it has one.
    pub(crate) kernel: Option<f64>,
}

/// What was seen of a boot.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Everything that was waited for came; without `--until`: the device powered itself off.
    pub(crate) ok: bool,
    /// Each expression that has matched.
    pub(crate) matched: Vec<Match>,
    /// `powered-off` (by the device), `stopped` (by xtask, after the match), `timeout`, or `qemu-failed`.
    pub(crate) ended: Option<&'static str>,
    /// QEMU's exit status.
    pub(crate) qemu_status: Option<i32>,
    /// Times the machine started again.
    pub(crate) resets: u32,
    /// The kernel's first line.
    pub(crate) kernel: Option<Moment>,
    /// The kernel starts /init.
    pub(crate) init: Option<Moment>,
    /// The first line that an app printed.
    pub(crate) first_app_line: Option<Moment>,
    /// QMP events, in order.
    pub(crate) events: Vec<String>,
    /// The console.
    pub(crate) lines: Vec<Line>,
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
    let about = json!({"platform": target.platform, "arch": arch, "image": image.report()?});
    let write = |report: &Report| write_report(options.json.as_deref(), report, &about);
    let report = boot(&target, &image, &options.machine, &plan, &write)?;
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

fn line(at: f64, bytes: &[u8]) -> Line {
    let text = String::from_utf8_lossy(bytes);
    Line {
        at,
        text: without_colour(text.trim_end_matches('\r')),
    }
}

/// `[app] text` of a line whose `[app]` vyomad coloured. Undoes exactly that, so that an escape sequence which an app
/// smuggled to the console would still be in the report.
fn without_colour(text: &str) -> String {
    let coloured = text
        .strip_prefix("\x1b[3")
        .and_then(|rest| rest.split_once("m["))
        .filter(|(digit, _)| digit.len() == 1);
    match coloured.and_then(|(_, rest)| rest.split_once("]\x1b[0m ")) {
        Some((app, rest)) => format!("[{app}] {rest}"),
        None => text.to_owned(),
    }
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
                    if !plan.keep_running {
                        report.ended = Some("stopped");
                        return Ok(());
                    }
                    on_match(report)?;
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

/// A device's console could hold anything; this terminal gets no control characters from it.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
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

impl Report {
    fn new() -> Self {
        Self {
            ok: false,
            matched: Vec::new(),
            ended: None,
            qemu_status: None,
            resets: 0,
            kernel: None,
            init: None,
            first_app_line: None,
            events: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn take(&mut self, line: Line, until: &[Regex]) {
        let stamp = kernel_time(&line.text);
        let moment = Moment {
            wall: line.at,
            kernel: stamp,
        };
        if stamp.is_some() && self.kernel.is_none() {
            self.kernel = Some(moment);
        }
        if self.init.is_none() && stamp.is_some() && line.text.contains("Run /init as init process")
        {
            self.init = Some(moment);
        }
        if self.first_app_line.is_none() && is_app_line(&line.text) {
            self.first_app_line = Some(moment);
        }
        for regex in until {
            let known = self
                .matched
                .iter()
                .any(|found| found.regex == regex.as_str());
            if !known && regex.is_match(&line.text) {
                self.matched.push(Match {
                    regex: regex.as_str().to_owned(),
                    at: line.at,
                    line: line.text.clone(),
                });
            }
        }
        self.lines.push(line);
    }
}

/// `1.234567` of `[    1.234567] text`.
fn kernel_time(text: &str) -> Option<f64> {
    let (stamp, _) = text.strip_prefix('[')?.split_once(']')?;
    let (seconds, fraction) = stamp.trim_start().split_once('.')?;
    (fraction.len() == 6 && seconds.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| stamp.trim().parse().ok())?
}

/// vyomad shows what apps print as `[NAME] text`; what it has to say about an app itself starts with `warning: `.
fn is_app_line(text: &str) -> bool {
    let line = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    line.is_some_and(|(name, said)| is_app_name(name) && !said.starts_with("warning: "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_time_stamps_are_told_from_app_lines() {
        assert_eq!(
            kernel_time("[    1.234567] Run /init as init process"),
            Some(1.234_567)
        );
        assert_eq!(kernel_time("[hello] Hello from Vyoma!"), None);
        assert_eq!(kernel_time("[1.5] not the kernel"), None);
        assert!(is_app_line("[hello] Hello from Vyoma!"));
        assert!(!is_app_line("[    1.234567] Run /init as init process"));
        assert!(!is_app_line("vyomad: started"));
        assert!(!is_app_line(
            "[hello] warning: hello declares display, which server-headless does not have"
        ));
    }

    #[test]
    fn only_the_colour_that_vyomad_gives_is_taken_off() {
        assert_eq!(
            without_colour("\x1b[32m[hello]\x1b[0m Hello"),
            "[hello] Hello"
        );
        assert_eq!(
            without_colour("[hello] \x1b[31mred\x1b[0m "),
            "[hello] \x1b[31mred\x1b[0m "
        );
    }

    #[test]
    fn a_report_knows_the_milestones_and_what_was_waited_for() {
        let until = [Regex::new("Hello").unwrap(), Regex::new("never").unwrap()];
        let mut report = Report::new();
        let texts = [
            "[    0.000000] Linux",
            "[    0.400000] Run /init as init process",
            "[hello] Hello",
            "[hello] Hello",
        ];
        for (at, text) in (1_u8..).zip(texts) {
            report.take(
                Line {
                    at: f64::from(at),
                    text: text.to_owned(),
                },
                &until,
            );
        }
        assert!((report.kernel.unwrap().wall - 1.0).abs() < 1e-9);
        assert!((report.init.unwrap().kernel.unwrap() - 0.4).abs() < 1e-9);
        assert!((report.first_app_line.unwrap().wall - 3.0).abs() < 1e-9);
        assert_eq!(report.matched.len(), 1, "each expression counts once");
    }
}
