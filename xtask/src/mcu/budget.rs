//! What mcu-minimal takes of RAM and flash: three resident apps on the guide's board in QEMU, whose firmware says what it
//! holds and how deep its stacks ever were (they are painted). Fails over budget. Called by `budget` and, for its page, by
//! `bench`.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use regex_lite::Regex;
use serde::Serialize;
use vyoma_capabilities::control::DeviceEvent;

use super::Board;
use super::image;
use super::pace::{self, Pace};
use super::run;
use super::sizes::{self, Parts};
use crate::artefacts;
use crate::boot::{MachineOptions, Plan};
use crate::context::{Context, say};
use crate::figures::{Figure, Goal, commit, table};
use crate::image::WhichApps;
use crate::platforms::{self, Arch, MICROCONTROLLER};

/// The apps that stay: one that counts, one that measures, one that answers.
const RESIDENT: [&str; 3] = ["counter", "sensor", "pong"];
/// When they have settled: each line once.
const SETTLED: [&str; 2] = [r"^\[counter\] .*count 5$", r"^\[sensor\] .*reading 5:"];
/// An emulated board takes seconds for it; a loaded host makes a slow one.
const TIMEOUT: Duration = Duration::from_mins(4);
/// Flash of the firmware without apps, in KB: a quarter of the board's megabyte.
pub(super) const FLASH_KB: u64 = 256;
const KIB: f64 = 1024.0;

/// The firmware's own RAM, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct OwnMemory {
    statics: u64,
    heap: u64,
    heap_used: u64,
    stack: u64,
    stack_used: u64,
    loader: u64,
    loader_used: u64,
    pool: u64,
}

/// An app's RAM, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AppMemory {
    app: String,
    arena: u64,
    stack: u64,
    stack_used: u64,
    metadata: u64,
    code: u64,
    linear: u64,
    free: u64,
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    platform: &'static str,
    board: &'static str,
    own: OwnMemory,
    apps: Vec<AppMemory>,
    flash: Parts,
    /// Bytes of the components, in flash.
    components: u64,
    /// The smallest sensor loop: bytes of the component.
    sensor_bytes: u64,
    /// `ram_kb` of the profile.
    ram_kb: u64,
    pace: Pace,
}

/// Boots the board with the apps and asks it.
pub(crate) fn measure(context: &Context) -> anyhow::Result<Measured> {
    let board = Board::DEFAULT;
    let profile = platforms::microcontroller(context)?;
    let dirs = RESIDENT.map(|name| context.root.join("apps").join(name));
    let image = image::build(context, board, &WhichApps::only(dirs.to_vec()))?;
    let vyomactl = artefacts::program(context, "vyomactl", Arch::X86_64)?;
    let scratch = tempfile::tempdir()?;
    let control = scratch.path().join("control");
    let options = MachineOptions {
        control: Some(control.clone()),
        ..MachineOptions::default()
    };
    let until = SETTLED
        .iter()
        .map(|line| Ok(Regex::new(line)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let plan = Plan {
        until: &until,
        timeout: TIMEOUT,
        keep_running: false,
        screenshot: None,
        echo: false,
    };
    say(format_args!(
        "measuring {MICROCONTROLLER} with {}",
        RESIDENT.join(", ")
    ));
    let events = RefCell::new(Vec::new());
    let report = run::boot(&image, &options, &plan, &|_| {
        *events.borrow_mut() = ask(&vyomactl, &control)?;
        Ok(())
    })?;
    let events = events.into_inner();
    ensure!(
        !events.is_empty(),
        "{MICROCONTROLLER}: the apps did not settle within {} s; the console's end: {:?}",
        TIMEOUT.as_secs(),
        report.lines.iter().rev().take(8).collect::<Vec<_>>()
    );
    let line = |app: Option<&str>| -> anyhow::Result<&str> {
        let of_app = |event: &&DeviceEvent| event.kind == "memory" && event.app.as_deref() == app;
        let found = events.iter().rev().find(of_app);
        let event = found
            .with_context(|| format!("no event \"memory\" of {}", app.unwrap_or("the firmware")))?;
        Ok(event.detail.as_str())
    };
    let apps = RESIDENT
        .iter()
        .map(|app| app_memory(app, line(Some(app))?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let sensor = image.region.apps.iter().find(|app| app.name == "sensor");
    Ok(Measured {
        platform: MICROCONTROLLER,
        board: board.name(),
        own: own_memory(line(None)?)?,
        apps,
        flash: sizes::of(&image.firmware.map)?,
        components: image
            .region
            .apps
            .iter()
            .map(|app| u64::from(app.component))
            .sum(),
        sensor_bytes: sensor.map_or(0, |app| u64::from(app.component)),
        ram_kb: profile.ram_kb,
        pace: pace::measure(context)?,
    })
}

/// What the firmware says of its memory: `info` makes it look afresh.
fn ask(vyomactl: &Path, control: &Path) -> anyhow::Result<Vec<DeviceEvent>> {
    let ctl = |command: &str| -> anyhow::Result<String> {
        let output = Command::new(vyomactl)
            .arg("--target")
            .arg(format!("serial://{}", control.display()))
            .args(["--output", "json", command])
            .output()
            .with_context(|| format!("cannot run {}", vyomactl.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("vyomactl {command}: {}", said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    ctl("info")?;
    ctl("events")?
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("events: {line:?}")))
        .collect()
}

/// `static N, heap N of N (N now), stack N of N, loader N of N, pool N, ...`
fn own_memory(line: &str) -> anyhow::Result<OwnMemory> {
    let (part, of) = reader(line);
    let ((heap_used, heap), (stack_used, stack)) = (of("heap")?, of("stack")?);
    let (loader_used, loader) = of("loader")?;
    Ok(OwnMemory {
        statics: part("static")?,
        heap,
        heap_used,
        stack,
        stack_used,
        loader,
        loader_used,
        pool: part("pool")?,
    })
}

/// `arena N = stack N (used N) + metadata N + code N + linear N + free N`
fn app_memory(app: &str, line: &str) -> anyhow::Result<AppMemory> {
    let (part, _) = reader(line);
    Ok(AppMemory {
        app: app.to_owned(),
        arena: part("arena")?,
        stack: part("stack")?,
        stack_used: part("used")?,
        metadata: part("metadata")?,
        code: part("code")?,
        linear: part("linear")?,
        free: part("free")?,
    })
}

type Number<'a> = Box<dyn Fn(&str) -> anyhow::Result<u64> + 'a>;
type Two<'a> = Box<dyn Fn(&str) -> anyhow::Result<(u64, u64)> + 'a>;

/// Finds `NAME N`, and `NAME N of N`, in a line.
fn reader(line: &str) -> (Number<'_>, Two<'_>) {
    let find = move |pattern: String| -> anyhow::Result<Vec<u64>> {
        let found = Regex::new(&pattern)?.captures(line);
        let found = found.with_context(|| format!("memory: no {pattern:?} in {line:?}"))?;
        let numbers = found.iter().skip(1).flatten();
        numbers.map(|number| Ok(number.as_str().parse()?)).collect()
    };
    let one = move |name: &str| Ok(find(format!(r"\b{name} (\d+)"))?[0]);
    let two = move |name: &str| {
        let numbers = find(format!(r"\b{name} (\d+) of (\d+)"))?;
        Ok((numbers[0], numbers[1]))
    };
    (Box::new(one), Box::new(two))
}

/// The section of docs/benchmarks.md.
pub(crate) fn section(context: &Context, figures: &[Figure]) -> String {
    format!(
        "## Microcontroller\n\n\
         Measured on the guide's board in QEMU. RAM is what the firmware itself says of it, stacks by how much of their paint is \
         gone. Instructions are counted by QEMU (`-icount shift=0`: one is a nanosecond of the board's clock, whatever else this \
         machine does): a firmware with the feature `bench` measures itself, and then the app apps/guests/pace runs the \
         same loops in wasm3, compiled by rustc with opt-level 3 both. They are no cycles: a Cortex-M3 takes more than one for many \
         instructions. A switch registers only is there and back; one from app to app is from a call of one app to where the \
         other goes on.\n\n{}\n- {}\n",
        table(figures),
        commit(context),
    )
}

/// The figures, with their budgets.
pub(crate) fn figures(found: &Measured) -> Vec<Figure> {
    let own = &found.own;
    let one = |what: String, unit, value, goal| Figure {
        what,
        unit,
        samples: vec![value],
        baseline: None,
        goal,
    };
    let kb = |bytes: u64| bytes as f64 / KIB;
    let arenas: u64 = found.apps.iter().map(|app| app.arena).sum();
    let firmware = own.statics + own.heap + own.stack + own.loader;
    let platform = found.platform;
    let mut figures = vec![
        one(
            format!(
                "RAM of {platform} ({}), firmware and three resident apps: statics {:.1}, heap {:.1} (most used {:.1}), stack {:.1} (most used {:.1}), loader's stack {:.1} (most used {:.1}), apps {:.1} KB",
                found.board,
                kb(own.statics),
                kb(own.heap),
                kb(own.heap_used),
                kb(own.stack),
                kb(own.stack_used),
                kb(own.loader),
                kb(own.loader_used),
                kb(arenas),
            ),
            "KB",
            kb(firmware + arenas),
            Goal::AtMost(found.ram_kb as f64),
        ),
        one(
            format!("all RAM regions of {platform} together, what no app has taken included"),
            "KB",
            kb(firmware + own.pool),
            Goal::AtMost(found.ram_kb as f64),
        ),
    ];
    for app in &found.apps {
        figures.push(one(
            format!(
                "RAM of {} on {platform}: native stack {} (most used {}), metadata {}, compiled code {}, linear memory {}, free {} bytes",
                app.app,
                app.stack,
                app.stack_used,
                app.metadata,
                app.code,
                app.linear,
                app.free
            ),
            "KB",
            kb(app.arena),
            Goal::None,
        ));
    }
    let flash = found.flash;
    figures.push(one(
        format!(
            "flash of {platform}'s firmware: wasm3 {:.1}, components and WASI {:.1}, compilers' runtimes {:.1}, the rest {:.1} KB",
            kb(flash.wasm3),
            kb(flash.components),
            kb(flash.compilers),
            kb(flash.firmware)
        ),
        "KB",
        kb(flash.sum()),
        Goal::AtMost(FLASH_KB as f64),
    ));
    figures.push(one(
        format!("flash of the three apps on {platform}: their components"),
        "KB",
        kb(found.components),
        Goal::None,
    ));
    figures.push(one(
        "the smallest sensor loop (apps/sensor): its component".to_owned(),
        "KB",
        kb(found.sensor_bytes),
        Goal::None,
    ));
    figures.extend(pace::figures(&found.pace));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "static 17000, heap 4000 of 6144 (3900 now), stack 2100 of 7168, loader 5000 of 8192, pool 92160, 7 ms asleep";
    const APP: &str = "arena 25600 = stack 4096 (used 2200) + metadata 9000 + code 8000 + linear 3504 + free 1000";

    fn measured() -> Measured {
        Measured {
            platform: MICROCONTROLLER,
            board: "mps2-an385",
            own: own_memory(OWN).unwrap(),
            apps: vec![app_memory("pong", APP).unwrap(); 3],
            flash: Parts {
                wasm3: 70 << 10,
                components: 40 << 10,
                compilers: 10 << 10,
                firmware: 100 << 10,
            },
            components: 30_000,
            sensor_bytes: 6000,
            ram_kb: 128,
            pace: pace::tests::pace(),
        }
    }

    #[test]
    fn what_the_firmware_says_of_its_memory_is_read() {
        let own = own_memory(OWN).unwrap();
        assert_eq!((own.statics, own.heap_used, own.heap), (17000, 4000, 6144));
        assert_eq!((own.stack_used, own.loader, own.pool), (2100, 8192, 92160));
        let app = app_memory("pong", APP).unwrap();
        assert_eq!((app.arena, app.stack, app.stack_used), (25600, 4096, 2200));
        assert_eq!(
            app.stack + app.metadata + app.code + app.linear + app.free,
            app.arena
        );
        assert!(own_memory("static 1").is_err());
    }

    #[test]
    fn more_ram_or_flash_than_the_budget_is_missed() {
        let missed = |change: fn(&mut Measured)| {
            let mut found = measured();
            change(&mut found);
            let figures = figures(&found);
            figures
                .iter()
                .filter(|figure| figure.met() == Some(false))
                .count()
        };
        assert_eq!(missed(|_| ()), 0);
        assert_eq!(missed(|found| found.own.pool += 1 << 12), 1);
        assert_eq!(missed(|found| found.apps[0].arena += 1 << 15), 1);
        assert_eq!(missed(|found| found.flash.wasm3 += 40 << 10), 1);
    }
}
