//! Uploads that are cut, stall, lie or find no room, on a hosted daemon.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use sha2::{Digest, Sha256};
use vyoma_capabilities::control::{ErrorKind, FrameKind, InstallOptions, Request, Response};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::frames::Frames;
use vyoma_system_tests::hosted::{HostedDaemon, Setup, copy_app, wait_for};

const PROFILE: &str = "server-headless";
const KIB: usize = 1024;

/// An app "app" whose component was made larger by a custom section, which means nothing to any engine.
fn padded(setup: &Setup, version: &str, bytes: usize) -> PathBuf {
    let folder = setup.scratch().join(format!("app-{version}"));
    copy_app("echo", &folder, "app", |text| {
        text.replace("0.1.0", version)
    });
    let path = folder.join("echo.wasm");
    let mut component = fs::read(&path).expect("a component");
    let name = b"padding";
    // Five bytes of LEB128 whatever the number.
    let size = 1 + name.len() + bytes;
    let leb = [0, 7, 14, 21, 28].map(|shift| (size >> shift) as u8 & 0x7f | 0x80);
    component.push(0);
    component.extend_from_slice(&leb[..4]);
    component.push(leb[4] & 0x7f);
    component.push(name.len() as u8);
    component.extend_from_slice(name);
    // Not the same byte again and again: another version has other bytes.
    component.extend((0..bytes).map(|n| (n % 251) as u8 ^ version.len() as u8));
    fs::write(&path, component).expect("write a component");
    folder
}

fn component(package: &Path) -> Vec<u8> {
    fs::read(package.join("echo.wasm")).expect("a component")
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes).into())
}

/// A client that does what vyomactl never would.
struct Client(Frames);

impl Client {
    fn greeted(daemon: &HostedDaemon) -> Self {
        Self(Frames::at(&daemon.state().join("control.sock")))
    }

    fn answer(&mut self) -> Response {
        self.0.answer().expect("an answer")
    }

    fn kept(&mut self, sha256: &str) -> u64 {
        match self.0.ask(&Request::Kept {
            sha256s: vec![sha256.into()],
        }) {
            Some(Response::Kept(kept)) => kept[0],
            other => panic!("{other:?}"),
        }
    }

    /// Announces an installation of `package`.
    fn announce(&mut self, package: &Path, size: u64, sha256: &str, kept: u64) {
        self.0.say(&Request::Install {
            manifest: fs::read_to_string(package.join("vyoma.toml")).expect("a manifest"),
            component_size: size,
            sha256: sha256.into(),
            ahead_of_time: None,
            options: InstallOptions {
                component_kept: kept,
                ..InstallOptions::default()
            },
        });
    }

    fn send(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(64 * KIB) {
            self.0.send(FrameKind::Bytes, part);
        }
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| (entry.path(), entry.metadata().map_or(0, |meta| meta.size())))
        .collect()
}

/// Sends the first bytes of a package, and hangs up when the device has them.
fn cut_after(daemon: &HostedDaemon, package: &Path, bytes: usize) {
    let component = component(package);
    let mut client = Client::greeted(daemon);
    client.announce(package, component.len() as u64, &hash(&component), 0);
    client.send(&component[..bytes]);
    wait_for("the bytes to arrive", || {
        files(&daemon.state().join("uploads"))
            .iter()
            .any(|(_, size)| *size == bytes as u64)
    });
}

#[test]
fn an_upload_that_was_cut_goes_on_where_it_ended_even_after_the_daemon_was_killed() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = padded(&setup, "0.2.0", 600 * KIB);
    let bytes = component(&package);
    let sha256 = hash(&bytes);
    cut_after(&daemon, &package, 400 * KIB);
    daemon.kill();
    let daemon = setup.start();
    let mut client = Client::greeted(&daemon);
    assert_eq!(client.kept(&sha256), 400 * KIB as u64);
    assert_eq!(client.kept(&hash(b"something else")), 0);
    client.announce(&package, bytes.len() as u64, &sha256, 400 * KIB as u64);
    client.send(&bytes[400 * KIB..]);
    let answer = client.answer();
    assert!(
        matches!(&answer, Response::Installed { sha256: found, .. } if *found == sha256),
        "{answer:?}"
    );
    daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    assert_eq!(files(&daemon.state().join("uploads")), []);
}

/// Hands connections on to the daemon; the first one is cut after so many bytes from the client.
fn line_that_is_cut(daemon: &HostedDaemon, path: &Path, after: usize) {
    let listener = UnixListener::bind(path).expect("a socket");
    let target = daemon.state().join("control.sock");
    thread::spawn(move || {
        for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
            let target = target.clone();
            thread::spawn(move || {
                let daemon = UnixStream::connect(target).expect("the daemon");
                let (mut back, mut out) = (
                    daemon.try_clone().expect("a handle"),
                    client.try_clone().expect("a handle"),
                );
                thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut out);
                    let _ = out.shutdown(Shutdown::Both);
                });
                let most = if number == 0 { after as u64 } else { u64::MAX };
                let _ = std::io::copy(&mut (&client).take(most), &mut &daemon);
                let _ = daemon.shutdown(Shutdown::Both);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
}

#[test]
fn vyomactl_makes_a_connection_that_was_cut_anew_and_sends_only_the_rest() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = padded(&setup, "0.2.0", 700 * KIB);
    let socket = setup.scratch().join("line.sock");
    line_that_is_cut(&daemon, &socket, 500 * KIB);
    let output = Command::new(vyoma_system_tests::from_make_test("VYOMACTL_BIN"))
        .arg("--target")
        .arg(&socket)
        .arg("install")
        .arg(&package)
        .output()
        .expect("run vyomactl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(daemon.app("app").sha256, hash(&component(&package)));
}

#[test]
fn kept_bytes_that_are_others_are_found_out_and_sent_again() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = padded(&setup, "0.2.0", 600 * KIB);
    let bytes = component(&package);
    let kept = daemon.state().join("uploads").join(hash(&bytes));
    fs::write(&kept, vec![7; 300 * KIB]).expect("bytes that a power failure left");
    let mut client = Client::greeted(&daemon);
    client.announce(
        &package,
        bytes.len() as u64,
        &hash(&bytes),
        300 * KIB as u64,
    );
    client.send(&bytes[300 * KIB..]);
    let Response::Error(error) = client.answer() else {
        panic!("it was taken");
    };
    assert_eq!(error.kind, ErrorKind::HashMismatch, "{error}");
    assert!(!kept.exists(), "they are forgotten");
    fs::write(&kept, vec![7; 300 * KIB]).expect("once more");
    daemon.ctl_ok(&["install", &package.display().to_string()]);
    assert_eq!(daemon.app("app").sha256, hash(&bytes));
}

#[test]
fn a_gigabyte_is_refused_by_its_size_before_any_of_it_is_read() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let package = padded(&setup, "0.2.0", 1);
    let mut client = Client::greeted(&daemon);
    client.announce(&package, 1 << 30, &"0".repeat(64), 0);
    let Response::Error(error) = client.answer() else {
        panic!("it was taken");
    };
    assert_eq!(error.kind, ErrorKind::Limit);
    assert!(error.message.contains("1073741824"), "{error}");
    assert_eq!(files(&daemon.state().join("uploads")), []);
    // And as an operator sees it.
    let huge = fs::File::options()
        .write(true)
        .open(package.join("echo.wasm"))
        .expect("the component");
    huge.set_len(1 << 30).expect("a sparse file");
    let (code, message) = daemon.ctl_fails(&["install", &package.display().to_string()]);
    assert_eq!(code, 6, "{message}");
}

#[test]
fn interrupted_uploads_never_pile_up() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    for number in 0..7 {
        let package = padded(&setup, &format!("1.0.{number}"), (300 + number) * KIB);
        cut_after(&daemon, &package, (100 + number) * KIB);
    }
    let kept = files(&daemon.state().join("uploads"));
    // Four are kept, and the one that came last.
    assert!(kept.len() <= 5, "{kept:?}");
}

/// Runs the test of that name once more, where what it mounts is seen by nobody else and is gone with it; false in there.
fn runs_with_mounts_of_its_own(test: &str) -> bool {
    const INSIDE: &str = "VYOMA_TEST_HAS_ITS_OWN_MOUNTS";
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let own = std::env::current_exe().expect("this program");
    let output = Command::new("unshare")
        .arg("--mount")
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("run unshare, of util-linux");
    assert!(
        output.status.success(),
        "{test} among its own mounts (only root may make them): {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    true
}

#[test]
fn a_full_disk_refuses_an_update_in_one_line_and_the_old_version_goes_on() {
    if runs_with_mounts_of_its_own(
        "a_full_disk_refuses_an_update_in_one_line_and_the_old_version_goes_on",
    ) {
        return;
    }
    let setup = Setup::new(PROFILE);
    fs::create_dir(setup.state()).expect("a state directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m", "none"])
        .arg(setup.state())
        .status();
    assert!(mounted.is_ok_and(|status| status.success()), "mount");
    let daemon = setup.start();
    let first = padded(&setup, "0.1.0", KIB);
    daemon.ctl_ok(&["install", &first.display().to_string()]);
    let before = daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    // More than there is, by what is announced.
    let large = padded(&setup, "0.20.0", 8 * KIB * KIB);
    let (code, message) = daemon.ctl_fails(&["install", &large.display().to_string()]);
    assert_eq!(code, 8, "{message}");
    assert!(
        message.contains("KiB free") && message.contains("remove an app first"),
        "{message}"
    );
    // Room by what is announced, and none when it comes to it: somebody else was quicker.
    let next = padded(&setup, "0.2.0", 2 * KIB * KIB);
    let bytes = component(&next);
    let mut client = Client::greeted(&daemon);
    client.announce(&next, bytes.len() as u64, &hash(&bytes), 0);
    client.send(&bytes[..64 * KIB]);
    let ballast = setup.state().join("ballast");
    let mut file = fs::File::create(&ballast).expect("ballast");
    while file.write_all(&vec![1; 64 * KIB]).is_ok() {}
    drop(file);
    client.send(&bytes[64 * KIB..]);
    let Response::Error(error) = client.answer() else {
        panic!("it was taken");
    };
    assert_eq!(error.kind, ErrorKind::Device, "{error}");
    assert!(error.message.contains("No space left"), "{error}");
    let after = daemon.app("app");
    assert_eq!((after.phase, after.pid), (Phase::Running, before.pid));
    // What had arrived of it is given back.
    assert_eq!(client.kept(&hash(&bytes)), 0);
    fs::remove_file(&ballast).expect("room again");
    daemon.ctl_ok(&["install", &next.display().to_string()]);
    daemon.wait_for_app("app", "to run as 0.2.0", |app| {
        app.phase == Phase::Running && app.version == "0.2.0"
    });
}
