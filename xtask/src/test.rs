//! `cargo xtask test`: everything that CI runs, in stages; what each took stands at the end. A stage that can't run
//! has failed, by name; nothing is skipped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::context::{Context, call, say, write_atomically};
use crate::platforms::Arch;
use crate::setup::{self, Need};
use crate::side_by_side::side_by_side;
use crate::{apps, artefacts, deny, kernel, mcu, platforms, spec};

/// `cargo xtask test`
#[derive(Args)]
pub(crate) struct Options {
    /// Run only tests whose name contains this (and what they need; no formatting, lints or licences).
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Run only the stages whose name contains this, and what tests need.
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
}

/// A stage's result: tests passed and failed (0 and 0 for a stage that isn't a test run).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
}

struct Done {
    name: &'static str,
    took: Duration,
    tally: Tally,
    /// One line; absent: it went well.
    fault: Option<String>,
}

/// What a stage is for: decides whether a filter leaves it out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Later stages can't do without it.
    Ground,
    /// Checks without tests.
    Check,
    /// Runs tests.
    Tests,
}

type Step = fn(&Context, &Options) -> anyhow::Result<Tally>;

const STAGES: [(&str, Kind, Step); 16] = [
    ("set-up", Kind::Ground, |context, _| {
        keep_own_copy(context)?;
        setup::ensure(context, Need::Everything).map(none)
    }),
    ("formatting", Kind::Check, |context, _| {
        formatting(context).map(none)
    }),
    ("specification", Kind::Check, |context, _| {
        spec::check(context).map(none)
    }),
    ("licences, sources, bans", Kind::Check, |context, _| {
        deny::check(context).map(none)
    }),
    ("lints", Kind::Check, |context, _| lints(context).map(none)),
    (
        "what has to do without an operating system",
        Kind::Check,
        |context, _| no_std(context).map(none),
    ),
    (
        "firmware: formatting and lints",
        Kind::Check,
        |context, _| mcu::check::style(context).map(none),
    ),
    (
        "firmware: both boards, and its size",
        Kind::Ground,
        |context, _| mcu::check::boards(context).map(none),
    ),
    ("apps", Kind::Ground, |context, _| {
        stage_apps(context).map(none)
    }),
    ("programs of this machine", Kind::Ground, |context, _| {
        programs(context).map(none)
    }),
    ("programs of images", Kind::Ground, |context, _| {
        image_programs(context).map(none)
    }),
    ("kernels", Kind::Ground, |context, _| {
        kernels(context).map(none)
    }),
    ("unit, property and simulation tests", Kind::Tests, unit),
    ("app SDK tests", Kind::Tests, sdk),
    ("hosted system tests", Kind::Tests, hosted),
    ("booted images", Kind::Tests, booted),
];

fn none((): ()) -> Tally {
    Tally::default()
}

/// Runs the stages in order. After a fault in the ground that tests stand on, those have failed too.
pub(crate) fn command(context: &Context, options: &Options) -> ExitCode {
    let started = Instant::now();
    let mut done: Vec<Done> = Vec::new();
    let selected = |name: &str, kind: Kind| {
        let stage = options
            .stage
            .as_ref()
            .is_none_or(|wanted| name.contains(wanted.as_str()));
        stage && (options.filter.is_none() || kind != Kind::Check)
    };
    let any_tests = STAGES
        .iter()
        .any(|(name, kind, _)| *kind == Kind::Tests && selected(name, *kind));
    for (name, kind, step) in STAGES {
        if !(selected(name, kind) || kind == Kind::Ground && any_tests) {
            continue;
        }
        let ground = done
            .iter()
            .find(|stage| stage.fault.is_some() && is_ground(stage.name));
        let begun = Instant::now();
        let result = if let Some(stage) = ground {
            Err(anyhow::anyhow!(
                "could not run: stage {:?} failed",
                stage.name
            ))
        } else {
            say(format_args!("stage: {name}"));
            step(context, options)
        };
        let (tally, fault) = match result {
            Ok(tally) if tally.failed == 0 => (tally, None),
            Ok(tally) => (tally, Some(format!("{} tests failed", tally.failed))),
            Err(error) => (Tally::default(), Some(format!("{error:#}"))),
        };
        if let Some(fault) = &fault {
            say(format_args!("stage {name:?} failed: {fault}"));
        }
        done.push(Done {
            name,
            took: begun.elapsed(),
            tally,
            fault,
        });
    }
    report(&done, started.elapsed(), options)
}

fn is_ground(name: &str) -> bool {
    STAGES
        .iter()
        .any(|(stage, kind, _)| *stage == name && *kind == Kind::Ground)
}

/// The table of stages, longest first, and one line in the form of cargo's own.
fn report(done: &[Done], took: Duration, options: &Options) -> ExitCode {
    let mut longest: Vec<&Done> = done.iter().collect();
    longest.sort_by_key(|stage| std::cmp::Reverse(stage.took));
    println!("\nwhat took longest:");
    for stage in longest {
        let state = if stage.fault.is_some() {
            "FAILED"
        } else {
            "ok"
        };
        let tests = if stage.tally == Tally::default() {
            String::new()
        } else {
            format!("{} tests", stage.tally.passed)
        };
        println!(
            "{:>8.1} s  {state:<6}  {:<42} {tests}",
            stage.took.as_secs_f64(),
            stage.name
        );
    }
    for stage in done {
        if let Some(fault) = &stage.fault {
            println!("failed: {}: {fault}", stage.name);
        }
    }
    // A stage without tests of its own counts as one, so that "failed" counts everything that went wrong.
    let stages = |bad: bool| {
        done.iter()
            .filter(|stage| stage.tally == Tally::default() && stage.fault.is_some() == bad)
            .count() as u32
    };
    let passed = done.iter().map(|stage| stage.tally.passed).sum::<u32>() + stages(false);
    let failed = done.iter().map(|stage| stage.tally.failed).sum::<u32>() + stages(true);
    let nothing_ran =
        options.filter.is_some() && done.iter().all(|stage| stage.tally == Tally::default());
    if nothing_ran {
        println!(
            "no test has {:?} in its name",
            options.filter.as_deref().unwrap_or_default()
        );
    }
    let ok = failed == 0 && !nothing_ran;
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s",
        if ok { "ok" } else { "FAILED" },
        took.as_secs_f64()
    );
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn formatting(context: &Context) -> anyhow::Result<()> {
    call(context.cargo().args(["fmt", "--all", "--check"]))?;
    call(
        context
            .cargo()
            .current_dir(context.root.join("apps"))
            .args(["fmt", "--all", "--check"]),
    )
}

fn lints(context: &Context) -> anyhow::Result<()> {
    let deny = ["--", "-D", "warnings"];
    call(
        context
            .cargo()
            .args([
                "clippy",
                "--quiet",
                "--locked",
                "--workspace",
                "--all-targets",
            ])
            .args(deny),
    )?;
    let mut apps = context.cargo();
    apps.current_dir(context.root.join("apps"))
        .env_remove("RUSTC_WRAPPER");
    call(
        apps.args([
            "clippy",
            "--quiet",
            "--locked",
            "--workspace",
            "--target",
            apps::APP_TARGET,
        ])
        .args(deny),
    )
}

fn no_std(context: &Context) -> anyhow::Result<()> {
    let build = ["build", "--quiet", "--locked", "--no-default-features"];
    for (package, target) in [
        ("vyoma-capabilities", "thumbv7m-none-eabi"),
        ("vyoma-component", "thumbv7m-none-eabi"),
        ("vyoma-mcu-core", "thumbv7m-none-eabi"),
        ("vyoma-adapter-wasm3", "thumbv7m-none-eabi"),
        ("vyoma-adapter-wasm3", "thumbv7em-none-eabihf"),
    ] {
        let what = ["--package", package, "--target", target];
        call(context.cargo().args(build).args(what))?;
    }
    Ok(())
}

/// One folder with every app and guest, as a hosted daemon's `--apps` takes it.
fn staged(context: &Context) -> PathBuf {
    context.out.join("staged")
}

fn stage_apps(context: &Context) -> anyhow::Result<()> {
    let (apps, guests) = apps::build_all(context)?;
    let all = [apps, guests].concat();
    apps::check_names(&all)?;
    let folder = staged(context);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    for app in &all {
        for path in ["vyoma.toml", &app.wasm] {
            let bytes = std::fs::read(app.dir.join(path))?;
            write_atomically(&folder.join(&app.name).join(path), &bytes)?;
        }
    }
    Ok(())
}

fn programs(context: &Context) -> anyhow::Result<()> {
    artefacts::program(context, "vyomad", Arch::X86_64)?;
    artefacts::program(context, "vyomactl", Arch::X86_64)?;
    Ok(())
}

/// Tests that boot images wait for an image, not for a compiler. Side by side: the small one ends with a linker that uses one
/// processor for most of its time; those of one profile wait for each other at cargo's lock.
fn image_programs(context: &Context) -> anyhow::Result<()> {
    const BUILDS: [Option<(&str, Arch, &[bool])>; 4] = [
        Some(("iot-edge", Arch::Aarch64, &[false])),
        Some(("server-headless", Arch::X86_64, &[true, false])),
        Some(("server-headless", Arch::Aarch64, &[true, false])),
        // vyoma-aotc
        None,
    ];
    side_by_side(&BUILDS, |build| {
        let Some((platform, arch, probes)) = *build else {
            return artefacts::aotc(context).map(drop);
        };
        let target = platforms::select(context, Some(platform), Some(arch))?;
        for probe in probes {
            artefacts::device(context, &target, *probe)?;
        }
        Ok(())
    })
    .map(drop)
}

fn kernels(context: &Context) -> anyhow::Result<()> {
    kernel::ALL
        .into_iter()
        .try_for_each(|(arch, flavour)| kernel::ensure(context, arch, flavour).map(drop))
}

/// This program as it was when the run began: `cargo test` of the workspace puts another file in its place.
fn own_copy(context: &Context) -> PathBuf {
    context.out.join("xtask-under-test")
}

fn keep_own_copy(context: &Context) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot tell where xtask itself is")?;
    std::fs::create_dir_all(&context.out)?;
    // Not over the old file: a program that still runs can't be written to.
    let _ = std::fs::remove_file(own_copy(context));
    std::fs::copy(&own, own_copy(context))
        .with_context(|| format!("cannot copy {}", own.display()))?;
    Ok(())
}

/// `cargo test` with what tests are told by their environment.
fn cargo_test(context: &Context) -> Command {
    let program = |name| artefacts::kept(context, name, Arch::X86_64);
    let mut cargo = context.cargo();
    cargo
        .args(["test", "--locked", "--no-fail-fast"])
        .env("VYOMAD_BIN", program("vyomad"))
        .env("VYOMACTL_BIN", program("vyomactl"))
        .env("VYOMA_APPS_DIR", staged(context))
        .env("VYOMA_REGISTRY_BIN", setup::registry(context))
        .env("VYOMA_XTASK_BIN", own_copy(context));
    cargo
}

fn harness(command: &mut Command, options: &Options, arguments: &[&str]) {
    command.arg("--").args(arguments);
    if let Some(filter) = &options.filter {
        command.arg(filter);
    }
}

/// Three runs: what does not carry Wasmtime, in debug with its overflow checks; what does, in release for the images' own
/// target, since that build of Wasmtime is there already and a debug Cranelift is twenty times slower; and wasm3 as it is
/// built for a microcontroller.
fn unit(context: &Context, options: &Options) -> anyhow::Result<Tally> {
    const WITH_ENGINE: [&str; 4] = [
        "vyoma-adapter-wasmtime",
        "vyoma-differential",
        "vyoma-engine-speed",
        "vyomad",
    ];
    let aotc = artefacts::aotc(context)?;
    let mut light = cargo_test(context);
    light.env("VYOMA_AOTC", &aotc);
    light.args(["--workspace", "--exclude", "vyoma-system-tests"]);
    for package in WITH_ENGINE {
        light.args(["--exclude", package]);
    }
    harness(&mut light, options, &[]);
    let mut with_engine = cargo_test(context);
    with_engine.args(["--release", "--target", Arch::X86_64.rust_target()]);
    // The probe proves the sandbox; without its feature cargo would leave those tests out in silence.
    with_engine.args(["--features", "vyomad/probe"]);
    for package in WITH_ENGINE {
        with_engine.args(["--package", package]);
    }
    with_engine.env("VYOMA_AOTC", &aotc);
    harness(&mut with_engine, options, &[]);
    let mut small = cargo_test(context);
    small.args(["--package", "vyoma-adapter-wasm3", "--features", "small"]);
    for tests in ["engine", "branches", "unreachable"] {
        small.args(["--test", tests]);
    }
    harness(&mut small, options, &[]);
    let light = run(light)?;
    let with_engine = run(with_engine)?;
    let small = run(small)?;
    Ok(Tally {
        passed: light.passed + with_engine.passed + small.passed,
        failed: light.failed + with_engine.failed + small.failed,
    })
}

/// Two runs: the SDK as most apps have it, with the apps that have tests of their own; and the SDK with its feature `std`.
fn sdk(context: &Context, options: &Options) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for arguments in [
        &[
            "vyoma",
            "vyoma-macros",
            "vyoma-hal",
            "vyoma-pages",
            "http-server",
            "sensor-hub",
            "motor-pid",
            "notes",
            "clock",
        ][..],
        &["vyoma", "--features=std"],
    ] {
        let mut cargo = cargo_test(context);
        cargo
            .current_dir(context.root.join("apps"))
            .env_remove("RUSTC_WRAPPER");
        for argument in arguments {
            if argument.starts_with("--") {
                cargo.arg(argument);
            } else {
                cargo.args(["--package", argument]);
            }
        }
        harness(&mut cargo, options, &[]);
        let done = run(cargo)?;
        tally.passed += done.passed;
        tally.failed += done.failed;
    }
    Ok(tally)
}

fn hosted(context: &Context, options: &Options) -> anyhow::Result<Tally> {
    system(context, options, false, &[])
}

/// tests/src/turn.rs decides how many emulated machines run at once; tests that wait for their turn cost nothing.
fn booted(context: &Context, options: &Options) -> anyhow::Result<Tally> {
    system(context, options, true, &["--test-threads=4"])
}

/// The system tests in `tests/tests/`: files that start with `boot_` boot images, the others use a hosted daemon.
fn system(
    context: &Context,
    options: &Options,
    boots: bool,
    arguments: &[&str],
) -> anyhow::Result<Tally> {
    let dir = context.root.join("tests/tests");
    let mut cargo = cargo_test(context);
    cargo.args(["--package", "vyoma-system-tests"]);
    if !boots {
        cargo.arg("--lib");
    }
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .with_context(|| format!("cannot list {}", dir.display()))?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .filter(|name| name.starts_with("boot_") == boots)
        .collect();
    names.sort();
    if names.is_empty() {
        bail!("found no such test in {}", dir.display());
    }
    for name in &names {
        cargo.args(["--test", name]);
    }
    harness(&mut cargo, options, arguments);
    run(cargo)
}

/// Runs `cargo test`, repeats what it prints, and adds up its summaries.
fn run(mut cargo: Command) -> anyhow::Result<Tally> {
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let mut tally = Tally::default();
    for line in BufReader::new(child.stdout.take().context("stdout is a pipe")?).split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        let _ = writeln!(std::io::stdout(), "{text}");
        if let Some(result) = summary(&text) {
            tally.passed += result.passed;
            tally.failed += result.failed;
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        bail!("cargo test ended with {status}, and no test says that it failed");
    }
    Ok(tally)
}

/// `test result: ok. 3 passed; 1 failed; ...`
fn summary(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |word: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(word)?.trim().parse::<u32>().ok())
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_cargo_test_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.10s";
        assert_eq!(
            summary(line),
            Some(Tally {
                passed: 12,
                failed: 3
            })
        );
        assert_eq!(summary("running 3 tests"), None);
    }
}
