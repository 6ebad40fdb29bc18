//! What apps print and say to each other under a hosted daemon: logs, messages, requests, floods.

use std::fs;
use std::time::{Duration, Instant};

use vyoma_capabilities::control::Stream;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::lines::MAX_LINE;
use vyoma_system_tests::hosted::Setup;

const PROFILE: &str = "server-headless";

#[test]
fn ping_and_pong_talk_through_the_daemon() {
    let setup = Setup::new(PROFILE).app("ping").app("pong");
    let daemon = setup.start();
    daemon.wait_for_log("ping", "5 answered");
    // A message is for its target, not for the log.
    assert!(
        !daemon
            .texts("ping")
            .iter()
            .any(|line| line.starts_with('@'))
    );
}

#[test]
fn a_message_to_nobody_is_a_warning_in_the_sender_s_own_log() {
    let setup = Setup::new(PROFILE).app("ping");
    let daemon = setup.start();
    let line = daemon.wait_for_log("ping", "warning: @pong");
    assert!(line.contains("no app of that name"), "{line}");
}

#[test]
fn logs_are_followed_limited_and_kept_over_a_restart_of_the_daemon() {
    let setup = Setup::new(PROFILE).app("counter").app("hello");
    let daemon = setup.start();
    let follower = daemon.follow(&["logs", "counter", "-f"]);
    let first = daemon.until("a line", || daemon.texts("counter").into_iter().next());
    follower.wait_for(&first);
    daemon.wait_for_log("hello", "exited with code 0");
    assert_eq!(daemon.logs("hello", &["--tail", "1"]).len(), 1);
    std::thread::sleep(Duration::from_millis(2500));
    assert!(daemon.logs("hello", &["--since", "1s"]).is_empty());
    assert!(!daemon.logs("hello", &["--since", "1h"]).is_empty());
    assert!(daemon.logs("hello", &["--previous"]).is_empty());
    let before: Vec<_> = daemon.texts("hello");
    assert!(daemon.stop().success());

    let daemon = setup.start();
    let previous: Vec<_> = daemon
        .logs("hello", &["--previous"])
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(previous, before);
    daemon.wait_for_log("hello", "Hello from Vyoma!");
    // Of this run only.
    let now = daemon.texts("hello");
    assert_eq!(
        now.iter()
            .filter(|line| line.as_str() == "Hello from Vyoma!")
            .count(),
        1,
        "{now:?}"
    );
}

#[test]
fn logs_survive_a_daemon_that_is_killed() {
    let setup = Setup::new(PROFILE).app("hello");
    let daemon = setup.start();
    daemon.wait_for_log("hello", "exited with code 0");
    // Lines are on their way to the disk after two seconds.
    std::thread::sleep(Duration::from_secs(3));
    daemon.kill();
    let daemon = setup.start();
    let previous = daemon.logs("hello", &["--previous"]);
    assert!(
        previous.iter().any(|line| line.text == "Hello from Vyoma!"),
        "{previous:?}"
    );
}

#[test]
fn an_app_that_floods_stdout_is_slowed_not_buffered() {
    let setup = Setup::new(PROFILE)
        .app("stdout-flood")
        .app("echo")
        .app("ping")
        .app("pong");
    let daemon = setup.start();
    daemon.wait_for_log("stdout-flood", "flood");
    let number = || {
        let line = daemon
            .texts("stdout-flood")
            .into_iter()
            .rev()
            .find(|line| line.starts_with("flood "));
        line.and_then(|line| line["flood ".len()..].parse::<u64>().ok())
            .unwrap_or(0)
    };
    let (start, first) = (Instant::now(), number());
    std::thread::sleep(Duration::from_secs(5));
    let lines = number() - first;
    // At some 13 bytes and 64 for the line itself, 256 KiB a second are 3,400 lines.
    let rate = lines as f64 / start.elapsed().as_secs_f64();
    assert!(rate > 100.0 && rate < 10_000.0, "{rate} lines a second");
    assert!(
        daemon.own_kb() < 8 * 1024,
        "the daemon takes {} KiB",
        daemon.own_kb()
    );
    let log = |suffix: &str| {
        fs::metadata(
            daemon
                .state()
                .join(format!("logs/stdout-flood.log{suffix}")),
        )
        .map_or(0, |meta| meta.len())
    };
    assert!(
        log("") <= 300 * 1024 && log(".1") <= 300 * 1024,
        "{} {}",
        log(""),
        log(".1")
    );
    // Others go on as if nothing happened.
    daemon.wait_for_log("ping", "5 answered");
    assert_eq!(daemon.app("echo").phase, Phase::Running);
    let stopping = Instant::now();
    daemon.ctl_ok(&["stop", "stdout-flood"]);
    assert!(
        stopping.elapsed() < Duration::from_secs(10),
        "{:?}",
        stopping.elapsed()
    );
}

#[test]
fn a_huge_line_is_cut_and_the_next_line_is_whole() {
    let setup = Setup::new(PROFILE).app("huge-line");
    let daemon = setup.start();
    daemon.wait_for_log("huge-line", "after the huge line");
    let lines = daemon.logs("huge-line", &[]);
    let longest = lines.iter().map(|line| line.text.len()).max().unwrap_or(0);
    assert_eq!(longest, MAX_LINE);
    assert!(
        lines
            .iter()
            .any(|line| line.stream == Stream::System && line.text.contains("longer than")),
        "{lines:?}"
    );
}

#[test]
fn bytes_that_are_no_text_become_text() {
    let setup = Setup::new(PROFILE).app("invalid-utf8").app("echo");
    let daemon = setup.start();
    daemon.wait_for_log("invalid-utf8", "done");
    let texts = daemon.texts("invalid-utf8");
    assert!(
        texts
            .iter()
            .any(|line| line == "overlong: <\u{fffd}\u{fffd}>"),
        "{texts:?}"
    );
    assert!(texts.iter().any(|line| line == "NUL: <\0>"), "{texts:?}");
}

#[test]
fn terminal_escapes_of_an_app_are_harmless_on_the_console() {
    let setup = Setup::new(PROFILE).app_as("escape-codes", "escape-codes", str::to_string);
    let daemon = setup.start();
    daemon.wait_for_log("escape-codes", "done");
    let console = daemon.console();
    let harmful = console
        .chars()
        .find(|c| *c != '\n' && vyoma_capabilities::lines::is_harmful(*c));
    assert_eq!(harmful, None, "{console:?}");
    assert!(console.contains("\\x1b[31mred"), "{console}");
}
