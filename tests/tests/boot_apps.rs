//! Apps on a booted device: their limits, their watchdog, what a device keeps over reboots, and a full house. The same
//! apps and manifests as in the hosted tests, but with the kernel, the cgroups and the disk of a device.
//!
//! A boot takes seconds, so each test looks at as much of one as can be seen without disturbance.

#![allow(
    clippy::print_stdout,
    reason = "a full house is a figure, too, and is told"
)]

use std::process::Command;
use std::time::Duration;

use vyoma_capabilities::control::{AppStatus, Stream};
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_system_tests::booted::{Device, Machine};
use vyoma_system_tests::guest;
use vyoma_system_tests::hosted::Setup;

const PLATFORM: &str = "server-headless";
/// Less than the platform's 1024 MB, so that the bomb needs less time to fill it. It has to be less than what an app
/// without `memory_kb` may take (a quarter of 1024) for the kernel to have to step in.
const SMALL_MB: &str = "256";
/// The app with `cpu_percent` spins in one control group's share of one processor.
const CPU_PERCENT: u32 = 20;

fn resources(text: &'static str) -> impl Fn(&str) -> String {
    move |manifest| format!("{manifest}\n[resources]\n{text}\n")
}

/// The manifest of busy-loop without its watchdog, which would end it.
fn tireless(manifest: &str) -> String {
    manifest.replace("watchdog_secs = 2", "watchdog_secs = 0")
}

fn running(app: &AppStatus) -> bool {
    app.phase == Phase::Running
}

fn exited(app: &AppStatus) -> bool {
    app.phase == Phase::Exited
}

/// Numbers of a control group's file of `key value` lines.
fn group_number(device: &Device, app: &str, file: &str, key: &str) -> u64 {
    let text = device.read(&format!("/sys/fs/cgroup/apps/{app}/{file}"));
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap_or_else(|| panic!("{app}: no {key} in {file}:\n{text}"));
    value.trim().parse().expect("a number")
}

/// What only a device can tell in a bug report, besides what a hosted daemon tells.
fn a_report_has_what_the_kernel_said(device: &Device) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("report.tar.gz");
    device.ctl_ok(&["support", archive.to_str().expect("UTF-8")]);
    let output = Command::new("tar")
        .args([
            "--extract",
            "--gzip",
            "--to-stdout",
            "--wildcards",
            "--file",
        ])
        .arg(&archive)
        .arg("*/kernel.txt")
        .output()
        .expect("tar is there");
    let kernel = String::from_utf8_lossy(&output.stdout);
    assert!(kernel.contains("Linux version"), "{output:?}");
    let caps = device.ctl_ok(&["caps", "echo-1"]);
    assert!(caps.contains("stdio") && caps.contains("granted"), "{caps}");
}

#[test]
fn an_app_that_breaks_its_limits_ends_alone() {
    let small_bomb = resources("memory_kb = 32768");
    let machine = Machine::new(PLATFORM, "x86_64")
        .alone()
        .arg(&["--memory", SMALL_MB])
        .app_as("echo", "echo-1", str::to_owned)
        .app_as("roll-call", "roll-call", |text| {
            text.replace("[\"3\"]", "[\"1\"]")
        })
        .app("memory-bomb")
        .app_as("memory-bomb", "small-bomb", &small_bomb)
        .app_as("busy-loop", "spinner", |text| {
            text.replace("[capabilities]", "restart = \"always\"\n\n[capabilities]")
        })
        .app("silent-wait")
        .app_as("busy-loop", "capped", |text| {
            resources("cpu_percent = 20")(&tireless(text))
        });
    let mut device = machine.start();
    the_daemon_and_each_app_have_a_control_group(&device);
    the_kernel_ends_the_bomb_and_nobody_else(&mut device);
    a_bomb_with_memory_kb_ends_as_it_does_hosted(&device, &small_bomb);
    the_watchdog_kills_what_spins_and_leaves_what_waits(&device);
    an_app_gets_its_share_of_a_processor_and_no_more(&device);
    no_more_tasks_than_an_app_may_have(&device);
    a_report_has_what_the_kernel_said(&device);
    device.ctl_ok(&["shutdown", "--yes"]);
    let report = device.ended();
    assert_eq!(report["ended"], "powered-off", "{report}");
    assert_eq!(report["resets"], 0, "{report}");
}

fn the_daemon_and_each_app_have_a_control_group(device: &Device) {
    assert_eq!(device.read("/proc/1/cgroup").trim(), "0::/daemon");
    assert_eq!(device.read("/proc/1/oom_score_adj").trim(), "-999");
    let echo = device.wait_for_app("echo-1", "to run", running);
    let process = format!("/proc/{}", echo.pid.expect("a process"));
    let group = device.read(&format!("{process}/cgroup"));
    assert_eq!(group.trim(), "0::/apps/echo-1");
    let score = device.read(&format!("{process}/oom_score_adj"));
    assert_eq!(score.trim(), "500");
}

fn the_kernel_ends_the_bomb_and_nobody_else(device: &mut Device) {
    let bomb = device.wait_for_app("memory-bomb", "to be ended", exited);
    assert_eq!(bomb.last_ending, Some(Ending::OutOfMemory));
    device.until("the end of the bomb on the console", || {
        let console = device.console();
        console
            .lines()
            .any(|line| line == "[memory-bomb] out of memory")
            .then_some(())
    });
    // The limit of all apps was reached, not the end of the device's memory.
    assert!(
        !device.console().contains("] Out of memory: "),
        "the whole device ran out of memory"
    );
    assert!(
        !device
            .texts("memory-bomb")
            .iter()
            .any(|line| line.contains("no more after")),
        "it was told that there is no more"
    );
    for app in ["echo-1", "silent-wait"] {
        let app = device.app(app);
        assert_eq!((app.phase, app.restarts), (Phase::Running, 0), "{app:?}");
    }
    // The daemon routes and echo answers: after the bomb, so asked anew.
    device.ctl_ok(&["restart", "roll-call"]);
    device.until("an answer of echo", || {
        let lines = device.logs("roll-call", &[]);
        let started = lines
            .iter()
            .rposition(|line| line.stream == Stream::System && line.text.contains("stopped"))?;
        lines[started..]
            .iter()
            .any(|line| line.text.contains("1 of 1 answered"))
            .then_some(())
    });
}

fn a_bomb_with_memory_kb_ends_as_it_does_hosted(
    device: &Device,
    manifest: &impl Fn(&str) -> String,
) {
    let on_device = device.wait_for_app("small-bomb", "to have exited", exited);
    assert_eq!(on_device.last_ending, Some(Ending::Exited(0)));
    let setup = Setup::new(PLATFORM).app_as("memory-bomb", "small-bomb", manifest);
    let hosted = setup.start();
    hosted.wait_for_app("small-bomb", "to have exited", exited);
    let printed = |lines: Vec<vyoma_capabilities::control::LogLine>| -> Vec<String> {
        lines
            .into_iter()
            .filter(|line| line.stream == Stream::Out)
            .map(|line| line.text)
            .collect()
    };
    let lines = printed(device.logs("small-bomb", &[]));
    assert!(
        lines.iter().any(|line| line.starts_with("no more after ")),
        "{lines:?}"
    );
    assert_eq!(lines, printed(hosted.logs("small-bomb", &[])));
}

fn the_watchdog_kills_what_spins_and_leaves_what_waits(device: &Device) {
    let spinner = device.wait_for_app("spinner", "to be killed and started again", |app| {
        app.restarts >= 1 && app.last_ending.is_some()
    });
    assert_eq!(spinner.last_ending, Some(Ending::Watchdog));
    // It has two seconds as well.
    let waits = device.wait_for_app("silent-wait", "to have waited", |app| {
        app.uptime_ms.is_some_and(|ms| ms > 6000)
    });
    assert_eq!((waits.phase, waits.restarts), (Phase::Running, 0));
    device.ctl_ok(&["stop", "spinner"]);
}

fn an_app_gets_its_share_of_a_processor_and_no_more(device: &Device) {
    let limit = device.read("/sys/fs/cgroup/apps/capped/cpu.max");
    assert_eq!(limit.trim(), "20000 100000");
    let look = || {
        let used = group_number(device, "capped", "cpu.stat", "usage_usec ");
        (device.info().uptime_ms as f64, used as f64 / 1000.0)
    };
    device.wait_for_log("capped", "ready");
    let (from, used_before) = look();
    std::thread::sleep(Duration::from_secs(6));
    let (to, used_after) = look();
    let percent = (used_after - used_before) / (to - from) * 100.0;
    // The device's own clock on both sides. A slow host makes a look late, which is why there is room.
    let most = f64::from(CPU_PERCENT) * 1.4;
    assert!(
        (3.0..=most).contains(&percent),
        "{percent:.1} % instead of at most {CPU_PERCENT} %"
    );
    let shown = device.app("capped").cpu_ms.expect("processor time");
    assert!(
        shown as f64 >= used_after * 0.5,
        "ps says {shown} ms, the kernel {used_after} ms"
    );
    device.ctl_ok(&["stop", "capped"]);
}

fn no_more_tasks_than_an_app_may_have(device: &Device) {
    let group = "/sys/fs/cgroup/apps/echo-1";
    let read = |file: &str| -> usize {
        let text = device.read(&format!("{group}/{file}"));
        text.trim().parse().expect("a number")
    };
    let (most, own) = (read("pids.max"), read("pids.current"));
    assert!((8..=64).contains(&most), "pids.max is {most}");
    assert_eq!(device.threads_that_fit("echo-1") + own, most);
    assert!(running(&device.app("echo-1")));
}

#[test]
fn a_device_keeps_its_apps_data_and_logs_over_a_reboot_and_a_power_cut() {
    let machine = Machine::new(PLATFORM, "x86_64")
        .alone()
        .arg(&["--memory", SMALL_MB])
        .app("notes")
        .app("echo");
    let mut device = machine.start();
    let info = device.info();
    assert_eq!(info.data, "disk");
    device.wait_for_log("notes", "start 1, 0 notes");
    // Its limit holds where it counts: on a device, whose kernel maps the program in pages of 4 KiB and not in huge ones.
    let daemon_kb = info.daemon_pss_kb.expect("a size");
    assert!(daemon_kb <= 4096, "an idle daemon takes {daemon_kb} KiB");
    let uid = uid_of(&device, "notes");
    let installed = guest("clock");
    device.ctl_ok(&["install", &installed.display().to_string()]);
    let clock = device.wait_for_app("clock", "to run", running);
    device.wait_for_app("echo", "to run", running);
    device.ctl_ok(&["stop", "echo"]);
    device.ctl_ok(&["reboot", "--yes"]);
    device.until("the second boot", || {
        (device.console().matches("vyomad: started:").count() == 2).then_some(())
    });
    device.wait_until_it_answers();

    device.wait_for_log("notes", "start 2, 0 notes");
    let previous = device.logs("notes", &["--previous"]);
    assert!(
        previous.iter().any(|line| line.text.contains("start 1")),
        "{previous:?}"
    );
    assert_eq!(uid_of(&device, "notes"), uid);
    let again = device.wait_for_app("clock", "to run", running);
    assert_eq!(again.sha256, clock.sha256);
    assert_eq!(device.app("echo").phase, Phase::Stopped);
    // What was answered is on the disk, whatever happens next.
    device.ctl_ok(&["install", &guest("pong").display().to_string()]);
    device.ctl_ok(&["start", "echo"]);
    device.cut_power();

    let device = machine.start();
    device.wait_for_log("notes", "start 3, 0 notes");
    assert_eq!(uid_of(&device, "notes"), uid);
    let pong = device.wait_for_app("pong", "to run", |app| {
        running(app) && app.uptime_ms.is_some_and(|ms| ms > 1000)
    });
    assert_eq!((pong.restarts, pong.last_ending), (0, None));
    device.wait_for_app("clock", "to run", running);
    assert!(
        !device.console().contains("does not fit"),
        "an artefact was found that was not whole"
    );
    assert_ne!(uid_of(&device, "pong"), uid_of(&device, "clock"));
}

/// The uid that the app's process really has.
fn uid_of(device: &Device, app: &str) -> u32 {
    let pid = device
        .wait_for_app(app, "to run", running)
        .pid
        .expect("a process");
    let status = device.read(&format!("/proc/{pid}/status"));
    let uids: Vec<u32> = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .expect("a Uid line")
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    assert!(
        uids[0] >= 20_000 && uids.iter().all(|uid| *uid == uids[0]),
        "{uids:?}"
    );
    uids[0]
}

#[test]
fn two_hundred_resident_apps_fit_into_a_gigabyte_and_each_answers() {
    const APPS: usize = 200;
    const ECHOES: usize = APPS - 1;
    let mut machine = Machine::new(PLATFORM, "x86_64")
        .alone()
        .arg(&["--memory", "1024"])
        .app_as("roll-call", "roll-call", |text| {
            text.replace("[\"3\"]", &format!("[\"{ECHOES}\"]"))
        });
    for number in 1..=ECHOES {
        machine = machine.app_as("echo", &format!("echo-{number}"), str::to_owned);
    }
    let device = machine.start();
    device.wait_for_log("roll-call", &format!("{ECHOES} of {ECHOES} answered"));
    let answered_ms = device.info().uptime_ms;
    let apps = device.ps();
    assert_eq!(apps.len(), APPS);
    let down: Vec<_> = apps.iter().filter(|app| !running(app)).collect();
    assert!(down.is_empty(), "{down:?}");
    assert!(apps.iter().all(|app| app.restarts == 0), "{apps:?}");
    let mut sizes: Vec<u64> = apps.iter().map(|app| app.pss_kb.expect("a size")).collect();
    sizes.sort_unstable();
    let info = device.info();
    let left = info.memory_available_kb / 1024;
    eprintln!(
        "{APPS} resident apps, {PLATFORM} x86_64, {} MB: all had answered {:.1} s after vyomad's start; {} KiB (PSS) an \
         app at the median; {left} MB left",
        info.memory_total_kb / 1024,
        answered_ms as f64 / 1000.0,
        sizes[APPS / 2],
    );
    assert!(left >= 64, "{left} MB left");
}
