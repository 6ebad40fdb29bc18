//! `cargo xtask matrix`: the claim of the project as a table. The same component runs on every platform (booted in QEMU) and
//! on every engine (hosted on this machine); each device says which bytes it ran, and all must have said the same.
//! `make demo` is the matrix over the shipped apps.

mod board;
mod device;
mod job;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Serialize;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::profile::{self, PLATFORMS};

use self::board::Unfit;
use self::device::{Device, Seen};
use self::job::{DEMO, Job};
use crate::apps;
use crate::artefacts;
use crate::context::{Context, say, sha256, write_atomically};
use crate::platforms::{Arch, MICROCONTROLLER};
use crate::setup::{self, Need};
use crate::side_by_side::side_by_side;

/// The platforms that boot, with the architecture that each runs on here.
const BOOTED: [(&str, Arch); 5] = [
    ("desktop-full", Arch::X86_64),
    ("mobile", Arch::Aarch64),
    ("iot-edge", Arch::Aarch64),
    ("robotics-rt", Arch::Aarch64),
    ("server-headless", Arch::Aarch64),
];

/// Time for all apps of one device to be done, once it answers.
const PATIENCE: Duration = Duration::from_mins(3);

/// Digits of a hash in the table; the whole ones are in the JSON.
const SHORT: usize = 16;

/// `cargo xtask matrix`
#[derive(Args)]
pub(crate) struct Options {
    /// Run this component instead of the shipped apps.
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// An argument for it (may be repeated).
    #[arg(
        long = "args",
        value_name = "ARG",
        allow_hyphen_values = true,
        requires = "wasm"
    )]
    args: Vec<String>,
    /// Its standard input: this file, then its end.
    #[arg(long, value_name = "FILE", requires = "wasm")]
    stdin: Option<PathBuf>,
    /// Only these platforms, separated by commas; `hosted` means the engines on this machine. Default: all.
    #[arg(long, value_name = "P,..", value_delimiter = ',')]
    platforms: Vec<String>,
    /// Also write everything to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One app in one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    app: String,
    /// `iot-edge`, or `hosted`
    platform: String,
    /// Engine and its version, and how it ran the code.
    engine: String,
    /// Of the component, as the device computed it.
    sha256: String,
    /// How it ended; `running` when it does not end.
    exit: String,
    /// What is compared of its output.
    lines: Vec<String>,
    /// SHA-256 of those lines.
    output_sha256: String,
    seconds: f64,
}

/// An engine hosted on this machine.
struct Hosted {
    /// As profiles name it.
    engine: &'static str,
    /// Machine code that was made ahead of time is in the store.
    ahead_of_time: bool,
}

const HOSTED: [Hosted; 4] = [
    Hosted {
        engine: "wasmtime",
        ahead_of_time: false,
    },
    Hosted {
        engine: "wamr",
        ahead_of_time: true,
    },
    Hosted {
        engine: "wamr",
        ahead_of_time: false,
    },
    Hosted {
        engine: "wasm3",
        ahead_of_time: false,
    },
];

/// Whose capabilities a hosted engine gets: those that all platforms with files and a network share.
const HOSTED_PLATFORM: &str = "server-headless";

/// `cargo xtask matrix`
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    let wanted = |name: &str| {
        options.platforms.is_empty() || options.platforms.iter().any(|asked| asked == name)
    };
    for asked in &options.platforms {
        ensure!(
            asked == "hosted" || PLATFORMS.contains(&asked.as_str()),
            "--platforms: found {asked:?}; expected hosted or one of {}",
            PLATFORMS.join(", ")
        );
    }
    setup::ensure(context, Need::Boot)?;
    setup::ensure(context, Need::Firmware)?;
    let scratch = tempfile::tempdir()?;
    let jobs = jobs(context, options, scratch.path())?;
    let mut places: Vec<Place> = Vec::new();
    if wanted("hosted") {
        places.extend(HOSTED.iter().map(|hosted| Place::Hosted(hosted, &jobs)));
    }
    for (platform, arch) in BOOTED {
        if wanted(platform) {
            let rounds = rounds(&jobs, platform)?;
            places.extend(
                rounds
                    .iter()
                    .map(|jobs| Place::Booted(platform, arch, jobs)),
            );
        }
    }
    let mut unfit = Vec::new();
    if wanted(MICROCONTROLLER) {
        let plan = board::plan(context, &jobs)?;
        places.extend(plan.rounds.into_iter().map(Place::Board));
        unfit = plan.unfit;
    }
    let rows: Vec<Row> = side_by_side(&places, |place| place.rows(context, scratch.path()))?
        .into_iter()
        .flatten()
        .collect();
    ensure!(!rows.is_empty() || !unfit.is_empty(), "nothing was run");
    let differences = differences(&jobs, &rows);
    show(&rows, &unfit);
    if let Some(path) = &options.json {
        let report = serde_json::json!({"rows": rows, "unfit": unfit, "differences": differences});
        write_atomically(path, &serde_json::to_vec_pretty(&report)?)?;
    }
    if differences.is_empty() {
        println!(
            "{} apps, {} runs: one SHA-256 and one output per app{}",
            jobs.len(),
            rows.len(),
            if unfit.is_empty() {
                String::new()
            } else {
                format!("; {} do not fit on {MICROCONTROLLER}", unfit.len())
            }
        );
        return Ok(ExitCode::SUCCESS);
    }
    for difference in &differences {
        println!("DIFFERS: {difference}");
    }
    Ok(ExitCode::FAILURE)
}

/// Who may use the ports of this machine.
static PORTS: Mutex<()> = Mutex::new(());

/// One device, and what it runs.
enum Place<'a> {
    Hosted(&'static Hosted, &'a [Job]),
    Booted(&'static str, Arch, &'a [Job]),
    Board(Vec<&'a Job>),
}

impl Place<'_> {
    fn rows(&self, context: &Context, scratch: &Path) -> anyhow::Result<Vec<Row>> {
        match self {
            Place::Hosted(hosted, jobs) => {
                let (engine, ahead) = (hosted.engine, hosted.ahead_of_time);
                let how = if ahead { ", ahead of time" } else { "" };
                say(format_args!("hosted: {engine}{how}"));
                let vyomad = artefacts::program(context, "vyomad", Arch::X86_64)?;
                let profile = scratch.join(format!("{engine}{ahead}.toml"));
                write_atomically(&profile, hosted_profile(context, engine)?.as_bytes())?;
                let store = if ahead {
                    Some(store(context, &profile, jobs)?)
                } else {
                    None
                };
                // Hosted apps share this machine's ports: one place at a time.
                let _turn = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
                let device = Device::hosted(&vyomad, &profile, store.as_deref(), jobs)?;
                run(device, "hosted", jobs.iter())
            }
            Place::Booted(platform, arch, jobs) => {
                say(format_args!("booting {platform}"));
                let device = Device::boot(context, platform, *arch, jobs)?;
                run(device, platform, jobs.iter())
            }
            Place::Board(jobs) => {
                let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
                say(format_args!(
                    "booting {MICROCONTROLLER} with {}",
                    names.join(", ")
                ));
                let device = Device::board(context, jobs)?;
                run(device, MICROCONTROLLER, jobs.iter().copied())
            }
        }
    }
}

fn jobs(context: &Context, options: &Options, scratch: &Path) -> anyhow::Result<Vec<Job>> {
    if let Some(wasm) = &options.wasm {
        let job = Job::of_file(wasm, &options.args, options.stdin.as_deref(), scratch)?;
        return Ok(vec![job]);
    }
    let (shipped, _) = apps::build_all(context)?;
    DEMO.iter()
        .map(|demo| {
            let app = shipped
                .iter()
                .find(|app| app.name == demo.name)
                .with_context(|| format!("no app {}", demo.name))?;
            demo.job(app)
        })
        .collect()
}

/// As many at a time as the platform runs: ping and pong, last in the list, stay together.
fn rounds<'a>(jobs: &'a [Job], platform: &str) -> anyhow::Result<Vec<&'a [Job]>> {
    let profile = profile::parse(platform, profile::builtin(platform).unwrap_or_default())?;
    Ok(jobs.rchunks(profile.max_apps as usize).collect())
}

/// The profile of [`HOSTED_PLATFORM`] with another engine.
fn hosted_profile(context: &Context, engine: &str) -> anyhow::Result<String> {
    let path = context
        .root
        .join("profiles")
        .join(format!("{HOSTED_PLATFORM}.toml"));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mode = match engine {
        "wasmtime" => "jit = true",
        "wamr" => "aot = true",
        _ => "interpreter = true",
    };
    let cached = format!("cache_compiled = {}", engine != "wasm3");
    let mut changed = text;
    for (from, to) in [
        ("runtime = \"wasmtime\"", format!("runtime = {engine:?}")),
        ("arch = \"aarch64\"", "arch = \"x86_64\"".to_owned()),
        ("jit = true", mode.to_owned()),
        ("cache_compiled = true", cached),
    ] {
        ensure!(
            changed.contains(from),
            "{}: expected {from}",
            path.display()
        );
        changed = changed.replace(from, &to);
    }
    Ok(changed)
}

/// Machine code for this machine, made ahead of time.
fn store(context: &Context, profile: &Path, jobs: &[Job]) -> anyhow::Result<PathBuf> {
    let text = std::fs::read_to_string(profile)?;
    let level = profile::parse(&profile.to_string_lossy(), &text)?
        .runtime
        .optimization_level;
    let store = profile.with_extension("store");
    std::fs::create_dir_all(&store)?;
    let aotc = artefacts::aotc(context)?;
    for job in jobs {
        artefacts::ahead_of_time(&aotc, Arch::X86_64, level, &job.component, &store)?;
    }
    Ok(store)
}

fn run<'a>(
    mut device: Device,
    platform: &str,
    jobs: impl Iterator<Item = &'a Job>,
) -> anyhow::Result<Vec<Row>> {
    let info = device.info()?;
    let deadline = Instant::now() + PATIENCE;
    jobs.map(|job| {
        if let Some(bytes) = &job.stdin {
            device.feed(job, bytes)?;
        }
        let seen = device.wait(job, deadline)?;
        Ok(row(platform, &info.engine, job, &seen))
    })
    .collect()
}

fn row(platform: &str, engine: &str, job: &Job, seen: &Seen) -> Row {
    let lines = job.output(&seen.log);
    let execution = seen.status.execution.map(|how| format!(" {how}"));
    let exit = match &seen.status.last_ending {
        _ if !seen.done => "not done".to_owned(),
        None => "running".to_owned(),
        Some(Ending::Exited(code)) => code.to_string(),
        Some(other) => format!("{other:?}"),
    };
    Row {
        app: job.name.clone(),
        platform: platform.to_owned(),
        engine: format!("{engine}{}", execution.unwrap_or_default()),
        sha256: seen.status.sha256.clone(),
        exit,
        output_sha256: sha256(lines.join("\n")),
        lines,
        seconds: seen.seconds,
    }
}

/// Where two runs of one app disagree, or a device ran other bytes than were built.
fn differences(jobs: &[Job], rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let mut firsts: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in rows {
        let place = format!("{} on {} ({})", row.app, row.platform, row.engine);
        if let Some(job) = jobs.iter().find(|job| job.name == row.app)
            && job.sha256 != row.sha256
        {
            found.push(format!(
                "{place}: SHA-256 {}; expected {}",
                row.sha256, job.sha256
            ));
        }
        if row.exit == "not done" {
            found.push(format!(
                "{place}: not done in time; it said {:?}",
                row.lines
            ));
            continue;
        }
        let first = *firsts.entry(&row.app).or_insert(row);
        let other = format!("{} ({})", first.platform, first.engine);
        if first.exit != row.exit {
            found.push(format!(
                "{place}: ended with {}; on {other} with {}",
                row.exit, first.exit
            ));
        }
        if first.lines != row.lines {
            found.push(format!(
                "{place}: said {:?}; on {other} {:?}",
                row.lines, first.lines
            ));
        }
    }
    found
}

fn show(rows: &[Row], unfit: &[Unfit]) {
    let short = |text: &str| text.get(..SHORT).unwrap_or(text).to_owned();
    let mut cells = vec![
        [
            "APP", "PLATFORM", "ENGINE", "SHA-256", "EXIT", "LINES", "OUTPUT", "TIME",
        ]
        .map(str::to_owned),
    ];
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by(|a, b| a.app.cmp(&b.app));
    cells.extend(sorted.iter().map(|row| {
        [
            row.app.clone(),
            row.platform.clone(),
            row.engine.clone(),
            short(&row.sha256),
            row.exit.clone(),
            row.lines.len().to_string(),
            short(&row.output_sha256),
            format!("{:.2} s", row.seconds),
        ]
    }));
    cells.extend(unfit.iter().map(|unfit| {
        let (none, reason) = (String::new, &unfit.reason);
        let sha256 = short(&unfit.sha256);
        let platform = unfit.platform.to_owned();
        [
            unfit.app.clone(),
            platform,
            "-".to_owned(),
            sha256,
            reason.clone(),
            none(),
            none(),
            none(),
        ]
    }));
    let mut widths = [0; 8];
    // A reason is as long as it is.
    for row in &cells[..=rows.len()] {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        println!("{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(platform: &str) -> Row {
        Row {
            app: "hello".to_owned(),
            platform: platform.to_owned(),
            engine: "engine".to_owned(),
            sha256: "aa".to_owned(),
            exit: "0".to_owned(),
            lines: vec!["out hi".to_owned()],
            output_sha256: String::new(),
            seconds: 0.0,
        }
    }

    fn job() -> Job {
        Job {
            name: "hello".to_owned(),
            dir: PathBuf::new(),
            component: PathBuf::new(),
            sha256: "aa".to_owned(),
            stdin: None,
            lines: None,
            masks: Vec::new(),
        }
    }

    #[test]
    fn equal_runs_have_no_difference() {
        assert!(differences(&[job()], &[row("mobile"), row("iot-edge")]).is_empty());
    }

    #[test]
    fn each_kind_of_difference_is_told_with_its_place() {
        let changed = |change: fn(&mut Row)| {
            let mut other = row("iot-edge");
            change(&mut other);
            other
        };
        let changes = [
            (
                "SHA-256 bb; expected aa",
                changed(|row| row.sha256.replace_range(.., "bb")),
            ),
            (
                "ended with 1; on mobile (engine) with 0",
                changed(|row| row.exit.replace_range(.., "1")),
            ),
            (
                "said [\"out ho\"]",
                changed(|row| row.lines[0].replace_range(.., "out ho")),
            ),
            (
                "not done in time",
                changed(|row| row.exit.replace_range(.., "not done")),
            ),
        ];
        for (words, other) in changes {
            let found = differences(&[job()], &[row("mobile"), other]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].contains(words) && found[0].contains("iot-edge"),
                "{found:?}"
            );
        }
    }
}
