//! Promises of the specification that stand between the subjects of the other files: the store, a daemon that dies
//! inside an installation, broadcasts, silent clients, and guests that only a running daemon can prove something with.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use vyoma_capabilities::control::Stream;
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_system_tests::hosted::{HostedDaemon, Setup, copy_app};

const PROFILE: &str = "server-headless";
/// Longer than any client of a test has to wait for the daemon.
const PATIENCE: Duration = Duration::from_secs(40);

/// Sends bytes to a port of this machine and reads what comes back until the connection ends.
fn exchange(port: u16, bytes: &[u8]) -> String {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("a limit");
    // A server that refuses early closes before it has taken everything: both are its right.
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_http_server_serves_people_and_programs_and_survives_garbage() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let setup = Setup::new(PROFILE).app_as("http-server", "http-server", |text| {
        text.replace("8080", &port.to_string())
    });
    let daemon = setup.start();
    daemon.wait_for_log("http-server", &format!("listening on port {port}"));
    let before = daemon.app("http-server");
    let served = || {
        let page = exchange(port, b"GET / HTTP/1.1\r\nHost: device\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(
            page.contains("text/html") && page.contains(PROFILE),
            "{page}"
        );
        let json = exchange(port, b"GET /json HTTP/1.1\r\nHost: device\r\n\r\n");
        let (head, body) = json.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("application/json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert!(body.to_string().contains(PROFILE), "{body}");
    };
    served();
    let long = [b"GET /".as_slice(), "a".repeat(100_000).as_bytes()].concat();
    let garbage: [&[u8]; 7] = [
        b"",
        b"\0\xff\xfe\r\n\r\n",
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"POST /json HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        &long,
    ];
    for bytes in garbage {
        let answer = exchange(port, bytes);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    served();
    let after = daemon.app("http-server");
    assert_eq!((after.pid, after.restarts), (before.pid, 0));
}

/// The artefacts in the store of this device.
fn artefacts(daemon: &HostedDaemon) -> Vec<PathBuf> {
    let entries = fs::read_dir(daemon.state().join("store")).expect("the store");
    entries.flatten().map(|entry| entry.path()).collect()
}

#[test]
fn an_artefact_that_does_not_fit_is_made_anew_and_the_app_runs_whatever_its_restart_policy() {
    let setup = Setup::new(PROFILE).app("hello");
    let daemon = setup.start();
    let runs = |daemon: &HostedDaemon| {
        let texts = daemon.texts("hello");
        texts
            .iter()
            .filter(|line| *line == "exited with code 0")
            .count()
    };
    daemon.wait_for_app("hello", "to have exited", |app| app.phase == Phase::Exited);
    let [artefact] = &artefacts(&daemon)[..] else {
        panic!("found {:?}; expected one artefact", artefacts(&daemon));
    };
    let whole = fs::read(artefact).expect("an artefact");
    assert!(daemon.stop().success());
    let other = [b"not an artefact".as_slice(), &whole[15..]].concat();
    for damaged in [&whole[..whole.len() / 2], &[], &other] {
        // As a failing disk would leave it, while nothing runs.
        fs::write(artefact, damaged).expect("damage the artefact");
        let daemon = setup.start();
        daemon.until("a whole run", || (runs(&daemon) == 1).then_some(()));
        let app = daemon.app("hello");
        assert_eq!(app.last_ending, Some(Ending::Exited(0)));
        assert_eq!(app.restarts, 0, "it was no failure of the app");
        let events = daemon.events();
        assert!(
            events
                .iter()
                .any(|event| event.app.as_deref() == Some("hello")
                    && event.detail.contains("does not fit")
                    && event.detail.contains("made anew")),
            "{events:?}"
        );
        assert_eq!(fs::read(artefact).expect("the new one").len(), whole.len());
        assert!(daemon.stop().success());
    }
}

#[test]
fn whenever_the_daemon_dies_inside_a_replacement_the_old_or_the_new_version_runs_whole() {
    const MOMENTS: u32 = 15;
    /// The two versions: component, version, and what it says when it runs.
    const VERSIONS: [(&str, &str, &str); 2] =
        [("echo", "1.0.0", "ready"), ("counter", "2.0.0", "1")];
    let setup = Setup::new(PROFILE);
    let packages = VERSIONS.map(|(component, version, _)| {
        let package = setup.scratch().join(component);
        copy_app(component, &package, "app", |text| {
            // Without a trial: what is found is what was installed, and not what was taken back.
            text.replace("0.1.0", version).replacen(
                "\n[capabilities]",
                "health_secs = 0\n\n[capabilities]",
                1,
            )
        });
        package.display().to_string()
    });
    let daemon = setup.start();
    daemon.ctl_ok(&["install", &packages[1]]);
    let counter = daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    let begun = Instant::now();
    daemon.ctl_ok(&["install", &packages[0], "--allow-downgrade"]);
    let took = begun.elapsed();
    let echo = daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    let hashes = [echo.sha256, counter.sha256];
    assert_ne!(hashes[0], hashes[1]);
    drop(daemon);

    let mut current = 0;
    let mut seen = [0; 2];
    // xorshift: other moments than even ones, the same in every run of the test.
    let mut random = 0x9e37_79b9_u32;
    for moment in 0..MOMENTS {
        let daemon = setup.start();
        let mut install = daemon
            .vyomactl()
            .args(["install", &packages[1 - current], "--allow-downgrade"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start vyomactl");
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let share = (f64::from(moment) + f64::from(random % 100) / 100.0) / f64::from(MOMENTS);
        thread::sleep(took.mul_f64(share * 1.2));
        daemon.kill();
        let _ = install.wait();

        let daemon = setup.start();
        let app = daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
        let found = VERSIONS
            .iter()
            .position(|(_, version, _)| *version == app.version);
        let found = found.unwrap_or_else(|| panic!("found version {}", app.version));
        assert_eq!(app.sha256, hashes[found], "a mixture of two versions");
        daemon.wait_for_log("app", VERSIONS[found].2);
        assert_eq!(daemon.app("app").restarts, 0);
        seen[usize::from(found != current)] += 1;
        current = found;
    }
    eprintln!(
        "{} times the old version, {} times the new one",
        seen[0], seen[1]
    );
}

#[test]
fn nans_have_the_bits_that_are_the_same_everywhere() {
    let setup = Setup::new(PROFILE).app("nan");
    let daemon = setup.start();
    daemon.wait_for_log("nan", "exited with code 0");
    // Arithmetic gives the canonical NaN; sign operations only touch the sign, as WebAssembly says.
    let expected = [
        "0 / 0: 7ff8000000000000",
        "-(0 / 0): fff8000000000000",
        "inf - inf: 7ff8000000000000",
        "0 * inf: 7ff8000000000000",
        "sqrt(-1): 7ff8000000000000",
        "payload + 1: 7ff8000000000000",
        "1 + payload: 7ff8000000000000",
        "payload * signalling: 7ff8000000000000",
        "signalling / payload: 7ff8000000000000",
        "floor(signalling): 7ff8000000000000",
        "trunc(payload): 7ff8000000000000",
        "copysign(payload, 1): 7ff8deadbeef0001",
        "abs(payload): 7ff8deadbeef0001",
        "0 / 0 (f32): 7fc00000",
        "payload + 1 (f32): 7fc00000",
        "sqrt(-1) (f32): 7fc00000",
        "signalling * 1 (f32): 7fc00000",
        "widened: 7ff8000000000000",
        "narrowed: 7fc00000",
        "done",
    ];
    let lines = daemon.logs("nan", &[]);
    let found: Vec<&str> = lines
        .iter()
        .filter(|line| line.stream == Stream::Out)
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn recursion_without_end_is_a_trap_and_hurts_nobody() {
    let setup = Setup::new(PROFILE).app("stack-overflow").app("echo");
    let daemon = setup.start();
    let app = daemon.wait_for_app("stack-overflow", "to have exited", |app| {
        app.phase == Phase::Exited
    });
    // A guest has two stacks: the engine's, and the compiler's in linear memory, whose end is the memory's.
    let expected = ["call stack exhausted", "out of bounds memory access"];
    assert!(
        matches!(&app.last_ending, Some(Ending::Trapped(why)) if expected.contains(&&**why)),
        "{:?}",
        app.last_ending
    );
    let echo = daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    assert_eq!(echo.restarts, 0);
}

#[test]
fn clocks_go_forward_and_waits_last_their_time() {
    let setup = Setup::new(PROFILE).app("clocks-poll");
    let daemon = setup.start();
    daemon.wait_for_log("clocks-poll", "exited with code 0");
    let texts = daemon.texts("clocks-poll");
    assert_eq!(
        texts.iter().filter(|line| line.ends_with(": yes")).count(),
        6,
        "{texts:?}"
    );
    assert!(!texts.iter().any(|line| line.contains(": NO")), "{texts:?}");
}

#[test]
fn an_app_that_reads_its_input_to_the_end_waits_until_it_is_stopped() {
    let setup = Setup::new(PROFILE).app("read-all-stdin");
    let daemon = setup.start();
    let before = daemon.wait_for_app("read-all-stdin", "to run", |app| {
        app.phase == Phase::Running
    });
    thread::sleep(Duration::from_secs(2));
    let after = daemon.app("read-all-stdin");
    assert_eq!((after.phase, after.pid), (Phase::Running, before.pid));
    daemon.ctl_ok(&["stop", "read-all-stdin"]);
    assert_eq!(
        daemon.app("read-all-stdin").last_ending,
        Some(Ending::Stopped)
    );
}

/// A setup with an app that prints `lines` as they are, through the guest that repeats its arguments.
fn printing(lines: &str, capabilities: &str) -> Setup {
    Setup::new(PROFILE).app_as("requests", "speaker", |text| {
        // The first line of what it prints is its argument's.
        let args = format!("args = {:?}", [lines]);
        text.replace("args = [\"platform\", \"ping\"]", &args)
            .replace("stdio = true", &format!("stdio = true\n{capabilities}"))
    })
}

#[test]
fn a_broadcast_reaches_every_other_app_and_not_its_sender() {
    // What `ping` waits for, whichever number it has come to; an answer to nobody tells who wrote to the speaker.
    let pongs: Vec<String> = (1..=30).map(|n| format!("@broadcast: pong {n}")).collect();
    let pongs = pongs.join("\n");
    let setup = printing(&format!("{pongs}\n@reply: thanks\n"), "")
        .app_as("ping", "listener-a", str::to_string)
        .app_as("ping", "listener-b", str::to_string);
    let daemon = setup.start();
    daemon.wait_for_log("speaker", "done");
    // It may have spoken before they were there.
    for app in ["listener-a", "listener-b"] {
        daemon.wait_for_app(app, "to have started", |app| {
            matches!(app.phase, Phase::Running | Phase::Exited)
        });
    }
    daemon.wait_for_app("speaker", "to have exited", |app| {
        app.phase == Phase::Exited
    });
    daemon.ctl_ok(&["start", "speaker"]);
    for app in ["listener-a", "listener-b"] {
        daemon.wait_for_log(app, "5 answered");
    }
    // Had its own broadcast come back to it, it would be the one to reply to.
    daemon.wait_for_log("speaker", "@reply: nobody has written to it");
    let texts = daemon.texts("speaker");
    assert!(!texts.iter().any(|line| line.contains("pong")), "{texts:?}");
}

#[test]
fn drawing_and_audio_lines_are_ignored_in_silence_with_and_without_a_display() {
    for capabilities in ["", "display = true"] {
        let lines = "start\nVYOMA_DRAW:clear 0 0 0\nVYOMA_DRAW:flush\nVYOMA_AUDIO:beep\nend";
        let setup = printing(lines, capabilities);
        let daemon = setup.start();
        daemon.wait_for_log("speaker", "done");
        let lines = daemon.logs("speaker", &[]);
        let from = lines.iter().position(|line| line.text == "start");
        let rest: Vec<_> = lines
            .iter()
            .skip(from.expect("the first line") + 1)
            .collect();
        assert!(rest[0].text.starts_with("end -> "), "{lines:?}");
        assert!(
            rest[1..].iter().all(|line| !line.text.contains("VYOMA_")),
            "{lines:?}"
        );
    }
}

#[test]
fn clients_that_never_say_hello_are_sent_away_and_keep_nobody_out() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let begun = Instant::now();
    let connect = || UnixStream::connect(daemon.state().join("control.sock")).expect("connect");
    // All the places that there are.
    let mut silent: Vec<_> = (0..64).map(|_| connect()).collect();
    for client in &mut silent {
        client.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("the end");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("no Hello within 10 s"), "{answer}");
    }
    let took = begun.elapsed();
    assert!((9..20).contains(&took.as_secs()), "{took:?}");
    // They are still connected as far as they know.
    assert!(daemon.ctl(&["ps"]).status.success());
    drop(silent);
}
