//! Installing, replacing and removing apps while a hosted daemon runs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use vyoma_capabilities::control::{
    FrameKind, InstallOptions, PROTOCOL, Request, Stream, encode_header,
};
use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::guest;
use vyoma_system_tests::hosted::{HostedDaemon, Setup, copy_app, wait_for};

const PROFILE: &str = "server-headless";

#[test]
fn an_app_is_installed_replaced_and_removed_without_a_restart() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    assert!(daemon.ps().is_empty());
    let package = setup.scratch().join("package");
    copy_app("echo", &package, "newcomer", str::to_string);
    daemon.ctl_ok(&["install", &package.display().to_string()]);
    let first = daemon.wait_for_app("newcomer", "to run", |app| app.phase == Phase::Running);
    assert_eq!(first.version, "0.1.0");

    copy_app("counter", &package, "newcomer", |text| {
        text.replace("0.1.0", "0.2.0")
    });
    fs::remove_file(package.join("echo.wasm")).expect("remove the old component");
    daemon.ctl_ok(&["install", &package.display().to_string()]);
    let second = daemon.wait_for_app("newcomer", "to run as 0.2.0", |app| {
        app.phase == Phase::Running && app.version == "0.2.0"
    });
    assert_ne!(second.sha256, first.sha256);
    assert_ne!(second.pid, first.pid);

    daemon.ctl_ok(&["remove", "newcomer"]);
    assert!(daemon.ps().is_empty());
    for left in [
        "apps/newcomer",
        "logs/newcomer.log",
        "epitaphs/newcomer.json",
    ] {
        assert!(!daemon.state().join(left).exists(), "{left} is left");
    }
    let stored = fs::read_dir(daemon.state().join("store"))
        .expect("the store")
        .count();
    assert_eq!(stored, 0, "artefacts of removed apps are left");
}

#[test]
fn an_installed_app_hides_the_image_s_and_a_removed_one_stays_away() {
    let setup = Setup::new(PROFILE).app("echo");
    let daemon = setup.start();
    let package = setup.scratch().join("package");
    copy_app("echo", &package, "echo", |text| {
        text.replace("0.1.0", "9.9.9")
    });
    daemon.ctl_ok(&["install", &package.display().to_string()]);
    daemon.wait_for_app("echo", "to run as 9.9.9", |app| {
        app.version == "9.9.9" && app.phase == Phase::Running
    });
    assert!(daemon.stop().success());
    let daemon = setup.start();
    daemon.wait_for_app("echo", "to run as 9.9.9", |app| {
        app.version == "9.9.9" && app.phase == Phase::Running
    });
    daemon.ctl_ok(&["remove", "echo"]);
    assert!(daemon.ps().is_empty());
    assert!(daemon.stop().success());
    let daemon = setup.start();
    assert!(daemon.ps().is_empty(), "an app that was removed came back");
    daemon.ctl_ok(&["install", &package.display().to_string()]);
    daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
}

#[test]
fn a_hash_mismatch_names_both_hashes_and_leaves_the_old_version_running() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = setup.scratch().join("package");
    copy_app("echo", &package, "echo", str::to_string);
    daemon.ctl_ok(&["install", &package.display().to_string()]);
    let before = daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    let pinned = "0".repeat(64);
    copy_app("echo", &package, "echo", |text| {
        text.replace(
            "wasm = \"echo.wasm\"",
            &format!("wasm = \"echo.wasm\"\nwasm_sha256 = \"{pinned}\""),
        )
    });
    let (code, message) = daemon.ctl_fails(&["install", &package.display().to_string()]);
    assert_eq!(code, 5, "{message}");
    assert!(
        message.contains(&pinned) && message.contains(&before.sha256),
        "{message}"
    );
    let after = daemon.app("echo");
    assert_eq!((after.phase, after.pid), (Phase::Running, before.pid));
}

#[test]
fn an_image_app_whose_hash_is_wrong_is_not_started_and_both_hashes_are_named() {
    let pinned = "1".repeat(64);
    let setup = Setup::new(PROFILE).app_as("echo", "echo", |text| {
        text.replace(
            "wasm = \"echo.wasm\"",
            &format!("wasm = \"echo.wasm\"\nwasm_sha256 = \"{pinned}\"\nrestart = \"never\""),
        )
        .replacen("restart = \"always\"\n", "", 1)
    });
    let daemon = setup.start();
    let app = daemon.wait_for_app("echo", "to be refused", |app| app.last_ending.is_some());
    let why = app
        .last_ending
        .map(|ending| ending.to_string())
        .unwrap_or_default();
    assert!(why.contains(&pinned) && why.contains(&app.sha256), "{why}");
}

#[test]
fn what_is_no_component_is_refused_and_nothing_is_left_of_it() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = setup.scratch().join("package");
    copy_app("echo", &package, "junk", str::to_string);
    fs::write(package.join("echo.wasm"), "this is no component").expect("write junk");
    let (code, message) = daemon.ctl_fails(&["install", &package.display().to_string()]);
    assert_eq!(code, 4, "{message}");
    assert!(daemon.ps().is_empty());
    assert_eq!(
        fs::read_dir(daemon.state().join("apps"))
            .expect("apps")
            .count(),
        0
    );
    assert_eq!(
        fs::read_dir(daemon.state().join("store"))
            .expect("store")
            .count(),
        0
    );
}

#[test]
fn a_component_is_compiled_once_and_the_artefact_is_used_from_then_on() {
    let setup = Setup::new(PROFILE).app("hello");
    let daemon = setup.start();
    daemon.wait_for_app("hello", "to have exited", |app| app.phase == Phase::Exited);
    let artefacts = || -> Vec<_> {
        let entries = fs::read_dir(daemon.state().join("store"))
            .expect("the store")
            .flatten();
        entries
            .map(|entry| (entry.file_name(), entry.metadata().expect("metadata").ino()))
            .collect()
    };
    let first = artefacts();
    assert_eq!(first.len(), 1);
    daemon.ctl_ok(&["start", "hello"]);
    daemon.until("a second run", || {
        (daemon
            .texts("hello")
            .iter()
            .filter(|line| *line == "exited with code 0")
            .count()
            == 2)
            .then_some(())
    });
    assert_eq!(artefacts(), first);
}

#[test]
fn without_jit_only_artefacts_that_came_with_the_image_run() {
    let setup = Setup::new(PROFILE)
        .profile_text(|text| text.replace("jit = true", "jit = false"))
        .app("hello");
    let daemon = setup.start();
    let app = daemon.wait_for_app("hello", "to be refused", |app| app.last_ending.is_some());
    let why = app
        .last_ending
        .map(|ending| ending.to_string())
        .unwrap_or_default();
    assert!(why.contains("runtime.jit"), "{why}");
}

#[test]
fn without_a_cache_the_store_stays_empty_and_apps_run() {
    let setup = Setup::new(PROFILE)
        .profile_text(|text| text.replace("cache_compiled = true", "cache_compiled = false"))
        .app("hello");
    let daemon = setup.start();
    daemon.wait_for_log("hello", "exited with code 0");
    assert_eq!(
        fs::read_dir(daemon.state().join("store"))
            .expect("store")
            .count(),
        0
    );
}

#[test]
fn an_app_s_files_are_its_own_and_outlive_it() {
    let setup = Setup::new(PROFILE)
        .app("notes")
        .app_as("notes", "other", str::to_string);
    let daemon = setup.start();
    daemon.wait_for_log("notes", "start 1");
    daemon.wait_for_log("other", "start 1");
    daemon.ctl_ok(&["restart", "notes"]);
    daemon.wait_for_log("notes", "start 2");
    let folder =
        |app: &str| fs::metadata(daemon.state().join("data").join(app)).expect("a data folder");
    assert_eq!(folder("notes").permissions().mode() & 0o777, 0o700);
    if folder("notes").uid() != 0 && fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        assert_ne!(folder("notes").uid(), folder("other").uid());
    }
    daemon.ctl_ok(&["remove", "other", "--keep-data"]);
    assert!(daemon.state().join("data/other/starts.txt").exists());
    daemon.ctl_ok(&["remove", "notes"]);
    assert!(!daemon.state().join("data/notes").exists());
}

#[test]
fn an_app_reaches_no_file_outside_its_folder() {
    let setup = Setup::new(PROFILE).app("fs-probe").app("notes");
    let daemon = setup.start();
    daemon.wait_for_log("fs-probe", "exited with code");
    for line in daemon
        .logs("fs-probe", &[])
        .iter()
        .filter(|line| line.stream == Stream::Out)
    {
        let forbidden = line.text.contains("/etc/passwd")
            || line.text.contains("..")
            || line.text.contains("/proc/");
        assert!(
            !(forbidden && line.text.ends_with(": ok") && line.text.starts_with("read")),
            "{}",
            line.text
        );
    }
}

#[test]
fn without_network_every_call_is_refused_and_with_it_they_work() {
    let setup = Setup::new(PROFILE)
        .app("net-probe")
        .app_as("net-probe", "granted", |text| {
            text.replace("stdio = true", "stdio = true\nnetwork = true")
        });
    let daemon = setup.start();
    for app in ["net-probe", "granted"] {
        daemon.wait_for_log(app, "done");
    }
    let of = |app: &str| -> Vec<String> {
        let lines = daemon
            .logs(app, &[])
            .into_iter()
            .filter(|line| line.stream == Stream::Out && line.text.contains(": "));
        lines.map(|line| line.text).collect()
    };
    assert!(of("net-probe").len() >= 6);
    assert!(
        of("net-probe").iter().all(|line| !line.ends_with(": ok")),
        "{:?}",
        of("net-probe")
    );
    assert!(
        of("granted")
            .iter()
            .any(|line| line == "tcp bind 0.0.0.0:0: ok"),
        "{:?}",
        of("granted")
    );
}

#[test]
fn a_manifest_with_a_mistake_is_refused_by_name_and_the_other_apps_run() {
    let setup = Setup::new(PROFILE)
        .app("echo")
        .app_as("hello", "broken", |text| {
            text.replace("stdio = true", "stdoi = true")
        });
    let daemon = setup.start();
    daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    let warning = daemon
        .events()
        .into_iter()
        .find(|event| event.detail.contains("stdoi"));
    let warning = warning.expect("a warning that names the key");
    assert!(
        warning.detail.contains("broken/vyoma.toml") && warning.detail.contains("stdio"),
        "{}",
        warning.detail
    );
}

#[test]
fn two_apps_of_one_name_are_refused_by_name() {
    let setup = Setup::new(PROFILE).app("echo");
    copy_app(
        "hello",
        &setup.apps().join("zz-other-folder"),
        "echo",
        str::to_string,
    );
    let daemon = setup.start();
    daemon.wait_for_app("echo", "to run", |app| app.phase == Phase::Running);
    let warning = daemon
        .events()
        .into_iter()
        .find(|event| event.detail.contains("zz-other-folder"));
    assert!(
        warning.is_some_and(|warning| warning.detail.contains("echo")),
        "{:?}",
        daemon.events()
    );
    assert!(guest("echo").exists());
}

/// A client that has announced an installation of `package` and sent half of it.
fn half_an_upload(daemon: &HostedDaemon, package: &Path) -> UnixStream {
    let mut client = UnixStream::connect(daemon.state().join("control.sock")).expect("connect");
    let component = fs::read(package.join("echo.wasm")).expect("a component");
    let mut frame = |kind, body: &[u8]| {
        let header = encode_header(kind, body.len()).expect("a frame");
        client.write_all(&[&header, body].concat()).expect("write");
    };
    let install = Request::Install {
        manifest: fs::read_to_string(package.join("vyoma.toml")).expect("a manifest"),
        component_size: component.len() as u64,
        sha256: "0".repeat(64),
        ahead_of_time: None,
        options: InstallOptions::default(),
    };
    for request in [Request::Hello { protocol: PROTOCOL }, install] {
        let json = serde_json::to_vec(&request).expect("JSON");
        frame(FrameKind::Json, &json);
    }
    frame(FrameKind::Bytes, &component[..component.len() / 2]);
    client
}

/// Whether half of an upload has arrived.
fn arrives(daemon: &HostedDaemon) -> bool {
    let entries = fs::read_dir(daemon.state().join("uploads")).expect("uploads");
    entries
        .flatten()
        .any(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 0))
}

fn unfinished(daemon: &HostedDaemon) -> usize {
    let entries = fs::read_dir(daemon.state().join("apps")).expect("apps");
    let hidden = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    entries.flatten().filter(hidden).count()
}

#[test]
fn a_second_installation_of_the_same_app_at_the_same_time_is_refused() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = setup.scratch().join("package");
    copy_app("echo", &package, "echo", str::to_string);
    let first = half_an_upload(&daemon, &package);
    wait_for("the first upload to begin", || arrives(&daemon));
    let path = package.display().to_string();
    let (code, message) = daemon.ctl_fails(&["install", &path]);
    assert_eq!(code, 7, "{message}");
    assert!(message.contains("echo"), "{message}");
    drop(first);
    wait_for("the name to be free again", || {
        daemon.ctl(&["install", &path]).status.success()
    });
}

#[test]
fn an_upload_that_power_failure_interrupts_leaves_the_old_version() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = setup.scratch().join("package");
    copy_app("echo", &package, "echo", str::to_string);
    daemon.ctl_ok(&["install", &package.display().to_string()]);
    copy_app("echo", &package, "echo", |text| {
        text.replace("0.1.0", "0.2.0")
    });
    let _client = half_an_upload(&daemon, &package);
    wait_for("the upload to begin", || arrives(&daemon));
    daemon.kill();
    let daemon = setup.start();
    assert_eq!(unfinished(&daemon), 0);
    daemon.wait_for_app("echo", "to run as it was", |app| {
        app.phase == Phase::Running && app.version == "0.1.0"
    });
}
