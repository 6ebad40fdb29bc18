//! How apps start, end and start again under a hosted daemon.

use std::time::{Duration, Instant};

use vyoma_capabilities::control::Stream;
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_system_tests::hosted::Setup;

const PROFILE: &str = "server-headless";

fn restart(policy: &'static str) -> impl Fn(&str) -> String {
    move |text| {
        let kept = text
            .lines()
            .filter(|line| !line.starts_with("restart"))
            .collect::<Vec<_>>()
            .join("\n");
        kept.replace(
            "[capabilities]",
            &format!("restart = \"{policy}\"\n\n[capabilities]"),
        )
    }
}

#[test]
fn hello_prints_its_lines_and_ends_with_success() {
    let setup = Setup::new(PROFILE).app("hello");
    let daemon = setup.start();
    let app = daemon.wait_for_app("hello", "to have exited", |app| app.phase == Phase::Exited);
    assert_eq!(app.last_ending, Some(Ending::Exited(0)));
    assert_eq!(app.sha256.len(), 64);
    let lines = daemon.logs("hello", &[]);
    let of = |stream| {
        lines
            .iter()
            .filter(move |line| line.stream == stream)
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(Stream::Out),
        [
            "Hello from Vyoma!",
            "arguments: []",
            "environment variables: 0"
        ]
    );
    assert_eq!(of(Stream::Err), ["[hello] running on server-headless"]);
    assert!(of(Stream::System).contains(&"exited with code 0"));
    assert!(daemon.console().contains("[hello] Hello from Vyoma!"));
}

#[test]
fn a_capability_that_the_platform_lacks_is_one_warning_and_the_app_starts() {
    let setup = Setup::new(PROFILE).app("hello");
    let daemon = setup.start();
    daemon.wait_for_log("hello", "Hello from Vyoma!");
    let warnings: Vec<_> = daemon
        .events()
        .into_iter()
        .filter(|event| event.kind == "warning" && event.app.as_deref() == Some("hello"))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in ["hello", "display", PROFILE] {
        assert!(warnings[0].detail.contains(word), "{warnings:?}");
    }
    assert_eq!(daemon.app("hello").unavailable, ["display"]);
}

#[test]
fn every_way_to_end_is_told_apart() {
    let setup = Setup::new(PROFILE)
        .app_as("exit3", "exit3", restart("never"))
        .app("trap")
        .app_as("busy-loop", "busy-loop", restart("never"))
        .app_as("silent-wait", "killed", restart("never"));
    let daemon = setup.start();
    // WASI 0.2 knows success and failure only: a guest's 3 arrives as 1.
    let exited = daemon.wait_for_app("exit3", "to have exited", |app| app.phase == Phase::Exited);
    assert_eq!(exited.last_ending, Some(Ending::Exited(1)));
    let trapped = daemon.wait_for_app("trap", "to have trapped", |app| app.phase == Phase::Exited);
    let Some(Ending::Trapped(why)) = trapped.last_ending else {
        panic!("{trapped:?}")
    };
    assert!(why.contains("unreachable"), "{why}");
    let silent = daemon.wait_for_app("busy-loop", "to be killed", |app| {
        app.phase == Phase::Exited
    });
    assert_eq!(silent.last_ending, Some(Ending::Watchdog));
    daemon.wait_for_log("killed", "ready");
    let pid = daemon.app("killed").pid.expect("a process").to_string();
    std::process::Command::new("kill")
        .args(["-KILL", &pid])
        .status()
        .expect("kill");
    let killed = daemon.wait_for_app("killed", "to be gone", |app| app.phase == Phase::Exited);
    assert_eq!(killed.last_ending, Some(Ending::Signal(9)));
}

#[test]
fn the_watchdog_kills_what_spins_and_leaves_what_waits() {
    let setup = Setup::new(PROFILE)
        .app_as("busy-loop", "busy-loop", restart("never"))
        .app("silent-wait");
    let daemon = setup.start();
    let started = Instant::now();
    daemon.wait_for_log("silent-wait", "ready");
    let spun = daemon.wait_for_app("busy-loop", "to be killed", |app| {
        app.phase == Phase::Exited
    });
    assert_eq!(spun.last_ending, Some(Ending::Watchdog));
    // Both have two seconds; the one that waits for input is silent for three times as long.
    std::thread::sleep(Duration::from_secs(6).saturating_sub(started.elapsed()));
    let waits = daemon.app("silent-wait");
    assert_eq!((waits.phase, waits.restarts), (Phase::Running, 0));
}

#[test]
fn restart_policies_do_what_they_say() {
    let setup = Setup::new(PROFILE)
        .app_as("hello", "never", restart("never"))
        .app_as("hello", "on-failure", restart("on-failure"))
        .app_as("hello", "always", restart("always"))
        .app_as("exit3", "never-fails", restart("never"))
        .app_as("exit3", "on-failure-fails", restart("on-failure"));
    let daemon = setup.start();
    for app in ["never", "on-failure", "never-fails"] {
        let status = daemon.wait_for_app(app, "to have exited", |app| app.phase == Phase::Exited);
        assert_eq!(status.restarts, 0, "{app}");
    }
    for app in ["always", "on-failure-fails"] {
        daemon.wait_for_app(app, "to have been restarted twice", |app| app.restarts >= 2);
    }
}

#[test]
fn an_app_that_fails_again_and_again_is_quarantined_with_its_last_words_until_an_operator_starts_it()
 {
    let setup = Setup::new(PROFILE).app_as("trap", "crasher", restart("always"));
    let daemon = setup.start();
    let app = daemon.wait_for_app("crasher", "to be quarantined", |app| {
        app.phase == Phase::Quarantined
    });
    assert!(
        matches!(app.last_ending, Some(Ending::Trapped(_))),
        "{app:?}"
    );
    assert!(daemon.events().iter().any(|event| event.kind == "app-quarantined" && event.app.as_deref() == Some("crasher")));
    let epitaph =
        std::fs::read_to_string(daemon.state().join("epitaphs/crasher.json")).expect("an epitaph");
    assert!(
        epitaph.contains("about to trap") && epitaph.contains("unreachable"),
        "{epitaph}"
    );
    daemon.ctl_ok(&["start", "crasher"]);
    daemon.until("a new run", || {
        (daemon.app("crasher").phase != Phase::Quarantined).then_some(())
    });
}

#[test]
fn an_epitaph_outlives_the_daemon() {
    let setup = Setup::new(PROFILE).app_as("trap", "mortal", restart("never"));
    let daemon = setup.start();
    daemon.wait_for_app("mortal", "to have trapped", |app| {
        app.phase == Phase::Exited
    });
    daemon.ctl_ok(&["stop", "mortal"]);
    assert!(daemon.stop().success());
    let daemon = setup.start();
    let app = daemon.app("mortal");
    assert_eq!(app.phase, Phase::Stopped);
    assert!(
        matches!(app.last_ending, Some(Ending::Trapped(_))),
        "{app:?}"
    );
}

#[test]
fn stop_start_and_restart_do_what_they_say_and_a_stop_outlives_the_daemon() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let first = daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    daemon.ctl_ok(&["restart", "echo"]);
    let second = daemon.wait_for_app("echo", "to run again", |app| {
        app.phase == Phase::Running && app.pid != first.pid
    });
    assert_eq!(second.last_ending, Some(Ending::Stopped));
    daemon.ctl_ok(&["stop", "echo"]);
    let stopped = daemon.app("echo");
    assert_eq!((stopped.phase, stopped.pid), (Phase::Stopped, None));
    assert!(daemon.stop().success());

    let daemon = setup.start();
    assert_eq!(daemon.app("echo").phase, Phase::Stopped);
    daemon.ctl_ok(&["start", "echo"]);
    daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    let (code, message) = daemon.ctl_fails(&["start", "echo"]);
    assert_eq!(code, 7, "{message}");
    assert!(message.contains("restart"), "{message}");
    let (code, message) = daemon.ctl_fails(&["stop", "eco"]);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("echo"), "{message}");
}

#[test]
fn no_more_apps_run_than_the_platform_allows_and_the_refusal_names_the_number() {
    let setup = Setup::new(PROFILE)
        .profile_text(|text| text.replace("max_apps = 200", "max_apps = 2"))
        .app_as("echo", "a", str::to_string)
        .app_as("echo", "b", str::to_string)
        .app_as("echo", "c", str::to_string);
    let daemon = setup.start();
    for app in ["a", "b"] {
        daemon.wait_for_app(app, "to run", |app| app.phase == Phase::Running);
    }
    assert_eq!(daemon.app("c").phase, Phase::Stopped);
    let refused: Vec<_> = daemon
        .events()
        .into_iter()
        .filter(|event| event.kind == "app-refused")
        .collect();
    assert!(
        refused.len() == 1 && refused[0].detail.contains("max_apps = 2"),
        "{refused:?}"
    );
    let (code, message) = daemon.ctl_fails(&["start", "c"]);
    assert_eq!(code, 6, "{message}");
    assert!(message.contains('2'), "{message}");
    daemon.ctl_ok(&["stop", "a"]);
    daemon.ctl_ok(&["start", "c"]);
    daemon.wait_for_app("c", "to run", |app| app.phase == Phase::Running);
}

#[test]
fn a_memory_bomb_gets_what_its_manifest_allows_and_hurts_nobody() {
    let limited = |text: &str| format!("{text}\n[resources]\nmemory_kb = 32768\n");
    let setup = Setup::new(PROFILE)
        .app_as("memory-bomb", "bomb", limited)
        .app("echo");
    let daemon = setup.start();
    daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    let line = daemon.wait_for_log("bomb", "no more after");
    let got: u32 = line
        .split_whitespace()
        .find_map(|word| word.parse().ok())
        .expect("a number");
    assert!((20..=32).contains(&got), "{line}");
    assert_eq!(daemon.app("echo").restarts, 0);
}
