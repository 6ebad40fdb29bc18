//! `--output json`: every command's document, as programs read it; and the tables beside it.

use serde_json::Value;
use vyoma_capabilities::control::{Request, Response};

use crate::device::{Device, app, info};

fn document(device: Device, args: &[&str]) -> Value {
    let outcome = device.run(&[args, &["--output", "json"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(outcome.out.lines().count(), 1);
    serde_json::from_str(&outcome.out).unwrap()
}

fn looking() -> Device {
    Device::new(|connection| {
        while let Some(request) = connection.request() {
            match request {
                Request::Info => connection.send(&Response::Info(info())),
                Request::Ps => connection.send(&Response::Apps(vec![app("b"), app("a")])),
                other => panic!("{other:?}"),
            }
        }
    })
}

#[test]
fn every_command_answers_with_a_document() {
    let apps = document(looking(), &["ps"]);
    assert_eq!(apps[0]["name"], "b");
    assert_eq!(apps[0]["phase"], "running");
    assert_eq!(document(looking(), &["info"])["hostname"], "vyoma");
    let top = document(looking(), &["top"]);
    assert_eq!(top["device"]["max_apps"], 200);
    // A stream of samples, one a line.
    let samples = looking().run(&[
        "top",
        "--count",
        "3",
        "--interval",
        "100ms",
        "--output",
        "json",
    ]);
    assert_eq!(samples.out.lines().count(), 3, "{}", samples.err);
    assert_eq!(top["apps"][1]["name"], "a");
    assert_eq!(top["apps"][1]["cpu_percent"], 1.0);
    let app = || "hello".to_owned();
    for (request, args) in [
        (Request::Start { app: app() }, &["start", "hello"][..]),
        (Request::Stop { app: app() }, &["stop", "hello"]),
        (Request::Restart { app: app() }, &["restart", "hello"]),
        (
            Request::Remove {
                app: app(),
                keep_data: false,
            },
            &["remove", "hello"],
        ),
        (
            Request::Remove {
                app: app(),
                keep_data: true,
            },
            &["remove", "hello", "--keep-data"],
        ),
        (
            Request::Send {
                app: app(),
                text: "a line\n".to_owned(),
                end: true,
            },
            &["send", "hello", "a line", "--end"],
        ),
        (Request::Shutdown, &["shutdown"]),
        (Request::Reboot, &["reboot", "--yes"]),
    ] {
        let done = document(Device::answers(request, vec![Response::Done]), args);
        assert_eq!(done["done"], args[0]);
    }
}

#[test]
fn ps_is_a_table_sorted_by_name() {
    let outcome = looking().run(&["ps"]);
    let lines: Vec<Vec<&str>> = outcome
        .out
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        lines[0],
        [
            "NAME", "VERSION", "PHASE", "UPTIME", "RESTARTS", "MEMORY", "CPU", "CALLS", "DROPPED",
            "SHA-256", "WITHOUT", "LAST END", "VERSIONS"
        ]
    );
    assert_eq!(
        lines[1],
        [
            "a",
            "1.2.3",
            "running",
            "1m01s",
            "2",
            "1.5 MiB",
            "610ms",
            "7",
            "0",
            "abababababab",
            "display",
            "trapped: unreachable executed",
            "-"
        ]
    );
    assert_eq!(lines[2][0], "b");
}

#[test]
fn top_without_a_terminal_is_as_many_tables_as_asked_for() {
    let outcome = looking().run(&["top"]);
    assert_eq!(outcome.out.matches("NAME").count(), 1);
    assert!(
        outcome
            .out
            .starts_with("vyoma server-headless  up 1m30s  2 of 3 apps running")
    );
    let outcome = looking().run(&["top", "--count", "3", "--interval", "100ms"]);
    assert_eq!(outcome.out.matches("NAME").count(), 3);
    assert!(!outcome.out.contains('\u{1b}'));
}

#[test]
fn colour_is_for_those_who_ask_for_it() {
    let colours = |args: &[&str]| looking().run(args).out.contains('\u{1b}');
    assert!(!colours(&["ps"]));
    assert!(!colours(&["ps", "--color", "never"]));
    assert!(colours(&["ps", "--color", "always"]));
    assert!(!colours(&["ps", "--color", "always", "--output", "json"]));
}
