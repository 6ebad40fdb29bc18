//! SSH against a hosted daemon, with the system's own OpenSSH client: who gets in, what for, and what is refused.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use vyoma_system_tests::desk::Desk;
use vyoma_system_tests::frames::Frames;
use vyoma_system_tests::guest;
use vyoma_system_tests::hosted::{HostedDaemon, SOON, Setup};
use vyoma_system_tests::operator::Operator;

/// A daemon with SSH, and a desk whose key may log in.
struct Place {
    desk: Desk,
    setup: Setup,
}

impl Place {
    fn new() -> Self {
        Self::at("127.0.0.1")
    }

    /// Listens at that address.
    fn at(address: &str) -> Self {
        let desk = Desk::new();
        let keys = desk.file("id.pub").display().to_string();
        let listen = format!("{address}:0");
        let setup = Setup::new("server-headless").arg(&["--ssh", &listen, "--ssh-keys", &keys]);
        Self { desk, setup }
    }

    fn start(&self) -> Served<'_> {
        let daemon = self.setup.start();
        let address: SocketAddr = daemon.until("an event about SSH", || {
            daemon.events().into_iter().find_map(|event| {
                let (address, _) = event.detail.strip_prefix("at ")?.split_once(' ')?;
                (event.kind == "ssh").then(|| address.parse().expect("an address"))
            })
        });
        Served {
            place: self,
            daemon,
            port: address.port(),
        }
    }
}

struct Served<'a> {
    place: &'a Place,
    daemon: HostedDaemon,
    port: u16,
}

impl Served<'_> {
    fn operator(&self) -> Operator {
        self.operator_at("127.0.0.1")
    }

    fn operator_at(&self, address: &str) -> Operator {
        let target = format!("ssh://{address}:{}", self.port);
        let console = self.place.setup.scratch().join("console");
        self.place.desk.operator(&target, &console, SOON)
    }

    fn has_event(&self, needle: &str) -> bool {
        let events = self.daemon.events();
        events.iter().any(|event| event.detail.contains(needle))
    }

    /// Processes that serve SSH.
    fn sessions(&self) -> Vec<u32> {
        let is_ssh = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with("vyomad\0ssh\0"))
        };
        self.daemon
            .children()
            .into_iter()
            .map(|(pid, _)| pid)
            .filter(is_ssh)
            .collect()
    }

    fn wait_until_no_session_is_left(&self) {
        self.daemon.until("the end of all SSH processes", || {
            self.sessions().is_empty().then_some(())
        });
    }
}

#[test]
fn every_command_works_over_ssh_as_it_does_on_the_socket() {
    let place = Place::new();
    let served = place.start();
    let remote = served.operator();
    assert!(remote.ps().is_empty());
    let said = remote.ctl_ok(&["install", &guest("hello").display().to_string()]);
    assert!(said.contains("hello"), "{said}");
    remote.wait_for_log("hello", "");
    assert_eq!(remote.info().platform, "server-headless");
    let (code, said) = remote.ctl_fails(&["stop", "nobody"]);
    assert_eq!(code, 3, "{said}");
    served.wait_until_no_session_is_left();
    assert!(served.has_event("(id@desk)"), "who logged in is an event");
}

#[test]
fn ssh_is_served_over_ipv4_and_ipv6_alike() {
    // As a device listens.
    let place = Place::at("[::]");
    let served = place.start();
    for (address, shown) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let remote = served.operator_at(address);
        assert_eq!(remote.info().platform, "server-headless");
        assert!(
            served.has_event(&format!("{shown} logged in as")),
            "{address}"
        );
    }
    assert!(!served.has_event("::ffff:"), "one address has two names");
}

#[test]
fn who_has_no_authorised_key_is_told_what_to_do_and_stays_outside() {
    let place = Place::new();
    let served = place.start();
    place.desk.make_key("other");
    place.desk.configure("other", "accept-new");
    let (code, said) = served.operator().ctl_fails(&["ps"]);
    assert_eq!(code, 14, "{said}");
    assert!(
        said.contains("other.pub") && said.lines().count() == 1,
        "{said}"
    );
    place.desk.configure("none", "accept-new");
    let (code, said) = served.operator().ctl_fails(&["ps"]);
    assert_eq!(code, 14, "{said}");
    assert!(said.contains("ssh-keygen -t ed25519"), "{said}");
    // Passwords and the like are not even offered.
    let asked = place.desk.run_ssh(
        served.port,
        &[
            "-o",
            "PreferredAuthentications=password,keyboard-interactive,hostbased",
        ],
        &["vyoma-control"],
    );
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(said.contains("Permission denied (publickey)"), "{said}");
    // The key that is wanted still opens.
    place.desk.configure("id", "accept-new");
    served.operator().ps();
}

#[test]
fn a_host_key_that_is_unknown_or_another_one_is_told_apart_and_nothing_is_sent() {
    let place = Place::new();
    let served = place.start();
    place.desk.configure("id", "yes");
    let (code, said) = served.operator().ctl_fails(&["ps"]);
    assert_eq!(code, 15, "{said}");
    assert!(
        said.contains("not known here") && said.contains(&format!("ssh -p {}", served.port)),
        "{said}"
    );
    place.desk.configure("id", "accept-new");
    served.operator().ps();
    let key = place.setup.state().join("ssh/host_key");
    let port = served.port.to_string();
    served.daemon.stop();

    // The same state directory has the same key ...
    let before = fs::read_to_string(&key).expect("a host key");
    let known = fs::read_to_string(place.desk.file("known_hosts")).expect("known hosts");
    let served = place.start();
    assert_eq!(fs::read_to_string(&key).expect("a host key"), before);
    served.operator().ps();
    let shown = fs::read_to_string(place.desk.file("known_hosts")).expect("known hosts");
    let keys = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.rsplit(' ').next())
            .map(str::to_owned)
            .collect()
    };
    assert!(
        keys(&shown).iter().all(|key| keys(&known).contains(key)),
        "{known} {shown}"
    );
    served.daemon.stop();

    // ... and without it there is another one, of which the client is warned.
    fs::remove_file(&key).expect("a host key");
    let served = place.start();
    let now = served.port.to_string();
    fs::write(place.desk.file("known_hosts"), known.replace(&port, &now)).expect("known hosts");
    let (code, said) = served.operator().ctl_fails(&["ps"]);
    assert_eq!(code, 15, "{said}");
    assert!(
        said.contains(&format!("ssh-keygen -R '[127.0.0.1]:{now}'")),
        "{said}"
    );
}

#[test]
fn there_is_no_shell_no_terminal_no_forwarding_and_no_agent() {
    let place = Place::new();
    let served = place.start();
    let refused = |arguments: &[&str], command: &[&str], expected: &str| {
        let output = place.desk.run_ssh(served.port, arguments, command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} {command:?}");
        assert!(said.contains(expected), "{arguments:?} {command:?}: {said}");
        assert!(output.stdout.is_empty());
    };
    refused(&["-T"], &[], "shell request failed");
    refused(&["-tt"], &[], "PTY allocation request failed");
    for command in [
        "sh",
        "vyoma-control; sh",
        "vyoma-control --socket /x",
        "scp -t /",
        "",
    ] {
        refused(&[], &[&format!("{command} ")], "exec request failed");
    }
    refused(&["-s"], &["sftp"], "subsystem request failed");
    refused(&["-W", "127.0.0.1:22"], &[], "open failed: ");
    refused(
        &[
            "-o",
            "ExitOnForwardFailure=yes",
            "-N",
            "-R",
            "0:127.0.0.1:22",
        ],
        &[],
        "remote port forwarding failed",
    );
    refused(
        &[
            "-o",
            "ExitOnForwardFailure=yes",
            "-N",
            "-R",
            "/tmp/vyoma-no.sock:127.0.0.1:22",
        ],
        &[],
        "remote port forwarding failed",
    );
    // One connection, one conversation: a second channel on it is refused.
    let socket = place.desk.file("mux").display().to_string();
    let first = place
        .desk
        .ssh(served.port, &["-M", "-S", &socket], &["vyoma-control"]);
    let first = Frames::over(first);
    let output = place
        .desk
        .run_ssh(served.port, &["-S", &socket], &["vyoma-control"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Session open refused by peer"), "{said}");
    drop(first);
    // An agent and X11 are asked for in silence: what matters is that nothing comes of it.
    let agent = place.desk.file("agent");
    let _agent = std::os::unix::net::UnixListener::bind(&agent).expect("a socket");
    let agent = place.desk.ssh(
        served.port,
        &[
            "-o",
            &format!("ForwardAgent={}", agent.display()),
            "-o",
            "ForwardX11=yes",
        ],
        &["vyoma-control"],
    );
    let mut frames = Frames::over(agent);
    assert!(
        frames
            .ask(&vyoma_capabilities::control::Request::Ps)
            .is_some()
    );
    assert!(frames.finish().success());
    served.wait_until_no_session_is_left();
}

#[test]
fn a_session_is_a_process_of_its_own_that_ends_with_it_and_has_no_privileges() {
    let place = Place::new();
    let served = place.start();
    let mut first = place.desk.frames(served.port);
    let second = place.desk.frames(served.port);
    let sessions = served.sessions();
    assert_eq!(sessions.len(), 2);
    for pid in &sessions {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = |key: &str| {
            let found = status.lines().find_map(|line| line.strip_prefix(key));
            found
                .expect(key)
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(line("NoNewPrivs:"), ["1"]);
        assert_eq!(line("CapEff:"), ["0000000000000000"]);
        assert_eq!(line("Threads:"), ["1"]);
        assert_eq!(line("Seccomp:"), ["2"]);
        if line("Uid:")[0] != "0" && nix_is_root() {
            assert_eq!(line("Uid:"), ["19998"; 4]);
        }
    }
    // One that dies takes nobody along.
    assert!(second.finish().success());
    served.daemon.until("the end of one session", || {
        (served.sessions().len() == 1).then_some(())
    });
    assert!(
        first
            .ask(&vyoma_capabilities::control::Request::Ps)
            .is_some()
    );
    drop(first);
    served.wait_until_no_session_is_left();
}

/// Whether this test, and so the daemon, is root.
fn nix_is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

#[test]
fn connections_have_a_bound_and_those_beyond_it_are_told_while_others_go_on() {
    use std::io::Read;
    let place = Place::new();
    let served = place.start();
    let mut inside = place.desk.frames(served.port);
    let told = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let mut line = [0; 128];
        let count = stream.read(&mut line).unwrap_or(0);
        String::from_utf8_lossy(&line[..count]).into_owned()
    };
    // Silent ones hold their places until their time is over; the machine that tests run on has room for at least 16.
    let mut silent: Vec<TcpStream> = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).expect("a connection");
        let line = told(&mut stream);
        if line.starts_with("vyomad: ") {
            break line;
        }
        assert!(line.starts_with("SSH-2.0-vyomad_"), "{line:?}");
        silent.push(stream);
        assert!(silent.len() <= 64, "no bound in sight");
    };
    assert!(refused.contains("have not logged in yet"), "{refused}");
    assert!((2..=16).contains(&silent.len()), "{}", silent.len());
    // vyomactl says what that means; who is inside notices nothing.
    let (code, said) = served.operator().ctl_fails(&["ps"]);
    assert_eq!(code, 10, "{said}");
    assert!(said.contains("wait a minute"), "{said}");
    assert!(
        inside
            .ask(&vyoma_capabilities::control::Request::Ps)
            .is_some()
    );
    drop(silent);
    // They had not logged in, so their address has to wait a little.
    served.daemon.until("that the address waits", || {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).expect("a connection");
        told(&mut stream)
            .contains("this address failed to log in too often")
            .then_some(())
    });
    assert!(served.has_event("failed to log in 5 times"));
}

#[test]
fn a_component_that_is_too_large_is_refused_by_its_announcement_and_one_that_stalls_is_given_up() {
    use vyoma_capabilities::control::{ErrorKind, FrameKind, InstallOptions, Request, Response};
    let place = Place::new();
    let served = place.start();
    let manifest = fs::read_to_string(guest("hello").join("vyoma.toml")).expect("a manifest");
    let announce = |size: u64| Request::Install {
        manifest: manifest.clone(),
        component_size: size,
        sha256: "0".repeat(64),
        ahead_of_time: None,
        options: InstallOptions::default(),
    };
    let mut large = place.desk.frames(served.port);
    // Not a byte of it is sent.
    match large.ask(&announce(1 << 30)) {
        Some(Response::Error(error)) => assert_eq!(error.kind, ErrorKind::Limit, "{error}"),
        other => panic!("{other:?}"),
    }
    drop(large);
    let mut slow = place.desk.frames(served.port);
    slow.send(
        FrameKind::Json,
        &serde_json::to_vec(&announce(200_000)).expect("JSON"),
    );
    slow.send(FrameKind::Bytes, &vec![0; 100_000]);
    // Meanwhile others are served.
    served.operator().ps();
    match slow.answer() {
        Some(Response::Error(error)) => assert!(error.message.contains("stalled"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(slow.answer().is_none(), "the connection is over");
    drop(slow);
    served.wait_until_no_session_is_left();
    assert!(served.operator().ps().is_empty());
}

#[test]
fn without_anybody_to_let_in_nothing_listens_and_a_bad_line_lets_nobody_in() {
    let desk = Desk::new();
    let setup = Setup::new("server-headless").arg(&["--ssh", "127.0.0.1:0"]);
    let daemon = setup.start();
    daemon.until("an event", || {
        daemon
            .events()
            .into_iter()
            .find(|event| event.kind == "ssh" && event.detail.starts_with("off: "))
    });
    daemon.stop();
    let public = fs::read_to_string(desk.file("id.pub")).expect("a key");
    let keys = setup.state().join("ssh/authorized_keys");
    fs::write(&keys, format!("command=\"x\" {public}nonsense\n")).expect("keys");
    let daemon = setup.start();
    let found = daemon.until("a warning", || {
        daemon
            .events()
            .into_iter()
            .find(|event| event.detail.contains("authorized_keys:2: "))
    });
    assert_eq!(found.kind, "warning");
    daemon.stop();
    // A key that comes while it runs counts from the next connection on.
    let place = Place {
        desk,
        setup: setup.arg(&[]),
    };
    let served = place.start();
    assert_eq!(served.operator().ctl_fails(&["ps"]).0, 14);
    fs::write(&keys, public).expect("keys");
    served.operator().ps();
}

#[test]
fn an_image_with_an_ssh_server_of_its_own_serves_the_same_by_a_forced_command() {
    use std::os::unix::fs::PermissionsExt;
    // What such a server does: it runs the forced command, whatever the client wanted, with its pipes for stdio.
    let setup = Setup::new("server-headless").app("hello");
    let daemon = setup.start();
    let desk = Desk::new();
    let vyomad = vyoma_system_tests::from_make_test("VYOMAD_BIN");
    let socket = setup.state().join("control.sock");
    let forced = |socket: &std::path::Path| {
        let script = format!(
            "#!/bin/sh\nexec {} control --socket {}\n",
            vyomad.display(),
            socket.display()
        );
        fs::write(desk.file("bin/ssh"), script).expect("a script");
        fs::set_permissions(desk.file("bin/ssh"), fs::Permissions::from_mode(0o755))
            .expect("permissions");
    };
    forced(&socket);
    let remote = desk.operator("ssh://device", &setup.scratch().join("console"), SOON);
    assert_eq!(remote.app("hello").name, "hello");
    let follower = remote.follow(&["logs", "-f", "hello"]);
    daemon.ctl_ok(&["restart", "hello"]);
    follower.wait_for("hello");
    remote.ctl_ok(&["install", &guest("echo").display().to_string()]);
    forced(&socket.with_extension("none"));
    let (code, said) = remote.ctl_fails(&["ps"]);
    assert_eq!(code, 13, "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
}

#[test]
fn several_devices_answer_in_one_table_and_fail_each_in_its_own_row() {
    let place = Place::new();
    let served = place.start();
    let second = Setup::new("mobile");
    let other = second.start();
    let config = place.desk.file("config-home");
    let file = config.join("vyoma/targets.toml");
    let here = |operator: &Operator, arguments: &[&str]| {
        let mut command =
            std::process::Command::new(vyoma_system_tests::from_make_test("VYOMACTL_BIN"));
        command
            .args(arguments)
            .env("PATH", place.desk.path())
            .env("XDG_CONFIG_HOME", &config)
            .env("XDG_CACHE_HOME", place.desk.file("cache"))
            .env_remove("VYOMA_TARGET");
        let _ = operator;
        command.output().expect("run vyomactl")
    };
    let run = |arguments: &[&str]| {
        let output = here(&served.operator(), arguments);
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let socket = format!("unix://{}/control.sock", second.state().display());
    let ssh = format!("ssh://127.0.0.1:{}", served.port);
    let (code, out, err) = run(&["target", "add", "shed", &ssh, "--group", "all", "--default"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("it answers: server-headless"), "{out}");
    run(&["target", "add", "lab", &socket, "--group", "all"]);
    // One that is not there is added all the same, with the reason.
    let (code, out, _) = run(&[
        "target",
        "add",
        "gone",
        "ssh://127.0.0.1:1",
        "--group",
        "some",
    ]);
    assert_eq!(code, 0);
    assert!(out.contains("connection refused"), "{out}");
    let (_, out, _) = run(&["target", "list"]);
    assert!(out.contains("shed") && out.contains("yes"), "{out}");
    assert!(fs::read_to_string(&file).is_ok_and(|text| text.contains("[groups]")));

    let (code, out, err) = run(&["info", "-t", "all"]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(
        lines[1].starts_with("shed") && lines[1].contains("server-headless"),
        "{out}"
    );
    assert!(
        lines[2].starts_with("lab") && lines[2].contains("mobile"),
        "{out}"
    );

    let hello = guest("hello").display().to_string();
    let (code, out, err) = run(&["install", &hello, "-t", "all"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.matches("install hello").count(), 2, "{out}");
    let (code, out, _) = run(&["ps", "-t", "shed", "-t", "lab", "--output", "json"]);
    assert_eq!(code, 0);
    for (line, name) in out.lines().zip(["shed", "lab"]) {
        let document: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(
            (&document["target"], &document["ok"]),
            (&name.into(), &true.into())
        );
        assert_eq!(document["result"][0]["name"], "hello");
    }
    // The default is one device, so its table is the usual one.
    let (code, out, err) = run(&["ps"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("NAME") && out.contains("hello"), "{out}");

    let (code, out, err) = run(&["stop", "hello", "-t", "all", "-t", "gone"]);
    assert_eq!(
        code, 10,
        "the only failure is that of the third: {out}{err}"
    );
    assert!(err.contains("1 of 3 targets failed"), "{err}");
    assert!(
        out.lines()
            .any(|line| line.starts_with("gone") && line.contains("refused")),
        "{out}"
    );
    let (code, _, err) = run(&["stop", "nobody", "-t", "all", "-t", "gone"]);
    assert_eq!(code, 16, "{err}");
    run(&["target", "remove", "gone"]);
    let (code, _, err) = run(&["ps", "-t", "gone"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("expected one of shed, lab, all"), "{err}");
    other.stop();
}
