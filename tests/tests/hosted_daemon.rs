//! The hosted daemon itself: its lock, its children, its memory, its end.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use vyoma_capabilities::control::{FrameKind, PROTOCOL, Request, encode_header};
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_system_tests::hosted::{Setup, wait_for};

const PROFILE: &str = "server-headless";

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_told_why() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let second = setup.command().output().expect("start a second vyomad");
    assert!(!second.status.success());
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(
        message.contains(&daemon.pid().to_string()) && message.contains("--state"),
        "{message}"
    );
    assert!(
        daemon.ctl(&["ps"]).status.success(),
        "the first one has to go on"
    );
}

#[test]
fn a_thousand_orphans_are_reaped_and_every_app_keeps_its_exit_code() {
    let setup = Setup::new(PROFILE)
        .arg(&["--fault", "orphans:1000"])
        .app("hello")
        .app("echo");
    let setup = (0..8).fold(setup, |setup, n| {
        let never =
            |text: &str| text.replace("[capabilities]", "restart = \"never\"\n\n[capabilities]");
        setup.app_as("exit3", &format!("fails-{n}"), never).app_as(
            "hello",
            &format!("succeeds-{n}"),
            never,
        )
    });
    let daemon = setup.start();
    for n in 0..8 {
        let failed = daemon.wait_for_app(&format!("fails-{n}"), "to have exited", |app| {
            app.phase == Phase::Exited
        });
        assert_eq!(failed.last_ending, Some(Ending::Exited(1)));
        let succeeded = daemon.wait_for_app(&format!("succeeds-{n}"), "to have exited", |app| {
            app.phase == Phase::Exited
        });
        assert_eq!(succeeded.last_ending, Some(Ending::Exited(0)));
    }
    daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    // What is left is the one app that stays.
    wait_for("the last orphan to be reaped", || {
        daemon.children().len() == 1
    });
    assert!(
        daemon.children().iter().all(|(_, state)| *state != 'Z'),
        "{:?}",
        daemon.children()
    );
    let console = {
        let path = daemon.state().to_path_buf();
        assert!(daemon.stop().success());
        fs::read_to_string(path.join("events.log")).expect("events")
    };
    let reaped = console.lines().find_map(|line| {
        line.split(" orphans were reaped")
            .next()?
            .rsplit(' ')
            .next()?
            .parse::<u32>()
            .ok()
    });
    // The thousand, and the one that made them.
    assert_eq!(reaped, Some(1001), "{console}");
}

#[test]
fn an_idle_daemon_holds_little_of_its_own() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    std::thread::sleep(Duration::from_secs(3));
    assert!(daemon.own_kb() <= 1024, "{} KiB", daemon.own_kb());
}

#[test]
fn shutdown_stops_the_apps_and_ends_the_daemon() {
    let setup = Setup::new(PROFILE).app("echo").app("counter");
    let mut daemon = setup.start();
    let app = daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    daemon.ctl_ok(&["shutdown", "--yes"]);
    assert!(daemon.ended().success());
    let process = format!("/proc/{}", app.pid.expect("a process"));
    assert!(
        !fs::exists(&process).expect("/proc"),
        "the app outlived the daemon"
    );
    assert!(!daemon.state().join("control.sock").exists());
}

#[test]
fn apps_end_with_a_daemon_that_is_killed() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let app = daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    daemon.kill();
    let process = format!("/proc/{}", app.pid.expect("a process"));
    // A zombie that nobody has reaped yet is gone, too.
    let gone =
        || fs::read_to_string(format!("{process}/stat")).map_or(true, |stat| stat.contains(") Z"));
    wait_for("the app's end", gone);
}

#[test]
fn only_its_owner_may_use_the_control_socket() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let socket = fs::metadata(daemon.state().join("control.sock")).expect("the socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let state = fs::metadata(daemon.state()).expect("the state directory");
    assert_eq!(state.permissions().mode() & 0o777, 0o700);
}

#[test]
fn clients_that_talk_nonsense_are_told_so_and_cost_nobody_else() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let connect = || UnixStream::connect(daemon.state().join("control.sock")).expect("connect");
    // Lengths of nothing and of too much, an unknown kind, no JSON, bytes, and a request before Hello.
    let frames: [&[u8]; 6] = [
        &[0, 0, 0, 0, 0],
        &[255, 255, 255, 255, 0],
        &[2, 0, 0, 0, 9, 0],
        &[3, 0, 0, 0, 0, b'{', b'}'],
        &[2, 0, 0, 0, 1, 0],
        b"\x05\0\0\0\0\"Ps\"",
    ];
    for frame in frames {
        let mut client = connect();
        client.write_all(frame).expect("write");
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a limit");
        let mut answer = Vec::new();
        client
            .read_to_end(&mut answer)
            .expect("an answer, then the end");
        assert!(
            String::from_utf8_lossy(&answer).contains("\"Protocol\""),
            "{frame:?}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    // Clients that say nothing may stay, and take nobody's place for long.
    let silent: Vec<_> = (0..40).map(|_| connect()).collect();
    assert!(daemon.ctl(&["ps"]).status.success());
    drop(silent);
}

#[test]
fn an_installation_in_the_form_of_microcontrollers_is_refused_by_name() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let path = daemon.state().join("control.sock");
    let mut client = UnixStream::connect(path).expect("connect");
    let install = Request::InstallCompact {
        manifest: vec![1, 2, 3],
        component_size: 100,
        sha256: "0".repeat(64),
    };
    for request in [Request::Hello { protocol: PROTOCOL }, install] {
        let json = serde_json::to_vec(&request).expect("JSON");
        let header = encode_header(FrameKind::Json, json.len()).expect("a frame");
        client
            .write_all(&[&header, &json[..]].concat())
            .expect("write");
    }
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a limit");
    let mut answer = Vec::new();
    client
        .read_to_end(&mut answer)
        .expect("an answer, then the end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.contains("\"Protocol\"")
            && answer.contains("found a manifest in compact form; expected Install"),
        "{answer}"
    );
    assert_eq!(daemon.ps().len(), 1);
}

#[test]
fn options_that_make_no_sense_are_refused_in_one_line() {
    let state = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command =
            std::process::Command::new(vyoma_system_tests::from_make_test("VYOMAD_BIN"));
        let output = command
            .arg("--hosted")
            .arg("--state")
            .arg(state.path())
            .args(arguments)
            .output()
            .expect("run vyomad");
        assert!(!output.status.success(), "{arguments:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    assert!(run(&[]).contains("--profile"));
    assert!(run(&["--profile", "toaster"]).contains("desktop-full"));
    assert!(run(&["--profile", PROFILE, "--bogus"]).contains("--bogus"));
    assert!(run(&["--profile", PROFILE, "--fault", "fly"]).contains("orphans:N"));
}
