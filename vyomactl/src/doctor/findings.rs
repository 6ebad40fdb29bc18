//! From facts to findings: pure, so that each one has a test.

use serde::Serialize;
use vyoma_capabilities::control::{AppStatus, DeviceInfo, Execution};
use vyoma_capabilities::lifecycle::Phase;

use crate::exit::Failure;
use crate::units;

/// How far a device's clock may be off: certificates and the order of logs stand more, and asking takes a moment.
const CLOCK_MS: u64 = 60_000;
/// Less free space than this is little, on a disk of any size: an update of a large app needs as much.
const DISK_KB: u64 = 64 * 1024;
/// Nor less than this part of the disk.
const DISK_PART: u64 = 10;
/// Less memory than this part of all is little.
const MEMORY_PART: u64 = 20;
/// An app that was restarted so often since it was started is not well, even if it runs right now.
const RESTARTS: u32 = 3;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// It does not work.
    Wrong,
    /// It works, and is worth knowing.
    Note,
}

/// One thing, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// For programs: the same word for the same kind of finding.
    pub(crate) id: &'static str,
    /// This machine, the device or an app.
    pub(crate) about: String,
    /// What is so.
    pub(crate) what: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl Finding {
    pub(crate) fn wrong(
        id: &'static str,
        about: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Wrong,
            id,
            about: about.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn note(
        id: &'static str,
        about: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Note,
            ..Self::wrong(id, about, what, remedy)
        }
    }

    /// There is no conversation: the failure's message says why, and what to do.
    pub(crate) fn unreachable(place: &str, failure: &Failure) -> Self {
        let message = failure.message();
        let (what, remedy) = message
            .rsplit_once("; ")
            .unwrap_or((message, "check --target"));
        Self::wrong("unreachable", place, what, remedy)
    }
}

/// What is known of a device beside its answers to `info` and `ps`.
#[derive(Debug, Clone, Default)]
pub(super) struct Device {
    /// Version of its daemon.
    pub(super) version: String,
    /// This machine's clock.
    pub(super) now_ms: u64,
    /// All and free KiB of the data disk; absent: it does not tell.
    pub(super) disk: Option<(u64, u64)>,
    /// Whether it has a hardware watchdog; absent: it does not tell.
    pub(super) has_watchdog: Option<bool>,
}

/// What is wrong with a device and its apps.
pub(super) fn of(info: &DeviceInfo, apps: &[AppStatus], device: &Device) -> Vec<Finding> {
    let mut all = Vec::new();
    let about = if info.hostname.is_empty() {
        &info.platform
    } else {
        &info.hostname
    };
    let ours = env!("CARGO_PKG_VERSION");
    if device.version != ours {
        all.push(Finding::wrong(
            "version",
            about,
            format!(
                "it runs version {}, this vyomactl is {ours}",
                device.version
            ),
            "use the vyomactl of its version, or update its image",
        ));
    }
    all.extend(clock(about, info, device));
    all.extend(disk(about, info, device));
    if info.memory_available_kb < info.memory_total_kb / MEMORY_PART {
        all.push(Finding::wrong(
            "memory",
            about,
            format!(
                "{} of {} of memory are free",
                units::kib(info.memory_available_kb),
                units::kib(info.memory_total_kb)
            ),
            "see `vyomactl top`; stop or remove apps, or give them less with resources.memory_kb",
        ));
    }
    if let Some(epitaph) = &info.last_epitaph {
        all.push(Finding::wrong(
            "epitaph",
            about,
            format!("its last run did not end in order: {epitaph}"),
            "make a report with `vyomactl support`",
        ));
    }
    if info.mode == "pid1" && device.has_watchdog == Some(false) {
        all.push(Finding::note(
            "watchdog",
            about,
            "it has no hardware watchdog: it would stay hung",
            "use a kernel with the board's watchdog driver or softdog",
        ));
    }
    all.extend(apps.iter().flat_map(|status| app(status, info)));
    all
}

fn clock(about: &str, info: &DeviceInfo, device: &Device) -> Option<Finding> {
    // A microcontroller has no clock but that since its start.
    if info.time_ms <= info.uptime_ms.saturating_add(CLOCK_MS) {
        return None;
    }
    let off = info.time_ms.abs_diff(device.now_ms);
    let side = if info.time_ms < device.now_ms {
        "behind"
    } else {
        "ahead of"
    };
    (off > CLOCK_MS).then(|| {
        Finding::wrong(
            "clock",
            about,
            format!(
                "its clock is {} {side} this machine's",
                units::duration(off)
            ),
            "give the board a battery for its clock, or set the clock of this machine",
        )
    })
}

fn disk(about: &str, info: &DeviceInfo, device: &Device) -> Option<Finding> {
    if info.data == "tmpfs" {
        return Some(Finding::wrong(
            "data-disk",
            about,
            "its data disk could not be used: what is installed is forgotten at power-off",
            "see `vyomactl events`; check the disk and its label vyoma-data",
        ));
    }
    let (total, free) = device.disk?;
    let little = (total / DISK_PART).min(DISK_KB);
    (free < little).then(|| {
        Finding::wrong(
            "disk",
            about,
            format!(
                "{} of {} are free on its data disk",
                units::kib(free),
                units::kib(total)
            ),
            "remove apps that are not needed (`vyomactl remove`), or use a larger disk",
        )
    })
}

fn app(app: &AppStatus, info: &DeviceInfo) -> Vec<Finding> {
    let name = &app.name;
    let mut all = Vec::new();
    let ended = app.last_ending.as_ref().map_or_else(
        || String::from("it never ran"),
        |ending| format!("it {ending}"),
    );
    match app.phase {
        Phase::Quarantined => all.push(Finding::wrong(
            "quarantined",
            name,
            format!("it failed too often and stays down; {ended}"),
            format!("see `vyomactl logs {name}`, install a version that works, or `vyomactl start {name}`"),
        )),
        Phase::Backoff => all.push(Finding::wrong(
            "crash-loop",
            name,
            format!("it ends again and again; {ended}"),
            format!("see `vyomactl logs {name}`; install a version that works, or `vyomactl stop {name}`"),
        )),
        _ if app.restarts >= RESTARTS => all.push(Finding::note(
            "restarts",
            name,
            format!("it was restarted {} times; {ended}", app.restarts),
            format!("see `vyomactl logs {name}`"),
        )),
        _ => {}
    }
    if app.execution == Some(Execution::Interpreted) && info.ahead_of_time.is_some() {
        all.push(Finding::note(
            "interpreted",
            name,
            "it is interpreted, though this device takes machine code",
            "install it again from a machine with vyoma-aotc (`cargo xtask aotc`)",
        ));
    }
    if !app.unavailable.is_empty() {
        all.push(Finding::note(
            "unavailable",
            name,
            format!(
                "it declares {}, which {} does not have",
                app.unavailable.join(", "),
                info.platform
            ),
            "nothing, if it can do without; otherwise use another platform",
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vyoma_capabilities::control::AheadOfTime;
    use vyoma_capabilities::lifecycle::Ending;

    use super::*;
    use crate::exit::Exit;

    const NOW: u64 = 1_800_000_000_000;

    fn info() -> DeviceInfo {
        serde_json::from_value(json!({
            "platform": "iot-edge", "version": "0.1.0", "engine": "wamr", "arch": "aarch64", "hostname": "edge",
            "kernel": "6.12", "mode": "pid1", "uptime_ms": 1000, "time_ms": NOW, "apps": 1, "running": 1,
            "max_apps": 200, "daemon_pss_kb": 2000, "memory_total_kb": 500_000, "memory_available_kb": 300_000,
            "data": "disk", "last_epitaph": null, "addresses": []
        }))
        .expect("DeviceInfo")
    }

    fn app() -> AppStatus {
        serde_json::from_value(json!({
            "name": "hello", "version": "1", "sha256": "", "phase": Phase::Running, "last_ending": null, "restarts": 0,
            "pid": 7, "uptime_ms": 1, "pss_kb": 1, "cpu_ms": 1, "host_calls": 1, "dropped_lines": 0, "unavailable": []
        }))
        .expect("AppStatus")
    }

    fn device() -> Device {
        Device {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now_ms: NOW,
            disk: Some((1_000_000, 900_000)),
            has_watchdog: Some(true),
        }
    }

    /// The one finding of these facts.
    fn only(info: &DeviceInfo, app: AppStatus, device: &Device) -> (&'static str, Level) {
        let all = of(info, &[app], device);
        let [one] = all.as_slice() else {
            panic!("{all:?}");
        };
        assert!(!one.what.is_empty() && !one.remedy.is_empty(), "{one:?}");
        assert!(
            !format!("{}{}", one.what, one.remedy).contains('\n'),
            "{one:?}"
        );
        (one.id, one.level)
    }

    #[test]
    fn a_device_that_is_well_has_no_finding() {
        assert_eq!(of(&info(), &[app()], &device()), []);
    }

    #[test]
    fn another_version_is_found() {
        let device = Device {
            version: "0.0.1".to_owned(),
            ..device()
        };
        assert_eq!(only(&info(), app(), &device), ("version", Level::Wrong));
    }

    #[test]
    fn a_clock_that_is_off_is_found_and_one_that_a_microcontroller_lacks_is_not() {
        for time_ms in [NOW - 61_000, NOW + 61_000, 951_782_400_000] {
            let info = DeviceInfo { time_ms, ..info() };
            assert_eq!(only(&info, app(), &device()), ("clock", Level::Wrong));
        }
        for time_ms in [NOW - 59_000, NOW + 59_000, 1000] {
            let info = DeviceInfo { time_ms, ..info() };
            assert_eq!(of(&info, &[app()], &device()), [], "{time_ms}");
        }
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_found_by_its_size() {
        for (total, free, found) in [
            (1_000_000, 65_000, true),
            (1_000_000, 66_000, false),
            (100_000, 9_000, true),
            (100_000, 11_000, false),
            (0, 0, false),
        ] {
            let device = Device {
                disk: Some((total, free)),
                ..device()
            };
            let all = of(&info(), &[app()], &device);
            assert_eq!(
                all.iter().any(|one| one.id == "disk"),
                found,
                "{total} {free}"
            );
        }
    }

    #[test]
    fn data_that_is_forgotten_at_power_off_is_found() {
        let info = DeviceInfo {
            data: "tmpfs".to_owned(),
            ..info()
        };
        assert_eq!(only(&info, app(), &device()), ("data-disk", Level::Wrong));
    }

    #[test]
    fn little_memory_is_found() {
        let info = DeviceInfo {
            memory_available_kb: 20_000,
            ..info()
        };
        assert_eq!(only(&info, app(), &device()), ("memory", Level::Wrong));
    }

    #[test]
    fn a_panic_of_the_last_run_is_found() {
        let info = DeviceInfo {
            last_epitaph: Some("panic at mod.rs:1".to_owned()),
            ..info()
        };
        assert_eq!(only(&info, app(), &device()), ("epitaph", Level::Wrong));
    }

    #[test]
    fn a_missing_watchdog_is_noted_on_devices_only() {
        let device = Device {
            has_watchdog: Some(false),
            ..device()
        };
        assert_eq!(only(&info(), app(), &device), ("watchdog", Level::Note));
        let hosted = DeviceInfo {
            mode: "hosted".to_owned(),
            ..info()
        };
        assert_eq!(of(&hosted, &[app()], &device), []);
    }

    #[test]
    fn apps_in_quarantine_and_in_a_crash_loop_are_found_with_how_they_ended() {
        for (phase, id) in [
            (Phase::Quarantined, "quarantined"),
            (Phase::Backoff, "crash-loop"),
        ] {
            let app = AppStatus {
                phase,
                last_ending: Some(Ending::Trapped("unreachable executed".to_owned())),
                ..app()
            };
            assert_eq!(only(&info(), app.clone(), &device()), (id, Level::Wrong));
            let all = of(&info(), &[app], &device());
            assert!(all[0].what.contains("unreachable executed"), "{all:?}");
            assert!(all[0].remedy.contains("vyomactl logs hello"), "{all:?}");
        }
        let app = AppStatus {
            restarts: 3,
            ..app()
        };
        assert_eq!(only(&info(), app, &device()), ("restarts", Level::Note));
    }

    #[test]
    fn missing_machine_code_and_capabilities_are_noted() {
        let mut info = info();
        let interpreted = AppStatus {
            execution: Some(Execution::Interpreted),
            versions: None,
            ..app()
        };
        assert_eq!(of(&info, std::slice::from_ref(&interpreted), &device()), []);
        info.ahead_of_time = Some(AheadOfTime {
            engine: String::new(),
            target: String::new(),
            flags: String::new(),
            optimization_level: vyoma_capabilities::profile::OptimizationLevel::Speed,
        });
        assert_eq!(
            only(&info, interpreted, &device()),
            ("interpreted", Level::Note)
        );
        let without = AppStatus {
            unavailable: vec!["display".to_owned()],
            ..app()
        };
        assert_eq!(
            only(&info, without, &device()),
            ("unavailable", Level::Note)
        );
    }

    #[test]
    fn a_failure_is_cut_into_what_is_so_and_what_to_do() {
        let failure = Failure::new(Exit::Unreachable, "cannot connect to /s: gone; start it");
        let finding = Finding::unreachable("/s", &failure);
        assert_eq!(
            (finding.what.as_str(), finding.remedy.as_str()),
            ("cannot connect to /s: gone", "start it")
        );
    }
}
