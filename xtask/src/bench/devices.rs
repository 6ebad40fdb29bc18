//! What devices cost and how late they make a guest: calls, edges and a loop of a thousand rounds a second, against a native
//! program on the same machine in the same run. Devices are the kernel's simulated ones (gpio-sim, tests/kernel/vyoma-sim) in
//! robotics-rt's kernel in QEMU. Called by `cargo xtask bench`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use regex_lite::Regex;
use vyoma_capabilities::profile::OptimizationLevel;

use crate::apps::{self, App};
use crate::artefacts;
use crate::boot::{self, MachineOptions, Plan, Report};
use crate::context::{Context, call, capture, say, write_atomically};
use crate::figures::{Figure, Goal, commit, insert_between, table};
use crate::image::{self, WhichApps};
use crate::platforms::{self, Arch, Target};

/// Where the section begins and ends in docs/benchmarks.md.
const BEGIN: &str = "<!-- devices: begin -->";
/// See [`BEGIN`].
const END: &str = "<!-- devices: end -->";

/// What a call may cost against the native one: a promise of the project, for engines that run machine code.
const MOST: f64 = 1.3;
/// Which kernel and machine.
const PLATFORM: &str = "robotics-rt";
/// Wasmtime compiles in there.
const MEMORY_MB: u64 = 512;
/// An emulated machine compiles slowly.
const TIMEOUT: Duration = Duration::from_mins(30);
/// Edges of a measurement.
const EDGES: u32 = 500;

/// Name, what it is, rounds of a run.
const WORKS: [(&str, &str, u32); 4] = [
    ("i2c", "I2C write-read, 1 byte out and 2 in", 1000),
    ("spi", "SPI transfer of 3 bytes", 1000),
    ("gpio-set", "GPIO set", 2000),
    ("gpio-read", "GPIO read", 2000),
];

/// Name in the plan, title, whether it has a goal.
const WAYS: [(&str, &str, bool); 4] = [
    ("wasmtime", "Wasmtime", true),
    ("wamr-aot", "WAMR, machine code", true),
    ("wamr", "WAMR, interpreter", false),
    ("wasm3", "wasm3", false),
];

/// What the figures do not say: why some are as they are.
const WHERE: &str = "\
    What a call costs beyond the kernel's part is the same for all of them (the handle is checked, the use counted, the answer's place \
    checked), so it shows most where the kernel does least: at a pin. Wasmtime runs a component with devices as the core module in it, \
    over the host functions that all engines share (docs/architecture.md): its component model alone, with a host function that does \
    nothing, takes longer than a whole call of a native program, as the last row of the pin's set shows.";

/// Wasmtime's component model with a host function that does nothing, and the work whose shape that has.
const BARE: (&str, &str, &str) = (
    "bare",
    "gpio-set",
    "GPIO set, but for the pin: Wasmtime's component model alone, with a host function that does nothing",
);

/// How late something came, in microseconds.
#[derive(Debug, Clone, PartialEq)]
struct Lateness {
    count: u64,
    missed: u64,
    median: f64,
    p99: f64,
    most: f64,
    /// Below 10, 20, 50, 100, 200, 500, 1000, 2000, 5000 microseconds, and above.
    classes: Vec<u64>,
}

/// Measures everything; the figures that have goals, and the section of the page.
pub(super) fn measure(context: &Context, runs: usize) -> anyhow::Result<(Vec<Figure>, String)> {
    let target = platforms::select(context, Some(PLATFORM), None)?;
    let guest = apps::ready(context, &context.root.join("apps/guests/device-speed"))?;
    let [runner, small] = runners(context)?;
    let calls = calls(context, &target, &guest, [&runner, &small], runs)?;
    let figures = figures(&calls);
    let mut edges = Vec::new();
    for (way, title) in [("native", "native")]
        .into_iter()
        .chain(WAYS.map(|way| (way.0, way.1)))
    {
        let text = one(&calls, way, "edges")?;
        edges.push((
            title,
            lateness(text).with_context(|| format!("{way} edges: {text}"))?,
        ));
    }
    let mut ticks = in_qemu(context, &target, &guest, &runner)?;
    ticks.extend(hosted(context, &guest)?);
    let section = section(context, &figures, &edges, &ticks);
    Ok((figures, section))
}

/// The page with `section` in the place of the old one, or at its end if it had none.
pub(super) fn insert(page: &str, section: &str) -> String {
    insert_between(page, BEGIN, END, section)
}

/// `vyoma-device-speed` with all engines, built as the `vyomad` of platforms with Wasmtime is, and with those that need no
/// compiler, built as that of iot-edge and robotics-rt.
fn runners(context: &Context) -> anyhow::Result<[PathBuf; 2]> {
    let features = [
        "--no-default-features",
        "--features",
        "vyomad/wasmtime,vyoma-device-speed/wasmtime",
    ];
    let package = "vyoma-device-speed";
    Ok([
        artefacts::beside_vyomad(context, package, Arch::Aarch64, &features)?,
        artefacts::small(context, package, Arch::Aarch64, &["--no-default-features"])?,
    ])
}

/// What each (way, work) said, in order.
type Said = BTreeMap<(String, String), Vec<String>>;

/// Boots the runner with its plan.
fn calls(
    context: &Context,
    target: &Target,
    guest: &App,
    [runner, small]: [&Path; 2],
    runs: usize,
) -> anyhow::Result<Said> {
    let folder = context.out.join("device-speed");
    let component = guest.dir.join(&guest.wasm);
    let aotc = artefacts::aotc(context)?;
    let code = folder.join("machine-code");
    // A store of one, whose file has the name of its key.
    let _ = std::fs::remove_dir_all(&code);
    std::fs::create_dir_all(&code)?;
    artefacts::ahead_of_time(
        &aotc,
        target.arch,
        OptimizationLevel::Speed,
        &component,
        &code,
    )?;
    let made = std::fs::read_dir(&code)?
        .next()
        .context("vyoma-aotc made nothing")??
        .path();
    let plan = folder.join("plan");
    write_atomically(&plan, self::plan(runs).as_bytes())?;
    let mut which = WhichApps::program(runner.to_owned());
    which.devices = true;
    which.add = vec![
        ("plan".to_owned(), plan),
        ("small".to_owned(), small.to_owned()),
        ("guest.wasm".to_owned(), component),
        ("wamr-aot".to_owned(), made),
    ];
    say(format_args!(
        "measuring calls to devices, {runs} runs of each"
    ));
    let report = run(
        context,
        target,
        &which,
        &["^device-speed: "],
        &MachineOptions {
            memory: Some(MEMORY_MB),
            // The machine's clock goes by its instructions, whatever else the build machine does.
            qemu: ["-icount", "shift=1,sleep=off"].map(str::to_owned).to_vec(),
            ..MachineOptions::default()
        },
    )?;
    let mut said = Said::new();
    for line in &report.lines {
        ensure!(
            !line.text.starts_with("device-speed: ") || line.text == "device-speed: done",
            "{}",
            line.text
        );
        if let Some((way, work, text)) = spoken(&line.text) {
            let key = (way.to_owned(), work.to_owned());
            said.entry(key).or_default().push(text.to_owned());
        }
    }
    Ok(said)
}

/// What the runner is to do: everything `runs` times, one way after the other, so that what disturbs one disturbs all.
fn plan(runs: usize) -> String {
    let mut plan = String::new();
    for engine in ["wasmtime", "wamr", "wasm3"] {
        let _ = writeln!(plan, "compile {engine} /guest.wasm /{engine}");
    }
    let ways = || ["native"].into_iter().chain(WAYS.map(|way| way.0));
    for _ in 0..runs {
        for (work, _, rounds) in WORKS {
            let bare = (work == BARE.1).then_some(BARE.0);
            for way in ways().chain(bare) {
                let _ = writeln!(plan, "{way} {work} {rounds}");
            }
        }
    }
    for way in ways() {
        let _ = writeln!(plan, "{way} edges {EDGES}");
    }
    plan
}

/// `wasmtime i2c: 1000 00ff` as its three parts.
fn spoken(line: &str) -> Option<(&str, &str, &str)> {
    let (head, text) = line.split_once(": ")?;
    let (way, work) = head.split_once(' ')?;
    let known = way == "native" || way == BARE.0 || WAYS.iter().any(|(name, ..)| *name == way);
    (known && text != "waits").then_some((way, work, text))
}

fn one<'a>(said: &'a Said, way: &str, work: &str) -> anyhow::Result<&'a str> {
    said.get(&(way.to_owned(), work.to_owned()))
        .and_then(|texts| texts.last())
        .map(String::as_str)
        .with_context(|| format!("{way} said nothing of {work}"))
}

/// Microseconds of each call in each run; the checksums are all the same.
fn figures(said: &Said) -> Vec<Figure> {
    let per_call = |way: &str, work: &str, rounds: u32| -> Vec<f64> {
        said.get(&(way.to_owned(), work.to_owned()))
            .into_iter()
            .flatten()
            .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
            .map(|nanoseconds| nanoseconds / f64::from(rounds) / 1e3)
            .collect()
    };
    let mut figures = Vec::new();
    for (work, what, rounds) in WORKS {
        for (way, title, promised) in WAYS {
            figures.push(Figure {
                what: format!("{what}: {title}"),
                unit: "µs",
                samples: per_call(way, work, rounds),
                baseline: Some(("native".into(), per_call("native", work, rounds))),
                goal: if promised {
                    Goal::AtMostTimesBaseline(MOST)
                } else {
                    Goal::None
                },
            });
        }
        if work == BARE.1 {
            figures.push(Figure {
                what: BARE.2.to_owned(),
                unit: "µs",
                samples: per_call(BARE.0, work, rounds),
                baseline: Some((
                    "native, with the pin".into(),
                    per_call("native", work, rounds),
                )),
                goal: Goal::None,
            });
        }
    }
    figures
}

fn run(
    context: &Context,
    target: &Target,
    which: &WhichApps,
    until: &[&str],
    options: &MachineOptions,
) -> anyhow::Result<Report> {
    let image = image::build(context, target, which)?;
    let until: Vec<Regex> = until
        .iter()
        .map(|text| Regex::new(text))
        .collect::<Result<_, _>>()?;
    let plan = Plan {
        until: &until,
        timeout: TIMEOUT,
        keep_running: false,
        screenshot: None,
        echo: false,
    };
    let report = boot::boot(target, &image, options, &plan, &|_| Ok(()))?;
    let last = || {
        let lines = report.lines.iter().rev().take(20).rev();
        lines
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    };
    ensure!(
        report.ok,
        "the machine did not get to the end; it said last:\n{}",
        last()
    );
    Ok(report)
}

/// A minute of the loop on the device: native and alone before vyomad starts, then as an app.
fn in_qemu(
    context: &Context,
    target: &Target,
    guest: &App,
    runner: &Path,
) -> anyhow::Result<Vec<(&'static str, Lateness)>> {
    say("measuring a minute of a 1 kHz loop in QEMU, native and as an app");
    let mut which = WhichApps::only(vec![guest.dir.clone()]);
    which.add = vec![("device-speed".to_owned(), runner.to_owned())];
    let until = ["^native ticks: ", r"^\[device-speed\] ticks: "];
    let report = run(
        context,
        target,
        &which,
        &until,
        &MachineOptions {
            append: vec!["rdinit=/device-speed".to_owned()],
            memory: Some(MEMORY_MB),
            ..MachineOptions::default()
        },
    )?;
    let find = |start: &str| {
        let mut texts = report.lines.iter().map(|line| line.text.as_str());
        let text = texts.find_map(|text| text.strip_prefix(start));
        text.and_then(lateness)
            .with_context(|| format!("no line {start}"))
    };
    Ok(vec![
        ("in QEMU, native", find("native ticks: ")?),
        (
            "in QEMU, app on robotics-rt",
            find("[device-speed] ticks: ")?,
        ),
    ])
}

/// The same on this machine, whose kernel has no real-time scheduling to give.
fn hosted(context: &Context, guest: &App) -> anyhow::Result<Vec<(&'static str, Lateness)>> {
    say("measuring a minute of a 1 kHz loop on this machine, native and as an app");
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let at = |name: &str| folder.path().join(name);
    let source = context.root.join("apps/guests/device-speed/src/waits.rs");
    let program = format!(
        "#![allow(dead_code)]\n#[path = \"{}\"] mod waits;\nfn main() {{ println!(\"ticks: {{}}\", waits::ticks(60_000)); }}\n",
        source.display()
    );
    write_atomically(&at("native.rs"), program.as_bytes())?;
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-O"]).arg(at("native.rs"));
    call(rustc.arg("-o").arg(at("native")))?;
    let native = capture(&mut Command::new(at("native")))?;
    for path in ["vyoma.toml", &guest.wasm] {
        let to = at("apps").join(&guest.name).join(path);
        write_atomically(&to, &std::fs::read(guest.dir.join(path))?)?;
    }
    let aotc = artefacts::aotc(context)?;
    std::fs::create_dir_all(at("store"))?;
    let component = guest.dir.join(&guest.wasm);
    let level = OptimizationLevel::Speed;
    artefacts::ahead_of_time(&aotc, Arch::X86_64, level, &component, &at("store"))?;
    let mut daemon = Command::new(artefacts::program(context, "vyomad", Arch::X86_64)?);
    daemon.args(["--hosted", "--console", "--profile", PLATFORM, "--apps"]);
    daemon.arg(at("apps")).arg("--store").arg(at("store"));
    daemon.arg("--state").arg(at("state"));
    let mut child = daemon
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run vyomad")?;
    let lines = BufReader::new(child.stdout.take().context("stdout is a pipe")?).lines();
    let app = lines
        .map_while(Result::ok)
        .find_map(|line| lateness(line.strip_prefix("[device-speed] ticks: ")?));
    let _ = child.kill();
    child.wait()?;
    let native = native
        .strip_prefix("ticks: ")
        .and_then(|text| lateness(text.trim()));
    Ok(vec![
        (
            "on the build machine, native",
            native.context("the native loop said nothing")?,
        ),
        (
            "on the build machine, app hosted",
            app.context("the app said nothing")?,
        ),
    ])
}

/// `COUNT MISSED MEDIAN P99 MOST CLASS,CLASS,...`
fn lateness(text: &str) -> Option<Lateness> {
    let mut words = text.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (count, missed) = (number()?, number()?);
    let mut microseconds = || Some(number()? as f64 / 1e3);
    let (median, p99, most) = (microseconds()?, microseconds()?, microseconds()?);
    let classes = words.next()?.split(',').map(|class| class.parse().ok());
    Some(Lateness {
        count,
        missed,
        median,
        p99,
        most,
        classes: classes.collect::<Option<_>>()?,
    })
}

/// Medians and classes, a row for each.
fn late(rows: &[(&str, Lateness)], missed: &str) -> String {
    let mut text = format!(
        "| where | rounds | {missed} | median | p99 | most | < 10 µs | < 20 | < 50 | < 100 | < 200 | < 500 | < 1 ms | < 2 | < 5 | more |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for (place, late) in rows {
        let classes: Vec<String> = late.classes.iter().map(u64::to_string).collect();
        let _ = writeln!(
            text,
            "| {place} | {} | {} | {:.1} µs | {:.1} µs | {:.0} µs | {} |",
            late.count,
            late.missed,
            late.median,
            late.p99,
            late.most,
            classes.join(" | ")
        );
    }
    text
}

fn section(
    context: &Context,
    figures: &[Figure],
    edges: &[(&str, Lateness)],
    ticks: &[(&str, Lateness)],
) -> String {
    format!(
        "## Devices\n\n\
         One guest (apps/guests/device-speed) on each engine against a native program (adapters/device-speed) that does the same \
         over the crates that our host functions stand on, on devices that the kernel simulates, in one boot of robotics-rt's kernel \
         in QEMU. A round is one call; medians of interleaved runs. Each engine is built as in the images that have it; calls are counted as for the watchdog. Neither side has the sandbox of an app's process, whose filter \
         of system calls both would pay for alike. The machine's clock goes by instructions (QEMU's -icount, 2 ns each), so times are not \
         those of a board, and the build machine's other work does not show.\n\n{}\n\
         {WHERE}\n\n\
         From an edge, as the kernel dates it, to the next look at the clock by who waits for it; SCHED_FIFO, memory locked:\n\n{}\n\
         A loop of 1000 rounds a second for a minute, and how late its rounds begin; missed: rounds whose time was over before they \
         could begin. In QEMU with SCHED_FIFO and locked memory, the native loop before vyomad starts and the app on WAMR (machine \
         code) as robotics-rt runs it. The build machine has neither, and did other work:\n\n{}\n- {}\n",
        table(figures),
        late(edges, "lost"),
        late(ticks, "missed"),
        commit(context),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_read_as_the_loop_writes_it() {
        let late = lateness("60000 3 1500 20000 900000 1,2,3,4,5,6,7,8,9,10").unwrap();
        assert_eq!(
            (late.count, late.missed, late.classes.len()),
            (60000, 3, 10)
        );
        assert!((late.p99 - 20.0).abs() < 1e-9);
        for other in ["", "60000", "60000 3 1500 20000 900000", "a b c d e 1"] {
            assert_eq!(lateness(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_line_of_the_runner_has_a_way_and_a_work() {
        assert_eq!(
            spoken("wamr-aot spi: 12 ff"),
            Some(("wamr-aot", "spi", "12 ff"))
        );
        assert_eq!(spoken("native edges: waits"), None);
        assert_eq!(spoken("[    1.0] clk: disabled"), None);
        assert_eq!(spoken("compile wasmtime: odd"), None);
    }

    #[test]
    fn a_guest_that_costs_more_than_promised_is_a_missed_goal() {
        let said = Said::from([
            (("native".into(), "spi".into()), vec!["1000000 aa".into()]),
            (("wamr-aot".into(), "spi".into()), vec!["1200000 aa".into()]),
            (("wasmtime".into(), "spi".into()), vec!["1400000 aa".into()]),
        ]);
        let met = |title: &str| {
            let what = format!("SPI transfer of 3 bytes: {title}");
            figures(&said)
                .iter()
                .find(|figure| figure.what == what)
                .and_then(Figure::met)
        };
        assert_eq!(met("WAMR, machine code"), Some(true));
        assert_eq!(met("Wasmtime"), Some(false));
        assert_eq!(met("wasm3"), None);
    }
}
