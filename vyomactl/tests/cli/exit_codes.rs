//! Every documented exit code, provoked.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, listen, socket};
use tempfile::TempDir;
use vyoma_capabilities::control::{ControlError, ErrorKind, Request, Response};

use crate::device::{Connection, Device, command, hello, outcome, run};

fn stop() -> Request {
    Request::Stop {
        app: "hello".into(),
    }
}

#[test]
fn what_was_done_is_said_and_ends_with_0() {
    let outcome = Device::answers(stop(), vec![Response::Done]).run(&["stop", "hello"]);
    assert_eq!(
        (outcome.code, outcome.out.as_str()),
        (0, "hello: stopped\n")
    );
    assert_eq!(outcome.err, "");
}

#[test]
fn each_kind_of_refusal_has_its_code_and_its_one_line() {
    for (kind, code) in [
        (ErrorKind::NoSuchApp, 3),
        (ErrorKind::Invalid, 4),
        (ErrorKind::HashMismatch, 5),
        (ErrorKind::Limit, 6),
        (ErrorKind::State, 7),
        (ErrorKind::Device, 8),
        (ErrorKind::Protocol, 11),
    ] {
        let refusal = Response::Error(ControlError {
            kind,
            message: "no: because; do something".into(),
        });
        let outcome = Device::answers(stop(), vec![refusal]).run(&["stop", "hello"]);
        assert_eq!(outcome.code, code, "{kind:?}");
        assert_eq!(outcome.err, "vyomactl: no: because; do something\n");
        assert_eq!(outcome.out, "");
    }
}

#[test]
fn the_code_is_the_same_when_nobody_hears_what_is_said_any_more() {
    for format in ["table", "json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut vyomactl = command(&["-t", "/no/such", "ps", "--output", format]);
        vyomactl.stderr(writer);
        assert_eq!(outcome(vyomactl).code, 10, "{format}");
    }
}

#[test]
fn doctor_finds_in_the_file_of_targets_what_every_command_refuses_and_ends_with_17() {
    let config = TempDir::new().unwrap();
    std::fs::create_dir(config.path().join("vyoma")).unwrap();
    let file = config.path().join("vyoma/targets.toml");
    let said = || {
        let mut doctor = command(&["doctor", "-t", "/no/such", "--output", "json"]);
        doctor.env("XDG_CONFIG_HOME", config.path());
        let outcome = outcome(doctor);
        assert_eq!(outcome.code, 17, "there is no device");
        outcome.out
    };
    std::fs::write(&file, "[targets]\na = \"ssh://a\"\n").unwrap();
    assert!(!said().contains("targets.toml"), "{}", said());
    for (text, found) in [
        ("[targets\n", "line 1"),
        ("[a]\nb = 1\n", "a: unknown"),
        ("[groups]\ng = [\"a\"]\n", "there is no target"),
        ("default = \"a\"\n", "a"),
    ] {
        std::fs::write(&file, text).unwrap();
        let said = said();
        assert!(
            said.contains("targets.toml") && said.contains(found),
            "{said}"
        );
    }
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(said().contains("targets.toml"));
}

#[test]
fn errors_are_json_when_json_was_asked_for() {
    let refusal = Response::Error(ControlError {
        kind: ErrorKind::NoSuchApp,
        message: "no app hello".into(),
    });
    let outcome =
        Device::answers(stop(), vec![refusal]).run(&["stop", "hello", "--output", "json"]);
    assert_eq!(outcome.code, 3);
    let error: serde_json::Value = serde_json::from_str(&outcome.err).unwrap();
    assert_eq!(
        error,
        serde_json::json!({ "error": { "code": 3, "kind": "no-such-app", "message": "no app hello" } })
    );
    let outcome = run(&["frobnicate", "--output=json"]);
    assert_eq!(outcome.code, 2);
    let error: serde_json::Value = serde_json::from_str(&outcome.err).unwrap();
    assert_eq!(error["error"]["kind"], "usage");
}

#[test]
fn a_mistake_on_the_command_line_is_one_line_and_2() {
    for args in [
        &["stop"][..],
        &["frobnicate"],
        &["logs", "--since", "yesterday"],
        &["logs", "--previous", "-f"],
        &["ps", "--output", "xml"],
        &["top", "--interval", "1ms"],
        &["top", "--count", "0"],
        &["ps", "--timeout", "0"],
        &["ps", "--target", "ssh://device:ssh"],
        &["ps", "--target", "serial:///dev/ttyACM0?baud=fast"],
        &["ps", "--target", ""],
    ] {
        let outcome = run(args);
        assert_eq!(outcome.code, 2, "{args:?}");
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
        assert!(outcome.err.starts_with("vyomactl: "), "{}", outcome.err);
    }
}

#[test]
fn where_nobody_is_or_nobody_is_any_more_is_10() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s");
    let target = path.to_str().unwrap();
    let outcome = run(&["ps", "--target", target]);
    assert_eq!(outcome.code, 10);
    assert!(outcome.err.contains("No such file"), "{}", outcome.err);
    drop(UnixListener::bind(&path).unwrap());
    let outcome = run(&["ps", "--target", target]);
    assert_eq!(outcome.code, 10);
    assert!(outcome.err.contains("start it again"), "{}", outcome.err);
    let long = format!("/{}", "x".repeat(200));
    assert_eq!(run(&["ps", "--target", &long]).code, 10);
}

#[test]
fn the_target_comes_from_the_environment_too() {
    let device = Device::answers(Request::Ps, vec![Response::Apps(Vec::new())]);
    let mut command = crate::device::command(&["ps"]);
    command.env("VYOMA_TARGET", device.target());
    let outcome = outcome(command);
    device.finish();
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.contains("no apps"));
}

#[test]
fn a_device_of_another_protocol_is_11() {
    let device = Device::raw(|mut connection| {
        connection.request();
        let Response::Hello {
            version, platform, ..
        } = hello()
        else {
            unreachable!()
        };
        connection.send(&Response::Hello {
            protocol: 99,
            version,
            platform,
        });
    });
    let outcome = device.run(&["ps"]);
    assert_eq!(outcome.code, 11);
    assert!(
        outcome.err.contains("speaks protocol 99"),
        "{}",
        outcome.err
    );
}

/// A run that must end by its timeout of half a second, and long before a test would be called hung.
fn times_out(device: Device, args: &[&str]) {
    let start = Instant::now();
    let outcome = device.run(&[&["--timeout", "0.5"], args].concat());
    assert_eq!(outcome.code, 12, "{}", outcome.err);
    assert!(outcome.err.contains("--timeout"), "{}", outcome.err);
    assert!(start.elapsed() >= Duration::from_millis(450));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_device_that_does_not_greet_is_12() {
    times_out(
        Device::raw(|mut connection| connection.wait_for_hang_up()),
        &["ps"],
    );
}

#[test]
fn a_device_that_does_not_answer_is_12() {
    times_out(Device::new(Connection::wait_for_hang_up), &["ps"]);
}

#[test]
fn a_device_that_trickles_its_answer_is_12_too() {
    let device = Device::new(|connection| {
        connection.request();
        // Each byte on its own would be in time.
        for byte in [60, 0, 0, 0, 0]
            .into_iter()
            .chain(std::iter::repeat_n(b' ', 15))
        {
            connection.send_bytes(&[byte]);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    times_out(device, &["ps"]);
}

#[test]
fn a_device_that_accepts_no_connection_is_12() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s");
    let address = SocketAddrUnix::new(&path).unwrap();
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &address).unwrap();
    listen(&listener, 0).unwrap();
    let first = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    connect(&first, &address).unwrap();
    let outcome = run(&["ps", "--timeout", "0.3", "--target", path.to_str().unwrap()]);
    assert_eq!(outcome.code, 12, "{}", outcome.err);
    assert!(
        outcome.err.contains("accepts no connection"),
        "{}",
        outcome.err
    );
}

#[test]
fn a_device_that_hangs_up_without_an_answer_is_13() {
    for requests in 0..2 {
        let device = Device::new(move |connection| {
            for _ in 0..requests {
                connection.request();
            }
        });
        let outcome = device.run(&["ps"]);
        assert_eq!(outcome.code, 13, "{}", outcome.err);
    }
}

#[test]
fn an_output_that_takes_nothing_is_1_and_is_told() {
    let device = Device::answers(Request::Ps, vec![Response::Apps(Vec::new())]);
    let mut command = crate::device::command(&["ps", "--target", &device.target()]);
    command.stdout(
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap(),
    );
    let outcome = outcome(command);
    device.finish();
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.err.contains("cannot write the output"),
        "{}",
        outcome.err
    );
}
