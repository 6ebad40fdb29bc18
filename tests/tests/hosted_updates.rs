//! A new version of an app on a hosted daemon: on trial, healthy or taken back; and going back by hand.

use std::path::PathBuf;

use vyoma_capabilities::control::{AppStatus, Versions};
use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::hosted::{HostedDaemon, Setup, copy_app};

const PROFILE: &str = "server-headless";

/// An app "app" of that version, made of the component of `from`, in a folder of its own.
fn package(setup: &Setup, from: &str, version: &str, more: &str) -> PathBuf {
    let folder = setup.scratch().join(format!("app-{version}"));
    copy_app(from, &folder, "app", |text| {
        let text = text.replace("0.1.0", version);
        text.replacen("\n[capabilities]", &format!("{more}\n\n[capabilities]"), 1)
    });
    folder
}

fn install(daemon: &HostedDaemon, package: &std::path::Path) {
    daemon.ctl_ok(&["install", &package.display().to_string()]);
}

fn versions(app: &AppStatus) -> Versions {
    app.versions.clone().unwrap_or_default()
}

/// A daemon on which echo runs as version 0.1.0 of "app".
fn with_first_version(setup: &Setup) -> HostedDaemon {
    let daemon = setup.start();
    install(&daemon, &package(setup, "echo", "0.1.0", ""));
    daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    daemon
}

#[test]
fn an_update_that_fails_is_taken_back_and_the_reason_is_kept_and_shown() {
    let setup = Setup::new(PROFILE);
    let daemon = with_first_version(&setup);
    let before = daemon.app("app");
    assert_eq!(
        before.versions, None,
        "a first version has nothing to prove"
    );
    let bad = package(&setup, "trap", "0.2.0", "");
    let (code, message) = daemon.ctl_fails(&["install", "--wait", &bad.display().to_string()]);
    assert_eq!(code, 9, "{message}");
    assert!(
        message.contains("0.2.0 was taken back") && message.contains("trapped: unreachable"),
        "{message}"
    );
    let look = |daemon: &HostedDaemon| {
        let app = daemon.wait_for_app("app", "to run as 0.1.0", |app| {
            app.phase == Phase::Running && app.version == "0.1.0"
        });
        assert_eq!(app.sha256, before.sha256);
        let back = versions(&app).rolled_back.expect("a reason");
        assert_eq!(back.version, "0.2.0");
        assert!(back.reason.contains("trapped: unreachable"), "{back:?}");
        assert!(daemon.ctl_ok(&["ps"]).contains("0.2.0 taken back"));
    };
    look(&daemon);
    let event = daemon
        .events()
        .into_iter()
        .find(|event| event.kind == "app-rolled-back");
    assert!(event.is_some_and(|event| event.detail.contains("trapped: unreachable")));
    let kept = std::fs::read_dir(daemon.state().join("apps/app/versions")).expect("versions");
    assert_eq!(kept.count(), 1, "the failed version's space is free again");
    assert!(daemon.stop().success());
    look(&setup.start());
}

#[test]
fn an_update_that_is_silent_in_its_window_is_taken_back() {
    let setup = Setup::new(PROFILE);
    let daemon = with_first_version(&setup);
    install(
        &daemon,
        &package(&setup, "busy-loop", "0.2.0", "health_secs = 2"),
    );
    let app = daemon.wait_for_app("app", "to be taken back", |app| app.version == "0.1.0");
    let reason = versions(&app).rolled_back.expect("a reason").reason;
    assert!(
        reason.contains("silent") && reason.contains("2 s"),
        "{reason}"
    );
}

#[test]
fn a_healthy_update_stays_and_rollback_goes_back_and_forth() {
    let setup = Setup::new(PROFILE);
    let daemon = with_first_version(&setup);
    let (code, message) = daemon.ctl_fails(&["rollback", "app"]);
    assert_eq!(code, 7, "{message}");
    assert!(message.contains("only version"), "{message}");
    let new = package(&setup, "counter", "0.2.0", "health_secs = 1");
    daemon.ctl_ok(&["install", "--wait", &new.display().to_string()]);
    let app = daemon.app("app");
    assert_eq!(
        (app.version.as_str(), versions(&app).previous.as_deref()),
        ("0.2.0", Some("0.1.0"))
    );
    assert!(
        daemon
            .events()
            .iter()
            .any(|event| event.kind == "app-healthy")
    );
    for (now, other) in [("0.1.0", "0.2.0"), ("0.2.0", "0.1.0")] {
        let said = daemon.ctl_ok(&["rollback", "app", "--output", "json"]);
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(
            (&said["version"], &said["from"]),
            (&now.into(), &other.into())
        );
        let app = daemon.wait_for_app("app", "to run", |app| {
            app.phase == Phase::Running && app.version == now
        });
        assert_eq!(versions(&app).previous.as_deref(), Some(other));
    }
    let (code, message) = daemon.ctl_fails(&["rollback", "nobody"]);
    assert_eq!(code, 3, "{message}");
}

#[test]
fn a_trial_outlives_a_killed_daemon_and_one_that_goes_on_ending_it_is_taken_back() {
    let setup = Setup::new(PROFILE);
    let daemon = with_first_version(&setup);
    install(
        &daemon,
        &package(&setup, "counter", "0.2.0", "health_secs = 3600"),
    );
    let mut daemon = daemon;
    for _ in 0..3 {
        daemon.kill();
        daemon = setup.start();
        let app = daemon.app("app");
        assert_eq!(app.version, "0.2.0");
        assert!(versions(&app).on_trial);
    }
    daemon.kill();
    let daemon = setup.start();
    let app = daemon.app("app");
    assert_eq!(app.version, "0.1.0");
    let reason = versions(&app).rolled_back.expect("a reason").reason;
    assert!(reason.contains("restarted 3 times"), "{reason}");
}

#[test]
fn a_version_that_never_proved_itself_is_no_version_to_go_back_to() {
    let setup = Setup::new(PROFILE);
    let daemon = with_first_version(&setup);
    install(
        &daemon,
        &package(&setup, "counter", "0.2.0", "health_secs = 3600"),
    );
    install(&daemon, &package(&setup, "trap", "0.3.0", ""));
    let app = daemon.wait_for_app("app", "to be taken back", |app| {
        versions(app).rolled_back.is_some()
    });
    assert_eq!(app.version, "0.1.0");
}

#[test]
fn what_came_with_the_image_comes_back_in_place_of_an_update_that_fails() {
    let setup = Setup::new(PROFILE).app_as("echo", "app", str::to_string);
    let daemon = setup.start();
    daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    install(&daemon, &package(&setup, "exit3", "0.2.0", ""));
    let look = |daemon: &HostedDaemon| {
        let app = daemon.wait_for_app("app", "to run as 0.1.0", |app| {
            app.phase == Phase::Running && app.version == "0.1.0"
        });
        let reason = versions(&app).rolled_back.expect("a reason").reason;
        assert!(reason.contains("exited with code"), "{reason}");
    };
    look(&daemon);
    assert!(daemon.stop().success());
    look(&setup.start());
}

#[test]
fn an_app_that_ends_as_it_should_is_healthy() {
    let setup = Setup::new(PROFILE);
    let daemon = with_first_version(&setup);
    let new = package(&setup, "hello", "0.2.0", "health_secs = 3600");
    daemon.ctl_ok(&["install", "--wait", &new.display().to_string()]);
    let app = daemon.app("app");
    assert_eq!(
        (app.version.as_str(), versions(&app).previous.as_deref()),
        ("0.2.0", Some("0.1.0"))
    );
}
