//! `logs` and `events`: what is asked, what is shown, how they end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use vyoma_capabilities::control::{Request, Response};

use crate::device::{Device, command, event, info, log_line, run};

fn logs(follow: bool) -> Request {
    Request::Logs {
        app: None,
        follow,
        since_ms: None,
        previous: false,
        tail: None,
    }
}

#[test]
fn the_options_of_logs_reach_the_device() {
    let request = Request::Logs {
        app: Some("hello".into()),
        follow: false,
        since_ms: Some(5_400_000),
        previous: true,
        tail: Some(20),
    };
    let args = [
        "logs",
        "hello",
        "--since",
        "1h30m",
        "--previous",
        "--tail",
        "20",
    ];
    let outcome = Device::answers(request, vec![Response::Done]).run(&args);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
}

#[test]
fn lines_and_events_show_time_app_and_text() {
    let answers = vec![Response::LogLine(log_line("one  two")), Response::Done];
    let outcome = Device::answers(logs(false), answers).run(&["logs"]);
    assert_eq!(
        outcome.out,
        "2023-11-14 22:13:20.123  hello         out  one  two\n"
    );
    let answers = vec![Response::Event(event("look out")), Response::Done];
    let outcome = Device::answers(Request::Events { follow: false }, answers).run(&["events"]);
    assert_eq!(
        outcome.out,
        "2023-11-14 22:13:20.123  hello         warning  look out\n"
    );
}

#[test]
fn several_apps_are_asked_for_at_once() {
    let request = Request::Logs {
        app: Some("hello,echo".into()),
        follow: true,
        since_ms: None,
        previous: false,
        tail: None,
    };
    let answers = vec![Response::LogLine(log_line("one")), Response::Done];
    let outcome = Device::answers(request, answers).run(&["logs", "-f", "hello", "echo"]);
    assert_eq!((outcome.code, outcome.out.lines().count()), (0, 1));
    let outcome = crate::device::run(&["logs", "hello,echo"]);
    assert_eq!(outcome.code, 2, "{}", outcome.err);
    assert!(
        outcome.err.contains("separated by spaces"),
        "{}",
        outcome.err
    );
}

#[test]
fn earlier_lines_of_several_apps_are_put_in_order_before_they_are_cut_to_the_last() {
    let request = Request::Logs {
        app: None,
        follow: false,
        since_ms: None,
        previous: true,
        tail: Some(3),
    };
    // App by app, as a device reads its files.
    let lines = [("a", 1), ("a", 4), ("a", 9), ("b", 2), ("b", 5), ("b", 7)];
    let mut answers: Vec<Response> = lines
        .iter()
        .map(|(app, time_ms)| {
            let mut line = log_line(&format!("{app}{time_ms}"));
            line.app = (*app).into();
            line.time_ms = *time_ms;
            Response::LogLine(line)
        })
        .collect();
    answers.push(Response::Done);
    let outcome = Device::answers(request, answers).run(&["logs", "--previous", "--tail", "3"]);
    let texts: Vec<&str> = outcome
        .out
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(texts, ["b5", "b7", "a9"]);
}

/// A device that says these lines, by their times.
fn says(times: &[u64], follow: bool) -> Device {
    let mut answers: Vec<Response> = times
        .iter()
        .map(|time_ms| {
            let mut line = log_line(&format!("at {time_ms}"));
            line.time_ms = *time_ms;
            Response::LogLine(line)
        })
        .collect();
    answers.push(Response::Done);
    Device::answers(logs(follow), answers)
}

#[test]
fn lines_of_two_devices_are_merged_by_time_and_say_whose_they_are() {
    for follow in [false, true] {
        let (one, two) = (says(&[1, 4, 5], follow), says(&[2, 3, 6], follow));
        let (first, second) = (one.target(), two.target());
        let mut args = vec!["-t", &first, "-t", &second, "--output", "json", "logs"];
        args.extend(follow.then_some("-f"));
        let outcome = run(&args);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        one.finish();
        two.finish();
        let lines: Vec<(u64, bool)> = outcome
            .out
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                (line["time_ms"].as_u64().unwrap(), line["device"] == first)
            })
            .collect();
        let expected = [
            (1, true),
            (2, false),
            (3, false),
            (4, true),
            (5, true),
            (6, false),
        ];
        // What is followed comes as it comes: only what came within a moment is put in order.
        assert!(
            lines == expected || follow && lines.len() == expected.len(),
            "{lines:?}"
        );
    }
}

#[test]
fn a_device_that_is_not_there_leaves_the_others_lines_and_is_told() {
    let device = says(&[1, 2], false);
    let target = device.target();
    let outcome = run(&["-t", &target, "-t", "/no/such.sock", "logs"]);
    device.finish();
    assert_eq!(outcome.out.lines().count(), 2, "{}", outcome.out);
    assert!(
        outcome.code == 10 && outcome.err.contains("/no/such.sock"),
        "{}: {}",
        outcome.code,
        outcome.err
    );
}

#[test]
fn a_beginning_is_reckoned_by_the_clock_of_the_device() {
    // Its clock stands at 1700000000000, which is 2023-11-14T22:13:20Z.
    let device = Device::new(|connection| {
        assert_eq!(connection.request(), Some(Request::Info));
        connection.send(&Response::Info(info()));
        assert_eq!(
            connection.request(),
            Some(Request::Logs {
                app: None,
                follow: false,
                since_ms: Some(20_000),
                previous: false,
                tail: None,
            })
        );
        connection.send(&Response::Done);
    });
    let outcome = device.run(&["logs", "--since", "2023-11-14T22:13:00Z"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    for since in ["2023-11-14T23:13:19+01:00", "1s"] {
        let device = Device::new(|connection| {
            assert_eq!(connection.request(), Some(Request::Info));
            connection.send(&Response::Info(info()));
            assert_eq!(
                connection.request(),
                Some(Request::Events { follow: false })
            );
            for time_ms in [1_699_999_998_999, 1_699_999_999_000] {
                let mut event = event(&time_ms.to_string());
                event.time_ms = time_ms;
                connection.send(&Response::Event(event));
            }
            connection.send(&Response::Done);
        });
        let outcome = device.run(&["events", "--since", since]);
        assert_eq!(outcome.out.lines().count(), 1, "{since}: {}", outcome.out);
        assert!(outcome.out.contains("1699999999000"), "{}", outcome.out);
    }
}

#[test]
fn every_app_has_its_colour_and_only_where_colours_are_wanted() {
    let lines = || {
        let mut answers: Vec<Response> = ["hello", "counter", "hello"]
            .into_iter()
            .map(|app| {
                let mut line = log_line("x");
                line.app = app.into();
                Response::LogLine(line)
            })
            .collect();
        answers.push(Response::Done);
        answers
    };
    let outcome = Device::answers(logs(false), lines()).run(&["logs", "--color", "always"]);
    let colours: Vec<&str> = outcome
        .out
        .lines()
        .map(|line| {
            let (before, _) = line
                .split_once("hello")
                .or(line.split_once("counter"))
                .unwrap();
            before.rsplit('\x1b').next().unwrap()
        })
        .collect();
    assert_eq!(colours[0], colours[2]);
    assert_ne!(colours[0], colours[1]);
    let outcome = Device::answers(logs(false), lines()).run(&["logs"]);
    assert!(!outcome.out.contains('\x1b'), "a pipe is no terminal");
}

#[test]
fn json_streams_are_one_document_a_line() {
    let mut answers: Vec<Response> = (0..500)
        .map(|n| Response::LogLine(log_line(&format!("line {n}\n"))))
        .collect();
    answers.push(Response::Done);
    let outcome = Device::answers(logs(false), answers).run(&["logs", "--output", "json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let lines: Vec<serde_json::Value> = outcome
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 500);
    assert_eq!(lines[499]["text"], "line 499\n");
}

#[test]
fn a_followed_stream_may_be_silent_for_longer_than_the_timeout() {
    let device = Device::new(|connection| {
        assert_eq!(connection.request(), Some(logs(true)));
        std::thread::sleep(Duration::from_millis(800));
        connection.send(&Response::LogLine(log_line("late")));
        connection.send(&Response::Done);
    });
    let outcome = device.run(&["logs", "-f", "--timeout", "0.3"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.ends_with("late\n"));
}

#[test]
fn a_followed_line_that_has_begun_must_arrive_in_time() {
    let device = Device::new(|connection| {
        connection.request();
        connection.send_bytes(&[9, 0, 0]);
        connection.wait_for_hang_up();
    });
    let outcome = device.run(&["events", "-f", "--timeout", "0.3"]);
    assert_eq!(outcome.code, 12, "{}", outcome.err);
}

#[test]
fn a_device_that_ends_in_a_followed_stream_is_told() {
    let answers = vec![Response::LogLine(log_line("last"))];
    let outcome = Device::answers(logs(true), answers).run(&["logs", "-f"]);
    assert_eq!(outcome.code, 13);
    assert!(outcome.out.ends_with("last\n"));
}

/// Follows until one line has been read, then does `and_then` to the process; how it ended, and what it said.
fn followed(
    and_then: impl FnOnce(&std::process::Child),
    keep_reading: bool,
) -> (std::process::ExitStatus, String) {
    let device = Device::new(|connection| {
        connection.request();
        connection.send(&Response::LogLine(log_line("first")));
        connection.wait_for_hang_up();
    });
    let mut child = command(&["--target", &device.target(), "logs", "-f"])
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.ends_with("first\n"));
    let start = Instant::now();
    let kept = keep_reading.then_some(reader);
    and_then(&child);
    let status = child.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "ended late");
    drop(kept);
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    device.finish();
    (status, err)
}

#[test]
fn following_ends_quietly_when_the_reader_goes_even_if_nothing_more_comes() {
    let (status, err) = followed(|_| (), false);
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

#[test]
fn following_ends_quietly_on_ctrl_c() {
    let interrupt = |child: &std::process::Child| {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    };
    let (status, err) = followed(interrupt, true);
    assert_eq!((status.signal(), err.as_str()), (Some(2), ""));
}

#[test]
fn a_reader_that_takes_only_the_head_is_no_failure() {
    let device = Device::new(|connection| {
        connection.request();
        for _ in 0..5000 {
            connection.send(&Response::LogLine(log_line("again")));
        }
        connection.send(&Response::Done);
    });
    let mut child = command(&["--target", &device.target(), "logs"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    device.finish();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}
