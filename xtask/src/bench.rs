//! `cargo xtask bench`: measures what docs/benchmarks.md says, and writes that page. Every ratio is between two things
//! measured in the same run on the same machine; nothing in the page is typed by hand.

mod devices;
mod engines;
mod ssh;
mod watch;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use regex_lite::Regex;
use vyoma_capabilities::control::{AppStatus, DeviceInfo, Request, Response, Stream};
use vyoma_capabilities::lifecycle::Phase;

use crate::apps::{self, App};
use crate::artefacts;
use crate::boot::{self, MachineOptions, Plan, Report};
use crate::budget;
use crate::context::{Context, call, capture, say, write_atomically};
use crate::control::{self, Control};
use crate::data::Disk;
use crate::figures::{Figure, Goal, commit, table};
use crate::image::{self, Image, WhichApps};
use crate::platforms::{self, Arch, Target};
use crate::setup::{self, Need};

/// `cargo xtask bench`
#[derive(Args)]
pub(crate) struct Options {
    /// Starts of an app to measure.
    #[arg(long, default_value_t = 31)]
    starts: usize,
    /// Boots of each image to measure.
    #[arg(long, default_value_t = 5)]
    boots: usize,
    /// Runs of each kind of work on each engine.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Measure this part alone, and leave the rest of the page as it is.
    #[arg(long)]
    only: Option<Part>,
    /// Print the figures only; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

/// A part that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Starts, boots, and how much an idle daemon and a full house take.
    Starts,
    /// How fast guests run, engine by engine.
    Engines,
    /// How soon what is saved runs, and what clients that follow logs cost.
    Watch,
    /// Installation by SSH on booted images.
    Ssh,
    /// Calls to devices, edges and a 1 kHz loop, against native programs.
    Devices,
}

/// Apps in the full house, as many as `max_apps` of server-headless: all but one are echoes, one asks them all.
const FULL_HOUSE: usize = 200;
/// Memory of the machine for it, in MB.
const FULL_HOUSE_MB: u64 = 1024;
/// An emulated machine takes minutes to start so many.
const FULL_HOUSE_TIMEOUT: Duration = Duration::from_mins(15);
/// An idle daemon is one to which nothing has happened for this long.
const IDLE: Duration = Duration::from_secs(5);

/// Measures everything. Fails when a goal is missed, after writing the page.
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    let need = match options.only {
        Some(Part::Watch) => Need::Build,
        Some(_) => Need::Boot,
        None => Need::Everything,
    };
    setup::ensure(context, need)?;
    let path = context.root.join("docs/benchmarks.md");
    let mut figures = Vec::new();
    let mut text = if options.only.is_some() {
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?
    } else {
        String::new()
    };
    if options.only.is_none_or(|part| part == Part::Starts) {
        figures = hosted(context, options.starts)?;
        figures.extend(boots(context, options.boots)?);
        figures.push(full_house(context)?);
        text = begin(&text, &page(context, &figures)?);
    }
    if options.only.is_none() {
        let budgets = budget::all(context)?;
        text = budgets.insert(context, &text);
        figures.extend(budgets.figures());
    }
    if options.only.is_none_or(|part| part == Part::Engines) {
        let (more, section) = engines::measure(context, options.runs)?;
        figures.extend(more);
        text = engines::insert(&text, &section);
    }
    if options.only.is_none_or(|part| part == Part::Devices) {
        let (more, section) = devices::measure(context, options.runs)?;
        figures.extend(more);
        text = devices::insert(&text, &section);
    }
    if options.only.is_none_or(|part| part == Part::Watch) {
        let (more, section) = watch::measure(context, options.runs)?;
        figures.extend(more);
        text = watch::insert(&text, &section);
    }
    if options.only.is_none_or(|part| part == Part::Ssh) {
        let (more, section) = ssh::measure(context, options.runs)?;
        figures.extend(more);
        text = ssh::insert(&text, &section);
    }
    println!("{}", table(&figures));
    if !options.dry_run {
        write_atomically(&path, text.as_bytes())?;
        say(format_args!("wrote {}", path.display()));
    }
    let missed = figures
        .iter()
        .filter(|figure| figure.met() == Some(false))
        .count();
    ensure!(missed == 0, "{missed} goals missed");
    Ok(ExitCode::SUCCESS)
}

/// The page with `beginning` in the place of what stands before its sections, which begin with a mark each.
fn begin(page: &str, beginning: &str) -> String {
    match page.find("<!-- ") {
        Some(sections) => format!("{beginning}\n{}", &page[sections..]),
        None => beginning.to_owned(),
    }
}

/// A hosted daemon that ends with this value.
struct Hosted {
    child: Child,
    dir: tempfile::TempDir,
}

impl Hosted {
    fn start(vyomad: &Path, apps: &[&App]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        // A daemon that is root gives apps uids of their own; they must reach their folders.
        std::fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
        for app in apps {
            for path in ["vyoma.toml", &app.wasm] {
                write_atomically(
                    &dir.path().join("apps").join(&app.name).join(path),
                    &std::fs::read(app.dir.join(path))?,
                )?;
            }
        }
        let mut command = Command::new(vyomad);
        command
            .args(["--hosted", "--profile", "desktop-full", "--apps"])
            .arg(dir.path().join("apps"));
        command.arg("--state").arg(dir.path().join("state"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run vyomad")?;
        Ok(Self { child, dir })
    }

    fn connect(&self) -> anyhow::Result<Control> {
        let socket = self.dir.path().join("state/control.sock");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match Control::connect(&socket) {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
                connected => return connected,
            }
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let control = self.connect();
        control::end(&mut self.child, control);
    }
}

fn ps(control: &mut Control) -> anyhow::Result<Vec<AppStatus>> {
    match control.ask(&Request::Ps)? {
        Response::Apps(apps) => Ok(apps),
        other => bail!("the daemon answered {other:?} to ps"),
    }
}

fn info(control: &mut Control) -> anyhow::Result<DeviceInfo> {
    match control.ask(&Request::Info)? {
        Response::Info(info) => Ok(info),
        other => bail!("the daemon answered {other:?} to info"),
    }
}

/// Waits until `app` is in `phase`.
fn wait_for(control: &mut Control, app: &str, phase: Phase) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let apps = ps(control)?;
        let found = apps
            .iter()
            .find(|status| status.name == app)
            .map(|status| status.phase);
        if found == Some(phase) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{app} is {found:?}; expected {phase:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Start times and memory, on this machine.
fn hosted(context: &Context, starts: usize) -> anyhow::Result<Vec<Figure>> {
    let (shipped, _) = apps::build_all(context)?;
    let app = |name: &str| {
        shipped
            .iter()
            .find(|app| app.name == name)
            .with_context(|| format!("no app {name}"))
    };
    let (hello, echo) = (app("hello")?, app("echo")?);
    let vyomad = artefacts::program(context, "vyomad", Arch::X86_64)?;
    let baseline = compile_and_run(context)?;
    let daemon = Hosted::start(&vyomad, &[hello, echo])?;
    let mut control = daemon.connect()?;
    wait_for(&mut control, "hello", Phase::Exited)?;
    wait_for(&mut control, "echo", Phase::Running)?;

    say(format_args!(
        "measuring {starts} starts of hello, each beside one of the baseline"
    ));
    let mut logs = daemon.connect()?;
    logs.send(&Request::Logs {
        app: Some("hello".into()),
        follow: true,
        since_ms: None,
        previous: false,
        tail: Some(0),
    })?;
    // A stream has no first answer that would say that it has begun.
    std::thread::sleep(Duration::from_millis(500));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        let begun = Instant::now();
        control.ask(&Request::Start {
            app: "hello".into(),
        })?;
        let line = loop {
            match logs.next()? {
                // The daemon's own words about the last run may still be on their way.
                Response::LogLine(line) if line.stream == Stream::System => {}
                line => break line,
            }
        };
        ours.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(
            matches!(&line, Response::LogLine(line) if line.text.contains("Hello")),
            "hello said {line:?} first"
        );
        wait_for(&mut control, "hello", Phase::Exited)?;
        drain(&mut logs)?;
        theirs.push(first_line(&baseline, &hello.dir.join(&hello.wasm))?);
    }

    std::thread::sleep(IDLE);
    let memory = info(&mut control)?
        .daemon_pss_kb
        .context("the daemon says nothing of its memory")?;
    let resident = ps(&mut control)?
        .iter()
        .find(|status| status.name == "echo")
        .and_then(|status| status.pss_kb);
    Ok(vec![
        Figure {
            what: "app start, hosted, x86-64: from the request to start hello to its first line at the client".into(),
            unit: "ms",
            samples: ours,
            baseline: Some(("compile and run, as `wasmtime run -C cache=n`".into(), theirs)),
            goal: Goal::AtMostAndTimesBetter(10.0, 5.0),
        },
        Figure {
            what: "vyomad's own memory (PSS) while idle, hosted".into(),
            unit: "MB",
            samples: vec![memory as f64 / 1024.0],
            baseline: None,
            goal: Goal::AtMost(4.0),
        },
        Figure {
            what: "memory (PSS) of a resident app (echo), hosted".into(),
            unit: "MB",
            samples: vec![resident.context("echo has no memory figure")? as f64 / 1024.0],
            baseline: None,
            goal: Goal::None,
        },
    ])
}

/// Takes in hello's other lines, so that the next one is the first of the next run. The last is the daemon's word that
/// it has ended.
fn drain(logs: &mut Control) -> anyhow::Result<()> {
    loop {
        match logs.next()? {
            Response::LogLine(line)
                if line.stream == Stream::System && line.text.starts_with("exited") =>
            {
                return Ok(());
            }
            Response::LogLine(_) => {}
            other => bail!("the daemon answered {other:?} among log lines"),
        }
    }
}

fn compile_and_run(context: &Context) -> anyhow::Result<PathBuf> {
    say("building the baseline that compiles at every start");
    let manifest = context
        .root
        .join("xtask/baselines/compile-and-run/Cargo.toml");
    let target = Arch::X86_64.rust_target();
    let mut cargo = context.cargo();
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--target",
        target,
    ]);
    call(
        cargo
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(&context.target),
    )?;
    Ok(context.target.join(target).join("release/compile-and-run"))
}

/// Milliseconds from the start of the process to its first line.
fn first_line(program: &Path, component: &Path) -> anyhow::Result<f64> {
    use std::io::{BufRead as _, BufReader};
    let begun = Instant::now();
    let mut command = Command::new(program);
    command
        .arg(component)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("stdout is a pipe")?).read_line(&mut line)?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let _ = child.kill();
    child.wait()?;
    ensure!(
        line.contains("Hello"),
        "{} printed {line:?} first",
        program.display()
    );
    Ok(took)
}

/// Boot times against the barest init, and sizes.
fn boots(context: &Context, runs: usize) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for arch in [Arch::Aarch64, Arch::X86_64] {
        let target = platforms::select(context, Some("server-headless"), Some(arch))?;
        let bare = image::build(
            context,
            &target,
            &WhichApps::program(bare_init(context, arch)?),
        )?;
        let full = image::build(
            context,
            &target,
            &WhichApps::only(vec![context.root.join("apps/hello")]),
        )?;
        say(format_args!(
            "measuring {runs} boots of {}, each beside one of the bare init",
            target.id()
        ));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            ours.push(since_kernel_entry(&run(
                &target,
                &full,
                r"^\[hello\] Hello",
                &MachineOptions::default(),
            )?)?);
            theirs.push(since_kernel_entry(&run(
                &target,
                &bare,
                "^bare init: up",
                &MachineOptions::default(),
            )?)?);
        }
        figures.push(Figure {
            what: format!(
                "kernel entry to first app line, server-headless {}, in QEMU",
                arch.name()
            ),
            unit: "s",
            samples: ours,
            baseline: Some((
                "a static init that prints one line, same kernel".into(),
                theirs,
            )),
            goal: Goal::AtMostTimesBaseline(2.5),
        });
        let size = std::fs::metadata(&full.initramfs)?.len();
        figures.push(Figure {
            what: format!(
                "initramfs of server-headless {} with vyomad and hello",
                arch.name()
            ),
            unit: "MB",
            samples: vec![size as f64 / f64::from(1 << 20)],
            baseline: None,
            goal: Goal::None,
        });
    }
    Ok(figures)
}

fn run(
    target: &Target,
    image: &Image,
    until: &str,
    options: &MachineOptions,
) -> anyhow::Result<Report> {
    let until = [Regex::new(until)?];
    let timeout = if options.memory.is_some() {
        FULL_HOUSE_TIMEOUT
    } else {
        Duration::from_mins(2)
    };
    let plan = Plan {
        until: &until,
        timeout,
        keep_running: false,
        screenshot: None,
        echo: false,
    };
    let report = boot::boot(target, image, options, &plan, &|_| Ok(()))?;
    if !report.ok {
        let last: Vec<&str> = report
            .lines
            .iter()
            .rev()
            .take(20)
            .rev()
            .map(|line| line.text.as_str())
            .collect();
        bail!(
            "{}: no line matched {:?}; the last ones:\n{}",
            target.id(),
            until[0].as_str(),
            last.join("\n")
        );
    }
    Ok(report)
}

/// Seconds from kernel entry to the matched line. The kernel's clock starts at its entry: the line by which it starts init
/// carries that clock and has an arrival time, which gives the entry's own.
fn since_kernel_entry(report: &Report) -> anyhow::Result<f64> {
    let init = report
        .init
        .context("the kernel did not say that it runs init")?;
    let entry = init.wall - init.kernel.context("that line has a time stamp")?;
    Ok(report.matched.first().context("a line matched")?.at - entry)
}

fn bare_init(context: &Context, arch: Arch) -> anyhow::Result<PathBuf> {
    let program = context.out.join(format!("bare-init-{}", arch.name()));
    artefacts::standalone(context, "xtask/baselines/init.rs", arch, &program)?;
    Ok(program)
}

/// As many apps as server-headless takes at once, all resident, each answering a message.
fn full_house(context: &Context) -> anyhow::Result<Figure> {
    let target = platforms::select(context, Some("server-headless"), None)?;
    let (shipped, guests) = apps::build_all(context)?;
    let find = |apps: &[App], name: &str| {
        apps.iter()
            .find(|app| app.name == name)
            .cloned()
            .with_context(|| format!("no app {name}"))
    };
    let (echo, roll_call) = (find(&shipped, "echo")?, find(&guests, "roll-call")?);
    let echoes = FULL_HOUSE - 1;
    let folder = context.out.join("full-house");
    let mut dirs = Vec::new();
    for number in 1..=echoes {
        dirs.push(copy(&echo, &folder, &format!("echo-{number}"), |text| {
            text.replace("name = \"echo\"", &format!("name = \"echo-{number}\""))
        })?);
    }
    dirs.push(copy(&roll_call, &folder, "roll-call", |text| {
        text.replace("[\"3\"]", &format!("[\"{echoes}\"]"))
    })?);
    let image = image::build(context, &target, &WhichApps::only(dirs))?;
    say(format_args!(
        "measuring a device with {FULL_HOUSE} resident apps (some minutes)"
    ));
    let options = MachineOptions {
        memory: Some(FULL_HOUSE_MB),
        ..MachineOptions::default()
    };
    let report = run(
        &target,
        &image,
        &format!(r"^\[roll-call\] {echoes} of {echoes} answered"),
        &options,
    )?;
    say(format_args!(
        "all had answered after {:.0} s",
        report.matched[0].at
    ));
    Ok(Figure {
        what: format!(
            "resident apps on server-headless aarch64 with {FULL_HOUSE_MB} MB ({echoes} echoes that answered over IPC, \
             and the app that asked them)"
        ),
        unit: "apps",
        samples: vec![FULL_HOUSE as f64],
        baseline: None,
        goal: Goal::AtLeast(FULL_HOUSE as f64),
    })
}

fn copy(
    app: &App,
    folder: &Path,
    name: &str,
    change: impl Fn(&str) -> String,
) -> anyhow::Result<PathBuf> {
    let dir = folder.join(name);
    let manifest = std::fs::read_to_string(app.dir.join("vyoma.toml"))?;
    write_atomically(&dir.join("vyoma.toml"), change(&manifest).as_bytes())?;
    write_atomically(
        &dir.join(&app.wasm),
        &std::fs::read(app.dir.join(&app.wasm))?,
    )?;
    Ok(dir)
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self {
            append: Vec::new(),
            data: Disk::Fresh,
            qemu: Vec::new(),
            memory: None,
            forward: Vec::new(),
            control: None,
            hardware: None,
        }
    }
}

/// The page: what was measured, where and when.
fn page(context: &Context, figures: &[Figure]) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Benchmarks\n\nWritten by `make bench` and `cargo xtask budget --write`; not edited by hand. Each ratio is between two things that were measured \
         in the same run. Boots are emulated (QEMU, TCG): their times say something about each other, not about hardware.\n\n",
    );
    text.push_str(&table(figures));
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(':'))
            .map_or_else(
                || "unknown".to_owned(),
                |(_, value)| value.trim().to_owned(),
            )
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let qemu = capture(Command::new("qemu-system-aarch64").arg("--version"))?;
    write!(
        text,
        "\n- Machine: {} ({cpus} CPUs), {} of memory, Linux {}\n- {}\n- {}\n",
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        qemu.lines().next().unwrap_or("QEMU").trim(),
        commit(context),
    )?;
    text.push_str(
        "\nThe start baseline is xtask/baselines/compile-and-run: the same Wasmtime, called as the wasmtime command calls it \
         without its cache (compile in parallel, instantiate, run), since building that command would take longer than all \
         of this. Our figure includes the control socket, the sandbox and the log on the way to the client; the baseline's \
         is from process start to its first line.\n",
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_beginning_leaves_the_sections_of_the_page_as_they_are() {
        let sections = "<!-- a: begin -->\nold\n<!-- a: end -->\n";
        let page = begin(&format!("# Old\n\n{sections}"), "# New\n");
        assert_eq!(page, format!("# New\n\n{sections}"));
        assert_eq!(begin("", "# New\n"), "# New\n");
    }
}
