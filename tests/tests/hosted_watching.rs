//! What a hosted daemon shows to whoever watches it: logs of several apps, events, uses of capabilities.

use std::process::Command;
use std::time::Duration;

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::control::{CapabilityUse, LogLine};
use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::from_make_test;
use vyoma_system_tests::hosted::{HostedDaemon, Setup};

const PROFILE: &str = "server-headless";

fn caps(daemon: &HostedDaemon, app: &str) -> Vec<CapabilityUse> {
    let text = daemon.ctl_ok(&["caps", app, "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    serde_json::from_value(document["capabilities"].clone()).expect("capabilities")
}

fn of(all: &[CapabilityUse], capability: Capability) -> &CapabilityUse {
    let found = all.iter().find(|one| one.capability == capability);
    found.unwrap_or_else(|| panic!("no {capability} in {all:?}"))
}

/// As a manifest says that an app runs once.
fn once(text: &str) -> String {
    text.replace("[capabilities]", "restart = \"never\"\n\n[capabilities]")
}

#[test]
fn lines_of_several_apps_come_in_the_order_of_their_times_and_no_others() {
    const APPS: [&str; 3] = ["one", "two", "three"];
    let setup = APPS.into_iter().fold(Setup::new(PROFILE), |setup, name| {
        setup.app_as("hello", name, once)
    });
    let daemon = setup.start();
    let ends = |app: &str| {
        let texts = daemon.texts(app);
        texts.iter().filter(|text| text.contains("exited")).count()
    };
    for app in APPS {
        daemon.until("a first end", || (ends(app) == 1).then_some(()));
    }
    let follower = daemon.follow(&["logs", "--follow", "--tail", "0", "one", "two"]);
    // It follows from here on: what it shows next is from the restarts below.
    std::thread::sleep(Duration::from_millis(500));
    for round in 2..5 {
        for app in APPS {
            daemon.ctl_ok(&["restart", app]);
            daemon.until("an end", || (ends(app) == round).then_some(()));
        }
    }
    let text = daemon.ctl_ok(&["logs", "two", "one", "--output", "json"]);
    let lines: Vec<LogLine> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect();
    assert!(lines.is_sorted_by_key(|line| line.time_ms), "{lines:?}");
    let mut order: Vec<&str> = lines
        .iter()
        .filter(|line| line.text.contains("exited"))
        .map(|line| line.app.as_str())
        .collect();
    let restarts = order.split_off(2);
    assert_eq!(restarts, ["one", "two"].repeat(3));
    for app in restarts {
        let line = follower.wait_for("exited");
        assert!(line.contains(app), "{line}: expected {app}");
    }
    let (code, said) = daemon.ctl_fails(&["logs", "one", "four"]);
    assert!(code == 3 && said.contains("four"), "{said}");
}

#[test]
fn events_are_limited_to_a_beginning() {
    let setup = Setup::new(PROFILE).app_as("hello", "hello", once);
    let daemon = setup.start();
    daemon.wait_for_log("hello", "exited");
    let before = daemon.info().time_ms;
    std::thread::sleep(Duration::from_millis(1100));
    daemon.ctl_ok(&["restart", "hello"]);
    let all = daemon.events();
    let at = all
        .iter()
        .find(|event| event.time_ms > before)
        .expect("a restart");
    let count = |since: &str| daemon.ctl_ok(&["events", "--since", since]).lines().count();
    // The second end may come meanwhile.
    let (least, counted, most) = (all.len(), count("1d"), daemon.events().len());
    assert!(
        counted > 1 && (least..=most).contains(&counted),
        "{counted} of {least} to {most}"
    );
    // RFC 3339 in whole seconds: the one after the start, at most a second before the restart.
    let second = at.time_ms / 1000;
    let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
    let day = daemon.ctl_ok(&["events"]);
    let line = day.lines().last().expect("an event");
    let since = format!("{}T{hours:02}:{minutes:02}:{seconds:02}Z", &line[..10]);
    assert!(count(&since) < daemon.events().len(), "{since}: {day}");
}

#[test]
fn uses_of_capabilities_are_counted_over_restarts() {
    let setup = Setup::new(PROFILE).app_as("hello", "hello", once);
    let daemon = setup.start();
    daemon.wait_for_log("hello", "exited");
    let before = of(&caps(&daemon, "hello"), Capability::Stdio).clone();
    assert!(
        before.declared && before.granted && before.used > 0,
        "{before:?}"
    );
    assert_eq!(before.denied, 0);
    daemon.ctl_ok(&["restart", "hello"]);
    daemon.until("twice as many", || {
        let after = of(&caps(&daemon, "hello"), Capability::Stdio).clone();
        (after.used == 2 * before.used && after.denied == 0).then_some(())
    });
    let (code, said) = daemon.ctl_fails(&["caps", "nobody"]);
    assert!(code == 3 && said.contains("nobody"), "{said}");
}

#[test]
fn refusals_are_counted_whether_the_capability_is_granted_or_not() {
    let setup = Setup::new(PROFILE)
        .app("fs-probe")
        .app_as("fs-probe", "stranger", |text| {
            text.replace("filesystem = true", "")
        })
        .app_as("requests", "asks", |text| {
            text.replace("[\"platform\", \"ping\"]", "[\"ps\", \"ping\", \"status\"]")
        });
    let daemon = setup.start();
    for app in ["fs-probe", "stranger", "asks"] {
        daemon.wait_for_app(app, "to have exited", |app| app.phase == Phase::Exited);
    }
    let probe = of(&caps(&daemon, "fs-probe"), Capability::Filesystem).clone();
    assert!(
        probe.granted && probe.used > 0 && probe.denied > 0,
        "{probe:?}"
    );
    let stranger = of(&caps(&daemon, "stranger"), Capability::Filesystem).clone();
    assert!(!stranger.declared && !stranger.granted, "{stranger:?}");
    assert!(stranger.used == 0 && stranger.denied > 0, "{stranger:?}");
    let asks = of(&caps(&daemon, "asks"), Capability::Shell).clone();
    assert_eq!((asks.used, asks.denied), (0, 2), "{asks:?}");
    let table = daemon.ctl_ok(&["caps", "asks"]);
    assert!(table.contains("not declared"), "{table}");
}

/// As a manifest says that an app is started again after a failure.
fn failing(text: &str) -> String {
    text.replace("restart = \"never\"", "restart = \"on-failure\"")
}

/// The files of an archive of `support`, by their names below its one folder.
fn unpacked(archive: &std::path::Path) -> std::collections::BTreeMap<String, String> {
    let output = Command::new("tar")
        .args(["--extract", "--gzip", "--to-stdout", "--verbose", "--file"])
        .arg(archive)
        .output()
        .expect("tar is there");
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8(output.stderr).expect("names");
    let mut files = std::collections::BTreeMap::new();
    for name in names.lines() {
        let one = Command::new("tar")
            .args(["--extract", "--gzip", "--to-stdout", "--file"])
            .arg(archive)
            .arg(name)
            .output()
            .expect("tar is there");
        let (_, below) = name.split_once('/').expect("one folder");
        files.insert(
            below.to_owned(),
            String::from_utf8(one.stdout).expect("UTF-8"),
        );
    }
    files
}

#[test]
fn an_archive_for_a_bug_report_has_state_and_logs_and_no_secret() {
    // What an environment has, what an app prints of it, and what looks like a secret.
    let setup = Setup::new(PROFILE)
        .app_as("env-args", "env-args", |text| {
            text.replace(
                "GREETING = \"hello = world\"",
                "API = \"planted-secret-1\", MODE = \"on\"",
            )
            .replace("\"one\"", "\"password=planted-secret-2\"")
        })
        .app_as("trap", "trap", failing);
    let daemon = setup.start();
    daemon.wait_for_app("trap", "to be in quarantine", |app| {
        app.phase == Phase::Quarantined
    });
    daemon.wait_for_app("env-args", "to have exited", |app| {
        app.phase == Phase::Exited
    });
    assert!(
        daemon
            .texts("env-args")
            .iter()
            .any(|text| text.contains("planted-secret-1")),
        "the app prints its environment"
    );
    let archive = setup.scratch().join("report.tar.gz");
    let path = archive.to_str().expect("UTF-8");
    let said = daemon.ctl_ok(&["support", path]);
    assert!(said.contains("report.tar.gz"), "{said}");
    let files = unpacked(&archive);
    for name in [
        "README.txt",
        "about.json",
        "info.json",
        "ps.json",
        "events.jsonl",
        "findings.json",
        "logs/env-args.jsonl",
        "epitaphs/trap.json",
        "caps/trap.json",
    ] {
        assert!(files.contains_key(name), "no {name} in {:?}", files.keys());
    }
    assert!(files["findings.json"].contains("quarantined"));
    assert!(files["logs/env-args.jsonl"].contains("[value of API of env-args]"));
    assert!(
        files["logs/env-args.jsonl"].contains("on"),
        "a word is no secret"
    );
    for (name, text) in &files {
        assert!(!text.contains("planted-secret"), "{name}: {text}");
    }
    // Never over a file that is there.
    let (code, said) = daemon.ctl_fails(&["support", path]);
    assert!(code == 1 && said.contains("exists"), "{said}");
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_how_to_mend_it() {
    let setup = Setup::new(PROFILE).app_as("trap", "trap", failing);
    let daemon = setup.start();
    daemon.wait_for_app("trap", "to be in quarantine", |app| {
        app.phase == Phase::Quarantined
    });
    let output = daemon.ctl(&["doctor", "--output", "json"]);
    assert_eq!(output.status.code(), Some(17));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = document["findings"].as_array().expect("findings");
    let finding = findings
        .iter()
        .find(|finding| finding["id"] == "quarantined")
        .unwrap_or_else(|| panic!("{document}"));
    assert_eq!(finding["about"], "trap");
    assert!(
        finding["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("vyomactl logs trap"))
    );
    let nobody = Command::new(from_make_test("VYOMACTL_BIN"))
        .args(["--target", "/no/such.sock", "doctor"])
        .output()
        .expect("run vyomactl");
    let said = String::from_utf8_lossy(&nobody.stdout);
    assert_eq!(nobody.status.code(), Some(17));
    assert!(
        said.contains("cannot connect") && said.contains("start the device"),
        "{said}"
    );
    daemon.ctl_ok(&["remove", "trap"]);
    let healthy = daemon.ctl(&["doctor", "--output", "json"]);
    let said = String::from_utf8_lossy(&healthy.stdout);
    assert_eq!(healthy.status.code(), Some(0), "{said}");
}
