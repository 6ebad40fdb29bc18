//! iot-edge and robotics-rt as they boot: WAMR and no other engine, machine code that was made ahead of time, interpretation
//! where it is missing; on robotics-rt a real-time kernel, and apps that run by the clock in locked memory.

use std::fs;
use std::process::Command;

use serde_json::Value;
use vyoma_capabilities::control::Execution;
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_system_tests::booted::{Device, Machine};
use vyoma_system_tests::operator::wait_for;
use vyoma_system_tests::{from_make_test, guest};

const WAMR: [&str; 2] = ["iot-edge", "robotics-rt"];

/// Words that are in every program with Wasmtime in it. Its bare name is in every vyomad: profiles have it.
const TRACES: [&str; 3] = ["cranelift", "wasmtime-4", "wasmtime_"];

/// The program that is PID 1 of the platform's image.
fn init_of(platform: &str) -> Vec<u8> {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let json = scratch.path().join("report.json");
    let mut xtask = Command::new(from_make_test("VYOMA_XTASK_BIN"));
    xtask
        .args(["image", "--platform", platform, "--no-apps", "--json"])
        .arg(&json);
    let output = xtask.output().expect("running xtask");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&fs::read(&json).expect("a report")).expect("JSON");
    fs::read(report["init"].as_str().expect("a path")).expect("the program")
}

fn traces(program: &[u8]) -> Vec<&'static str> {
    let has = |word: &str| {
        program
            .windows(word.len())
            .any(|bytes| bytes == word.as_bytes())
    };
    TRACES.into_iter().filter(|word| has(word)).collect()
}

#[test]
fn an_image_with_wamr_has_nothing_of_wasmtime_in_it() {
    for platform in WAMR {
        assert_eq!(traces(&init_of(platform)), [""; 0], "{platform}");
    }
    assert_eq!(
        traces(&init_of("server-headless")),
        TRACES,
        "the words that are looked for are Wasmtime's"
    );
    let tree = Command::new("cargo")
        .args([
            "tree",
            "--locked",
            "--package",
            "vyomad",
            "--edges",
            "normal",
        ])
        .args(["--target", "aarch64-unknown-linux-musl"])
        .args(["--no-default-features", "--features", "wamr"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("running cargo");
    let tree = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.contains("vyoma-wamr-sys"), "{tree}");
    for name in ["wasmtime", "cranelift", "tokio-util", "vyoma-adapter-wasm3"] {
        assert!(!tree.contains(name), "{name} in:\n{tree}");
    }
}

/// Warnings about one app.
fn warnings(device: &Device, app: &str) -> Vec<String> {
    device
        .events()
        .into_iter()
        .filter(|event| event.kind == "warning" && event.app.as_deref() == Some(app))
        .map(|event| event.detail)
        .collect()
}

#[test]
fn machine_code_of_the_image_runs_and_its_absence_means_interpretation_and_one_warning() {
    let with_machine = Machine::new("iot-edge", "aarch64").app("counter");
    let with = with_machine.start();
    assert!(with.info().engine.starts_with("wamr "));
    wait_for("counter to run", || {
        with.app("counter").phase == Phase::Running
    });
    assert_eq!(with.app("counter").execution, Some(Execution::AheadOfTime));
    assert_eq!(warnings(&with, "counter"), [""; 0]);
    drop(with);

    let without_machine = Machine::new("iot-edge", "aarch64")
        .app("counter")
        .arg(&["--no-aot"]);
    let without = without_machine.start();
    wait_for("counter to run", || {
        without.app("counter").phase == Phase::Running
    });
    without.ctl_ok(&["restart", "counter"]);
    wait_for("counter to count", || {
        without.app("counter").phase == Phase::Running
            && without.app("counter").execution == Some(Execution::Interpreted)
    });
    let warnings = warnings(&without, "counter");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("interpreted") && warnings[0].contains("vyoma-aotc"),
        "{warnings:?}"
    );
}

#[test]
fn an_app_that_hangs_on_robotics_rt_is_killed_and_restarted_within_seven_seconds() {
    let device_machine =
        Machine::new("robotics-rt", "aarch64")
            .alone()
            .app_as("busy-loop", "hangs", |manifest| {
                manifest.replace("watchdog_secs = 2", "")
            });
    let device = device_machine.start();
    wait_for("a restart", || device.app("hangs").restarts > 0);
    let events = device.events();
    let at = |kind: &str, number: usize| {
        let of_app = |event: &&_| matches_app(event, kind);
        let event = events.iter().filter(of_app).nth(number);
        event
            .unwrap_or_else(|| panic!("no {kind} in {events:?}"))
            .time_ms
    };
    let (started, killed, again) = (
        at("app-started", 0),
        at("app-ended", 0),
        at("app-started", 1),
    );
    assert!(
        (5000..7000).contains(&(killed - started)),
        "silent for {} ms",
        killed - started
    );
    assert!(
        again - started <= 7000,
        "again after {} ms",
        again - started
    );
    assert!(
        matches!(device.app("hangs").last_ending, Some(Ending::Watchdog)),
        "{:?}",
        device.app("hangs").last_ending
    );
}

fn matches_app(event: &vyoma_capabilities::control::DeviceEvent, kind: &str) -> bool {
    event.kind == kind && event.app.as_deref() == Some("hangs")
}

#[test]
fn on_robotics_rt_an_app_runs_by_the_clock_in_locked_memory_when_its_manifest_asks() {
    let realtime = |manifest: &str| format!("{manifest}\n[realtime]\npriority = 40\n");
    let device_machine = Machine::new("robotics-rt", "aarch64")
        .app("counter")
        .app_as("counter", "control-loop", realtime);
    let device = device_machine.start();
    assert!(
        device.read("/proc/version").contains("PREEMPT_RT"),
        "{}",
        device.read("/proc/version")
    );
    wait_for("both to run", || {
        ["counter", "control-loop"]
            .iter()
            .all(|app| device.app(app).phase == Phase::Running)
    });
    for (app, policy, priority, locked) in [
        ("control-loop", "1", "40", true),
        ("counter", "0", "0", false),
    ] {
        let pid = device.app(app).pid.expect("a process");
        let stat = device.read(&format!("/proc/{pid}/stat"));
        // proc(5): field 40 is rt_priority and 41 policy; the fields after the name begin with the third.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .expect("a name")
            .1
            .split_whitespace()
            .collect();
        assert_eq!(
            (fields[38], fields[37]),
            (policy, priority),
            "{app}: {stat}"
        );
        let status = device.read(&format!("/proc/{pid}/status"));
        let kb: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmLck:")?.split_whitespace().next())
            .and_then(|kb| kb.parse().ok())
            .expect("VmLck");
        assert_eq!(kb > 0, locked, "{app}: {kb} KB locked");
        assert_eq!(warnings(&device, app), [""; 0]);
    }
}

#[test]
fn real_time_on_another_platform_is_one_warning_and_the_app_runs() {
    let device_machine =
        Machine::new("iot-edge", "aarch64").app_as("counter", "control-loop", |manifest| {
            format!("{manifest}\n[realtime]\npriority = 40\n")
        });
    let device = device_machine.start();
    wait_for("it to run", || {
        device.app("control-loop").phase == Phase::Running
    });
    let warnings = warnings(&device, "control-loop");
    assert_eq!(
        warnings,
        ["control-loop declares realtime, which iot-edge does not have; the app runs without it"]
    );
}

#[test]
fn a_device_takes_machine_code_with_an_installation_and_runs_it() {
    let machine = Machine::new("iot-edge", "aarch64");
    let device = machine.start();
    let aotc = Command::new(from_make_test("VYOMA_XTASK_BIN"))
        .arg("aotc")
        .output()
        .expect("running xtask");
    assert!(
        aotc.status.success(),
        "{}",
        String::from_utf8_lossy(&aotc.stderr)
    );
    let tool = String::from_utf8_lossy(&aotc.stdout).trim().to_owned();
    let run = |words: &[&str], compiler: &str| {
        let mut vyomactl = device.vyomactl();
        let output = vyomactl.args(words).env("VYOMA_AOTC", compiler).output();
        output.expect("run vyomactl")
    };
    let output = run(&["install", &guest("counter").display().to_string()], &tool);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !said.contains("warning"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    wait_for("it to run", || {
        device.app("counter").phase == Phase::Running
    });
    assert_eq!(
        device.app("counter").execution,
        Some(Execution::AheadOfTime)
    );
    assert_eq!(warnings(&device, "counter"), [""; 0]);
    // From a bundle, whose machine code is signed with the rest, and with no compiler here any more.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (key, bundle, echo) = (
        file("release.key"),
        file("echo.bundle"),
        guest("echo").display().to_string(),
    );
    for (words, compiler) in [
        (&["key", "new", &key][..], ""),
        (
            &[
                "pack", &echo, "--aot", "iot-edge", "--key", &key, "--out", &bundle,
            ],
            &tool,
        ),
        (&["key", "trust", &file("release.pub")], ""),
        (&["key", "require", "on"], ""),
        (&["install", &bundle], "/nowhere"),
    ] {
        let output = run(words, compiler);
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    wait_for("it to run", || device.app("echo").phase == Phase::Running);
    assert_eq!(device.app("echo").execution, Some(Execution::AheadOfTime));
    let refused = run(&["install", &echo, "--no-aot"], "");
    assert_eq!(refused.status.code(), Some(20), "unsigned");
}
