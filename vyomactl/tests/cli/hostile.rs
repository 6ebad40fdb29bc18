//! A device that lies, babbles or wants to write on the operator's terminal.

use vyoma_capabilities::control::{ControlError, ErrorKind, Request, Response};

use crate::device::{Connection, Device, Outcome, app, event, info, log_line};

/// Colours, cursor, title, a C1 introducer, a line break, a reversal of what follows.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nb\u{9b}31m\u{202e}c\u{7f}\u{8}";

fn is_harmless(outcome: &Outcome) {
    for (text, what) in [(&outcome.out, "stdout"), (&outcome.err, "stderr")] {
        let bad = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(bad, None, "{what}: {text:?}");
    }
}

fn garbage(play: impl FnOnce(&mut Connection) + Send + 'static) -> String {
    let device = Device::new(|connection| {
        connection.request();
        play(connection);
        connection.wait_for_hang_up();
    });
    let outcome = device.run(&["ps", "--timeout", "5"]);
    assert_eq!(outcome.code, 11, "{}", outcome.err);
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    outcome.err
}

#[test]
fn another_kind_of_server_is_recognised_as_such() {
    garbage(|connection| connection.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
}

#[test]
fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
    garbage(|connection| connection.send_bytes(&[0xff, 0xff, 0xff, 0xff, 0]));
    garbage(|connection| connection.send_bytes(&[1, 0, 4, 0, 0]));
}

#[test]
fn frames_without_sense_are_refused() {
    garbage(|connection| connection.send_bytes(&[0, 0, 0, 0, 0]));
    garbage(|connection| connection.send_frame(7, b"{}"));
    garbage(|connection| connection.send_frame(1, b"\"Done\""));
    garbage(|connection| connection.send_frame(0, b""));
    garbage(|connection| connection.send_frame(0, b"\"Frobnicated\""));
    garbage(|connection| connection.send_frame(0, b"\xff\xfe"));
    garbage(|connection| connection.send_frame(0, "[".repeat(200_000).as_bytes()));
}

#[test]
fn an_answer_to_another_question_is_refused_by_its_name() {
    let err = garbage(|connection| connection.send(&Response::Done));
    assert!(err.contains("answered Done"), "{err}");
    let err = garbage(|connection| connection.send(&Response::Info(info())));
    assert!(err.contains("answered Info"), "{err}");
}

#[test]
fn nothing_that_a_device_says_moves_the_terminal() {
    let mut bad = app(HOSTILE);
    bad.version = HOSTILE.into();
    bad.sha256 = HOSTILE.into();
    bad.unavailable = vec![HOSTILE.into()];
    bad.last_ending = Some(vyoma_capabilities::lifecycle::Ending::Trapped(
        HOSTILE.into(),
    ));
    let mut device = info();
    device.hostname = HOSTILE.into();
    device.addresses = vec![HOSTILE.into()];
    device.last_epitaph = Some(HOSTILE.into());
    let mut line = log_line(HOSTILE);
    line.app = HOSTILE.into();
    let mut happened = event(HOSTILE);
    happened.kind = HOSTILE.into();
    happened.app = Some(HOSTILE.into());
    for format in ["table", "json"] {
        let output = ["--output", format];
        let logs = Request::Logs {
            app: None,
            follow: false,
            since_ms: None,
            previous: false,
            tail: None,
        };
        let refusal = ControlError {
            kind: ErrorKind::Device,
            message: HOSTILE.into(),
        };
        for (request, answers, args) in [
            (Request::Ps, vec![Response::Apps(vec![bad.clone()])], "ps"),
            (Request::Ps, vec![Response::Error(refusal)], "ps"),
            (Request::Info, vec![Response::Info(device.clone())], "info"),
            (
                logs,
                vec![Response::LogLine(line.clone()), Response::Done],
                "logs",
            ),
            (
                Request::Events { follow: false },
                vec![Response::Event(happened.clone()), Response::Done],
                "events",
            ),
        ] {
            let outcome = Device::answers(request, answers).run(&[&[args], &output[..]].concat());
            is_harmless(&outcome);
            assert!(outcome.out.len() + outcome.err.len() > 20);
            if format == "table" && args != "info" {
                let lines = outcome.out.lines().count() + outcome.err.lines().count();
                assert!(lines <= 2, "{args}: {outcome:?}");
            }
        }
    }
}

#[test]
fn a_hostile_app_name_on_the_command_line_comes_back_harmless() {
    let request = Request::Stop {
        app: HOSTILE.into(),
    };
    is_harmless(&Device::answers(request, vec![Response::Done]).run(&["stop", HOSTILE]));
}
