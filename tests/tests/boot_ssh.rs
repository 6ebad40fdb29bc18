//! SSH into booted images, with the system's own OpenSSH client: the same bytes that ship, PID 1, the sandbox required in
//! full, the network of an emulated machine. What needs no image is in `hosted_ssh.rs`.

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use vyoma_capabilities::control::{ErrorKind, FrameKind, InstallOptions, Request, Response};
use vyoma_capabilities::lifecycle::Ending;
use vyoma_system_tests::booted::{Device, Machine};
use vyoma_system_tests::desk::Desk;
use vyoma_system_tests::operator::Operator;
use vyoma_system_tests::{copy_app, guest};

/// An emulated machine on a loaded host.
const PATIENCE: Duration = Duration::from_mins(3);
/// Connections at once: more than any device takes.
const CROWD: usize = 200;

#[test]
fn a_server_is_operated_by_ssh_alone_and_holds_against_whoever_has_no_key() {
    operate("server-headless");
}

#[test]
fn the_smallest_linux_device_is_operated_by_ssh_alone_and_holds_against_whoever_has_no_key() {
    operate("iot-edge");
}

fn operate(platform: &str) {
    let desk = Desk::new();
    // One app beside what is installed: every demonstration app at once leaves the 32 MB of iot-edge no room for an installation.
    let machine = Machine::new(platform, "aarch64")
        .app("echo")
        .ssh(&desk.file("id.pub"));
    let mut device = machine.start();
    let target = format!("ssh://localhost:{}", device.ssh_port());
    let console = desk.file("console");
    let remote = desk.operator(&target, &console, PATIENCE);
    let listening = device.until("an event about SSH", || event(&device, "host key SHA256:"));
    // Over IPv6, and IPv4 as QEMU forwards.
    assert!(
        listening.starts_with("at [::]:22 for 1 keys"),
        "{listening}"
    );

    installs_and_shows_how_apps_end(&remote);
    strangers_stay_outside(&desk, &remote);
    device.until("an event about who logged in", || {
        event(&device, "(id@desk)")
    });
    uploads_are_bounded(&desk, &device);
    a_crowd_is_refused_in_order(&device, &remote);

    // The host key is the same after a reboot, which also forgets who failed to log in.
    device.ctl_ok(&["reboot", "--yes"]);
    let again = device.until("the second boot's word about SSH", || {
        let console = device.console();
        let mut said = console
            .lines()
            .filter(|line| line.contains("host key SHA256:"));
        said.nth(1).map(|line| line.trim_end().to_owned())
    });
    device.wait_until_it_answers();
    let key = |line: &str| {
        line.split("host key ")
            .nth(1)
            .map(|key| key.replace(", made now", ""))
    };
    assert_eq!(key(&again), key(&listening));
    assert!(listening.ends_with(", made now") && !again.ends_with(", made now"));
    desk.configure("id", "yes");
    assert_eq!(remote.app("hello").name, "hello");
    remote.ctl_ok(&["shutdown", "--yes"]);
    device.ended();
}

fn event(device: &Device, needle: &str) -> Option<String> {
    let events = device.events().into_iter();
    events
        .filter(|event| event.kind == "ssh")
        .map(|event| event.detail)
        .find(|detail| detail.contains(needle))
}

fn installs_and_shows_how_apps_end(remote: &Operator) {
    let install = |app: &str| {
        remote.ctl_ok(&["install", "--no-aot", &guest(app).display().to_string()]);
    };
    install("hello");
    remote.wait_for_log("hello", "hello");
    // A new version that crashes is taken back; one that does not can be taken back by hand.
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let package = |component: &str, version: &str| {
        let folder = scratch.path().join(version);
        copy_app(component, &folder, "hello", |text| {
            let text = text.replace("0.1.0", version);
            text.replacen("\n[capabilities]", "health_secs = 1\n\n[capabilities]", 1)
        });
        folder.display().to_string()
    };
    let bad = package("trap", "0.2.0");
    let (code, said) = remote.ctl_fails(&["install", "--no-aot", "--wait", &bad]);
    assert_eq!(code, 9, "{said}");
    remote.wait_for_app("hello", "as 0.1.0", |app| app.version == "0.1.0");
    remote.ctl_ok(&["install", "--no-aot", "--wait", &package("hello", "0.3.0")]);
    assert_eq!(remote.app("hello").version, "0.3.0");
    remote.ctl_ok(&["rollback", "hello"]);
    assert_eq!(remote.app("hello").version, "0.1.0");
    install("trap");
    remote.wait_for_app("trap", "to trap", |app| {
        matches!(app.last_ending, Some(Ending::Trapped(_)))
    });
    remote.ctl_ok(&["remove", "trap"]);
    let (code, said) = remote.ctl_fails(&["start", "trap"]);
    assert_eq!(code, 3, "{said}");
}

fn strangers_stay_outside(desk: &Desk, remote: &Operator) {
    desk.make_key("other");
    for (key, said) in [("other", "other.pub"), ("none", "ssh-keygen -t ed25519")] {
        desk.configure(key, "accept-new");
        let (code, message) = remote.ctl_fails(&["ps"]);
        assert_eq!(code, 14, "{message}");
        assert!(message.contains(said), "{message}");
    }
    desk.configure("id", "accept-new");
    remote.ps();
}

fn uploads_are_bounded(desk: &Desk, device: &Device) {
    let manifest = std::fs::read_to_string(guest("echo").join("vyoma.toml")).expect("a manifest");
    let announce = |size: u64| Request::Install {
        manifest: manifest.clone(),
        component_size: size,
        sha256: "0".repeat(64),
        ahead_of_time: None,
        options: InstallOptions::default(),
    };
    let refused = |answer: Option<Response>| match answer {
        Some(Response::Error(error)) => error,
        other => panic!("{other:?}"),
    };
    // 1 GB is refused before a byte of it is sent.
    let mut large = desk.frames(device.ssh_port());
    assert_eq!(
        refused(large.ask(&announce(1 << 30))).kind,
        ErrorKind::Limit
    );
    let mut slow = desk.frames(device.ssh_port());
    let request = serde_json::to_vec(&announce(200_000)).expect("JSON");
    slow.send(FrameKind::Json, &request);
    slow.send(FrameKind::Bytes, &vec![0; 100_000]);
    let error = refused(slow.answer());
    assert!(error.message.contains("stalled"), "{error}");
    assert!(slow.answer().is_none(), "the connection is over");
}

/// Some are let in as far as the log-in, all others are told why not, and whoever was inside goes on.
fn a_crowd_is_refused_in_order(device: &Device, remote: &Operator) {
    let follower = remote.follow(&["logs", "-f", "hello"]);
    follower.wait_for("hello");
    let port = device.ssh_port();
    let connect = || {
        thread::spawn(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let mut line = [0; 256];
            let count = stream.read(&mut line).unwrap_or(0);
            (stream, String::from_utf8_lossy(&line[..count]).into_owned())
        })
    };
    let crowd: Vec<_> = (0..CROWD).map(|_| connect()).collect();
    let mut greeted = Vec::new();
    let mut told = 0;
    for (stream, line) in crowd.into_iter().map(|one| one.join().expect("a thread")) {
        if line.starts_with("SSH-2.0-vyomad_") {
            greeted.push(stream);
        } else {
            // Beyond those that are told why, connections are just closed.
            assert!(line.is_empty() || line.starts_with("vyomad: "), "{line:?}");
            told += usize::from(!line.is_empty());
        }
    }
    assert!(
        (1..CROWD / 2).contains(&greeted.len()),
        "{} were let in",
        greeted.len()
    );
    assert!(told > 0, "nobody was told why");
    device.ctl_ok(&["restart", "hello"]);
    follower.wait_for("hello");
    drop(greeted);
    device.until("an event about refusals", || event(device, "refused since"));
}
