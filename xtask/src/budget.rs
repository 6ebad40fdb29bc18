//! `cargo xtask budget`: what the small platforms may take, measured in their booted images: memory with a full house of
//! apps, the size of the image, the smallest machine. Fails over budget. Called by tests and, for its page, by `bench`. The
//! microcontroller's is measured in mcu/budget.rs.
//!
//! Memory is the proportional set size (PSS) of vyomad and every app process, as the kernel counts it in
//! /proc/PID/smaps_rollup: a page that n processes share counts 1/n for each, so the sum is what all of them hold together.
//! The device's own daemon reads it and says it over the control socket (`ps`, `info`). The images are those that ship;
//! beside them stands the tests' bridge (tests/src/bin/bridge.rs), which hands the socket out and is not counted.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use regex_lite::Regex;
use serde::Serialize;
use vyoma_capabilities::control::{AppStatus, DeviceInfo, Request, Response};

use crate::apps::{self, App};
use crate::boot::{self, MachineOptions, Plan};
use crate::bridge;
use crate::context::{Context, say, write_atomically};
use crate::figures::{Figure, Goal, insert_between, table};
use crate::image::{self, Image, WhichApps};
use crate::mcu;
use crate::platforms::{self, MICROCONTROLLER, Target};
use crate::qemu::Forward;
use crate::setup::{self, Need};

/// What a platform may take.
struct Budget {
    platform: &'static str,
    /// Apps that run at once: `max_apps` of the profile.
    apps: usize,
    /// Of all Vyoma processes together: `ram_mb` of the profile.
    memory_mb: f64,
    /// Kernel and initramfs as they ship, without apps.
    image_mb: f64,
}

const BUDGETS: [Budget; 2] = [
    Budget {
        platform: "iot-edge",
        apps: 10,
        memory_mb: 4.0,
        image_mb: 8.0,
    },
    Budget {
        platform: "robotics-rt",
        apps: 15,
        memory_mb: 8.0,
        image_mb: 8.0,
    },
];

/// The app that fills the house: it waits for lines and for time, as the platforms' apps do.
const APP: &str = "counter";
/// Counts by which every app has long settled.
const SETTLED: u32 = 5;
/// An emulated device takes seconds for it; a loaded host makes a very slow one.
const TIMEOUT: Duration = Duration::from_mins(4);
/// The machine of iot-edge has at most so much memory...
const SMALLEST_MB: f64 = 32.0;
/// ... and these are tried, from there down.
const SIZES: [u64; 7] = [32, 28, 26, 24, 22, 20, 18];
const MIB: f64 = 1024.0 * 1024.0;

/// Around the section of docs/benchmarks.md that `--write` writes.
const BEGIN: &str = "<!-- budgets: begin -->";
/// See [`BEGIN`].
const END: &str = "<!-- budgets: end -->";
/// Around that of the microcontroller.
const MCU_BEGIN: &str = "<!-- microcontroller: begin -->";
/// See [`MCU_BEGIN`].
const MCU_END: &str = "<!-- microcontroller: end -->";

/// `cargo xtask budget`
#[derive(Args)]
pub(crate) struct Options {
    /// Only this platform (may be repeated): iot-edge, robotics-rt or mcu-minimal. Default: all three.
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<String>,
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Don't look for a smaller machine than iot-edge's usual one, which is the largest that it may need.
    #[arg(long)]
    quick: bool,
    /// Also write the figures into docs/benchmarks.md: of all platforms, or with `--platform mcu-minimal` the microcontroller's.
    #[arg(long, conflicts_with = "quick")]
    write: bool,
}

/// One platform's, for programs.
#[derive(Debug, Serialize)]
struct Measured {
    platform: &'static str,
    apps: usize,
    /// PSS in KiB: of all, of the daemon, of each app.
    pss_kb: u64,
    daemon_pss_kb: u64,
    app_pss_kb: Vec<u64>,
    /// Of the machine, in KiB.
    memory_total_kb: u64,
    memory_available_kb: u64,
    kernel_bytes: u64,
    initramfs_bytes: u64,
    /// Smallest machine that runs all of them, in MB; only of iot-edge.
    smallest_mb: Option<u64>,
}

/// Measures, prints, and fails when something is over its budget.
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    let wanted =
        |name: &str| options.platforms.is_empty() || options.platforms.iter().any(|it| it == name);
    let microcontroller_alone =
        !options.platforms.is_empty() && options.platforms.iter().all(|it| it == MICROCONTROLLER);
    ensure!(
        !options.write || options.platforms.is_empty() || microcontroller_alone,
        "--write: found --platform {}; expected none, or --platform {MICROCONTROLLER}, which has a section of its own",
        options.platforms.join(" and ")
    );
    let mut budgets = Budgets::default();
    let mut measured = Vec::new();
    if BUDGETS.iter().any(|budget| wanted(budget.platform)) {
        setup::ensure(context, Need::Boot)?;
        let found = measure(context, options.quick, wanted)?;
        budgets.linux = figures(&found);
        for one in found {
            measured.push(serde_json::to_value(one)?);
        }
    }
    if wanted(MICROCONTROLLER) {
        setup::ensure(context, Need::Firmware)?;
        let found = mcu::budget::measure(context)?;
        budgets.microcontroller = mcu::budget::figures(&found);
        measured.push(serde_json::to_value(found)?);
    }
    let all: Vec<Figure> = budgets.figures().collect();
    ensure!(
        !all.is_empty(),
        "--platform: found {:?}; expected iot-edge, robotics-rt or {MICROCONTROLLER}",
        options.platforms
    );
    println!("{}", table(&all));
    if options.write {
        let path = context.root.join("docs/benchmarks.md");
        let page = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        write_atomically(&path, budgets.insert(context, &page).as_bytes())?;
    }
    if let Some(path) = &options.json {
        write_atomically(
            &std::path::absolute(path)?,
            serde_json::to_string_pretty(&measured)?.as_bytes(),
        )?;
    }
    let over: Vec<&str> = all
        .iter()
        .filter(|figure| figure.met() == Some(false))
        .map(|figure| figure.what.as_str())
        .collect();
    if over.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for what in over {
        say(format_args!("over budget: {what}"));
    }
    Ok(ExitCode::FAILURE)
}

/// What was measured, as figures.
#[derive(Default)]
pub(crate) struct Budgets {
    linux: Vec<Figure>,
    microcontroller: Vec<Figure>,
}

impl Budgets {
    /// All of them.
    pub(crate) fn figures(&self) -> impl Iterator<Item = Figure> {
        self.linux.iter().chain(&self.microcontroller).cloned()
    }

    /// The page with new sections in the place of the old ones; the section of what was not measured stays as it is.
    pub(crate) fn insert(&self, context: &Context, page: &str) -> String {
        let mut page = page.to_owned();
        if !self.linux.is_empty() {
            let section = format!(
                "## Budgets\n\nMeasured in booted images, in QEMU.\n\n{}",
                table(&self.linux)
            );
            page = insert_between(&page, BEGIN, END, &section);
        }
        if !self.microcontroller.is_empty() {
            let section = mcu::budget::section(context, &self.microcontroller);
            page = insert_between(&page, MCU_BEGIN, MCU_END, &section);
        }
        page
    }
}

/// All budgets, for the page of all figures.
pub(crate) fn all(context: &Context) -> anyhow::Result<Budgets> {
    Ok(Budgets {
        linux: figures(&measure(context, false, |_| true)?),
        microcontroller: mcu::budget::figures(&mcu::budget::measure(context)?),
    })
}

fn measure(
    context: &Context,
    quick: bool,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<Measured>> {
    let counter = apps::ready(context, &context.root.join("apps").join(APP))?;
    BUDGETS
        .iter()
        .filter(|budget| wanted(budget.platform))
        .map(|budget| platform(context, budget, &counter, quick))
        .collect()
}

fn figures(measured: &[Measured]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for found in measured {
        let Some(budget) = BUDGETS
            .iter()
            .find(|budget| budget.platform == found.platform)
        else {
            continue;
        };
        let platform = budget.platform;
        let one = |what: String, unit, value, goal| Figure {
            what,
            unit,
            samples: vec![value],
            baseline: None,
            goal,
        };
        figures.push(one(
            format!(
                "memory (PSS) of all Vyoma processes, {platform} with {} resident apps (daemon {} KB, apps {} to {} KB)",
                budget.apps,
                found.daemon_pss_kb,
                found.app_pss_kb.iter().min().unwrap_or(&0),
                found.app_pss_kb.iter().max().unwrap_or(&0),
            ),
            "MB",
            found.pss_kb as f64 / 1024.0,
            Goal::AtMost(budget.memory_mb),
        ));
        figures.push(one(
            format!(
                "image of {platform} without apps (kernel {:.1} MB and initramfs {:.1} MB, compressed)",
                found.kernel_bytes as f64 / MIB,
                found.initramfs_bytes as f64 / MIB,
            ),
            "MB",
            (found.kernel_bytes + found.initramfs_bytes) as f64 / MIB,
            Goal::AtMost(budget.image_mb),
        ));
        if let Some(mb) = found.smallest_mb {
            figures.push(one(
                format!(
                    "smallest machine (QEMU -m) on which {platform} runs {} apps",
                    budget.apps
                ),
                "MB",
                mb as f64,
                Goal::AtMost(SMALLEST_MB),
            ));
        }
    }
    figures
}

fn platform(
    context: &Context,
    budget: &Budget,
    counter: &App,
    quick: bool,
) -> anyhow::Result<Measured> {
    let target = platforms::select(context, Some(budget.platform), None)?;
    let bare = image::build(context, &target, &WhichApps::only(Vec::new()))?;
    let size = |path: &Path| -> anyhow::Result<u64> { Ok(std::fs::metadata(path)?.len()) };
    let (kernel_bytes, initramfs_bytes) = (size(&bare.kernel.image)?, size(&bare.initramfs)?);

    let folder = tempfile::tempdir()?;
    let dirs = (1..=budget.apps)
        .map(|number| copy(counter, folder.path(), number))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let house = WhichApps::only(dirs);
    let mut bridged = house.clone();
    let bridge = bridge::build(context, target.arch, folder.path())?;
    bridged.add.push((bridge::PATH.to_owned(), bridge));
    let image = image::build(context, &target, &bridged)?;
    say(format_args!(
        "measuring {} with {} apps",
        budget.platform, budget.apps
    ));
    let (apps, info) = ask(&target, &image, budget.apps)?;
    ensure!(
        apps.len() == budget.apps,
        "{}: found {} apps; expected {}",
        budget.platform,
        apps.len(),
        budget.apps
    );
    let app_pss_kb = apps
        .iter()
        .map(|app| {
            app.pss_kb
                .with_context(|| format!("{} has no memory figure: it does not run", app.name))
        })
        .collect::<anyhow::Result<Vec<u64>>>()?;
    let daemon_pss_kb = info
        .daemon_pss_kb
        .context("the daemon has no memory figure")?;
    let smallest_mb = match budget.platform {
        // They were just seen to run on it, with the bridge beside them.
        "iot-edge" if quick => Some(target.ram_mb),
        "iot-edge" => {
            let image = image::build(context, &target, &house)?;
            smallest(&target, &image, budget.apps)?
        }
        _ => None,
    };
    Ok(Measured {
        platform: budget.platform,
        apps: budget.apps,
        pss_kb: daemon_pss_kb + app_pss_kb.iter().sum::<u64>(),
        daemon_pss_kb,
        app_pss_kb,
        memory_total_kb: info.memory_total_kb,
        memory_available_kb: info.memory_available_kb,
        kernel_bytes,
        initramfs_bytes,
        smallest_mb,
    })
}

/// Boots the usual machine, and once every app has settled asks the daemon what they hold.
fn ask(
    target: &Target,
    image: &Image,
    apps: usize,
) -> anyhow::Result<(Vec<AppStatus>, DeviceInfo)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let options = MachineOptions {
        append: vec![bridge::START.to_owned()],
        forward: vec![Forward {
            host: port,
            guest: bridge::PORT,
        }],
        ..MachineOptions::default()
    };
    let answer = RefCell::new(None);
    let plan = Plan {
        until: &settled(apps)?,
        timeout: TIMEOUT,
        keep_running: true,
        screenshot: None,
        echo: false,
    };
    let report = boot::boot(target, image, &options, &plan, &|_| {
        *answer.borrow_mut() = Some(question(port)?);
        Ok(())
    })?;
    answer.into_inner().with_context(|| {
        let mut tail = String::new();
        let skip = report.lines.len().saturating_sub(20);
        for line in &report.lines[skip..] {
            let _ = write!(tail, "\n{}", line.text);
        }
        format!(
            "{}: not all of {apps} apps ran within {} s; the console's end:{tail}",
            target.id(),
            TIMEOUT.as_secs()
        )
    })
}

fn question(port: u16) -> anyhow::Result<(Vec<AppStatus>, DeviceInfo)> {
    let mut control = bridge::connect(port)?;
    let Response::Apps(apps) = control.ask(&Request::Ps)? else {
        bail!("the daemon answered something else to ps");
    };
    let Response::Info(info) = control.ask(&Request::Info)? else {
        bail!("the daemon answered something else to info");
    };
    control.send(&Request::Shutdown)?;
    Ok((apps, info))
}

/// The smallest machine on which all apps settle; `None` when not even the largest will do.
fn smallest(target: &Target, image: &Image, apps: usize) -> anyhow::Result<Option<u64>> {
    let until = settled(apps)?;
    let mut smallest = None;
    for mb in SIZES {
        let options = MachineOptions {
            memory: Some(mb),
            ..MachineOptions::default()
        };
        let plan = Plan {
            until: &until,
            timeout: TIMEOUT / 3,
            keep_running: false,
            screenshot: None,
            echo: false,
        };
        let report = boot::boot(target, image, &options, &plan, &|_| Ok(()))?;
        say(format_args!(
            "{} with {mb} MB: {}",
            target.id(),
            if report.ok { "all apps run" } else { "no" }
        ));
        if !report.ok {
            break;
        }
        smallest = Some(mb);
    }
    Ok(smallest)
}

fn settled(apps: usize) -> anyhow::Result<Vec<Regex>> {
    let line = |number| {
        Ok(Regex::new(&format!(
            r"^\[{APP}-{number}\].* count {SETTLED}$"
        ))?)
    };
    (1..=apps).map(line).collect()
}

fn copy(app: &App, folder: &Path, number: usize) -> anyhow::Result<PathBuf> {
    let name = format!("{APP}-{number}");
    let dir = folder.join(&name);
    let manifest = std::fs::read_to_string(app.dir.join("vyoma.toml"))?;
    let manifest = manifest.replace(&format!("name = \"{APP}\""), &format!("name = \"{name}\""));
    write_atomically(&dir.join("vyoma.toml"), manifest.as_bytes())?;
    write_atomically(
        &dir.join(&app.wasm),
        &std::fs::read(app.dir.join(&app.wasm))?,
    )?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vyoma_capabilities::profile::{builtin, parse};

    #[test]
    fn budgets_are_the_profiles_numbers() {
        for budget in BUDGETS {
            let text = builtin(budget.platform).unwrap();
            let profile = parse(budget.platform, text).unwrap();
            assert_eq!(profile.max_apps as usize, budget.apps);
            assert!((profile.ram_kb as f64 / 1024.0 - budget.memory_mb).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn what_is_over_its_budget_is_missed() {
        let measured = BUDGETS.map(|budget| Measured {
            platform: budget.platform,
            apps: budget.apps,
            pss_kb: 4097,
            daemon_pss_kb: 1000,
            app_pss_kb: vec![300],
            memory_total_kb: 0,
            memory_available_kb: 0,
            kernel_bytes: 4 << 20,
            initramfs_bytes: 1 << 20,
            smallest_mb: (budget.platform == "iot-edge").then_some(32),
        });
        let met: Vec<_> = figures(&measured).iter().map(Figure::met).collect();
        let yes = Some(true);
        assert_eq!(met, [Some(false), yes, yes, yes, yes]);
    }
}
