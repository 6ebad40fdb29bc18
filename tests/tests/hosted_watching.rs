//! What a hosted daemon shows to whoever watches it: logs of several apps, events, uses of capabilities.

use std::time::Duration;

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::control::{CapabilityUse, LogLine};
use vyoma_capabilities::lifecycle::Phase;
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
    assert_eq!(count("1d"), daemon.events().len());
    assert!(count("1d") > 1);
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
