//! Signatures, bundles and old versions on a hosted daemon: what is taken, and what each refusal says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vyoma_capabilities::control::TrustStore;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::from_make_test;
use vyoma_system_tests::hosted::{HostedDaemon, Setup, copy_app};

const PROFILE: &str = "server-headless";

/// An app "app" of that version in a folder of its own.
fn package(setup: &Setup, version: &str) -> PathBuf {
    let folder = setup.scratch().join(format!("app-{version}"));
    copy_app("echo", &folder, "app", |text| {
        text.replace("0.1.0", version).replacen(
            "\n[capabilities]",
            "health_secs = 0\n\n[capabilities]",
            1,
        )
    });
    folder
}

/// Runs a `vyomactl` that needs no device; what it said on standard output.
fn offline(arguments: &[&str], folder: &Path) -> Result<String, (i32, String)> {
    let output = Command::new(from_make_test("VYOMACTL_BIN"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("run vyomactl");
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).expect("UTF-8"));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err((output.status.code().unwrap_or(-1), said))
}

/// Makes a key of that name in the scratch folder: secret and public file.
fn new_key(setup: &Setup, name: &str) -> (String, String) {
    let path = setup.scratch().join(format!("{name}.key"));
    offline(
        &["key", "new", &path.display().to_string()],
        setup.scratch(),
    )
    .expect("a key");
    let public = path.with_extension("pub");
    (path.display().to_string(), public.display().to_string())
}

fn sign(package: &Path, key: &str) {
    let path = package.display().to_string();
    offline(&["sign", &path, "--key", key], package).expect("a signature");
}

fn install(daemon: &HostedDaemon, package: &Path, more: &[&str]) -> Result<String, (i32, String)> {
    let path = package.display().to_string();
    let output = daemon.ctl(&[&["install", &path], more].concat());
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err((output.status.code().unwrap_or(-1), said))
}

fn keys(daemon: &HostedDaemon) -> TrustStore {
    let text = daemon.ctl_ok(&["key", "list", "--output", "json"]);
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_device_that_requires_signatures_refuses_each_other_kind_by_its_own_code() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let (ours, ours_public) = new_key(&setup, "owner");
    let (stranger, _) = new_key(&setup, "stranger");
    daemon.ctl_ok(&["key", "trust", &ours_public]);
    daemon.ctl_ok(&["key", "require", "on"]);
    let app = package(&setup, "0.2.0");
    let (code, said) = install(&daemon, &app, &[]).expect_err("unsigned");
    assert!(code == 20 && said.contains("not signed"), "{code} {said}");
    sign(&app, &stranger);
    let (code, said) = install(&daemon, &app, &[]).expect_err("a stranger's");
    assert!(
        code == 22 && said.contains("does not trust"),
        "{code} {said}"
    );
    sign(&app, &ours);
    let manifest = app.join("vyoma.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(
        &manifest,
        text.replace("stdio = true", "stdio = true\nnetwork = true"),
    )
    .expect("a tampered manifest");
    let (code, said) = install(&daemon, &app, &[]).expect_err("tampered");
    assert!(code == 21 && said.contains("vyoma.toml"), "{code} {said}");
    fs::write(&manifest, &text).expect("as it was");
    let signature = app.join("vyoma.sig");
    let signed = fs::read_to_string(&signature).expect("a signature");
    let last = signed.trim_end().len() - 1;
    let flipped = if signed.as_bytes()[last] == b'0' {
        "1"
    } else {
        "0"
    };
    fs::write(&signature, format!("{}{flipped}\n", &signed[..last])).expect("a changed one");
    let (code, said) = install(&daemon, &app, &[]).expect_err("another signature");
    assert!(code == 21 && said.contains("was changed"), "{code} {said}");
    fs::write(&signature, &signed).expect("as it was");
    install(&daemon, &app, &[]).expect("what our key has signed");
    daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    let event = daemon
        .events()
        .into_iter()
        .find(|event| event.kind == "app-installed");
    assert!(event.is_some_and(|event| event.detail.contains("signed by owner")));
    // An old version that was signed, too, in its time: neither so, nor after a removal.
    let old = package(&setup, "0.1.0");
    for _ in 0..2 {
        let (code, said) =
            install(&daemon, &old, &["--key", &ours, "--allow-downgrade"]).expect_err("older");
        assert!(
            code == 23 && said.contains("0.2.0 or newer"),
            "{code} {said}"
        );
        let _ = daemon.ctl(&["remove", "app"]);
    }
    install(&daemon, &app, &[]).expect("the newest again");
}

#[test]
fn an_older_version_is_only_installed_on_purpose() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let (new, old) = (package(&setup, "1.10.0"), package(&setup, "1.9.0"));
    install(&daemon, &new, &[]).expect("the new one");
    let (code, said) = install(&daemon, &old, &[]).expect_err("older");
    assert!(
        code == 23 && said.contains("1.9.0") && said.contains("--allow-downgrade"),
        "{code} {said}"
    );
    assert_eq!(daemon.app("app").version, "1.10.0");
    install(&daemon, &old, &["--allow-downgrade"]).expect("on purpose");
    assert_eq!(daemon.app("app").version, "1.9.0");
}

#[test]
fn whom_a_device_trusts_outlives_it_and_what_came_with_the_image_can_be_revoked() {
    let setup = Setup::new(PROFILE);
    let (vendor, vendor_public) = new_key(&setup, "vendor");
    let (_, owner_public) = new_key(&setup, "owner");
    let image = setup.scratch().join("keys");
    fs::create_dir(&image).expect("a folder");
    fs::copy(vendor_public, image.join("vendor.pub")).expect("a key of the image");
    let setup = setup.arg(&["--keys", &image.display().to_string()]);
    let daemon = setup.start();
    daemon.ctl_ok(&["key", "trust", &owner_public, "--name", "alice"]);
    daemon.ctl_ok(&["key", "require", "on"]);
    let app = package(&setup, "0.1.0");
    install(&daemon, &app, &["--key", &vendor]).expect("the vendor's");
    daemon.ctl_ok(&["key", "untrust", "vendor"]);
    assert!(daemon.stop().success());
    let daemon = setup.start();
    let store = keys(&daemon);
    let shown: Vec<_> = store
        .keys
        .iter()
        .map(|key| (key.name.as_str(), key.image, key.trusted))
        .collect();
    assert_eq!(shown, [("vendor", true, false), ("alice", false, true)]);
    assert_eq!(store.policy.name(), "required");
    // What it had signed stays, and runs.
    daemon.wait_for_app("app", "to run", |app| app.phase == Phase::Running);
    let (code, _) = install(&daemon, &app, &["--key", &vendor]).expect_err("revoked");
    assert_eq!(code, 22);
    daemon.ctl_ok(&["key", "untrust", "alice"]);
    let (code, said) = daemon.ctl_fails(&["key", "untrust", "alice"]);
    assert!(code == 7 && said.contains("no key"), "{code} {said}");
}

#[test]
fn a_policy_that_the_device_was_started_with_is_not_changed_by_a_client() {
    let setup = Setup::new(PROFILE).arg(&["--signatures", "image"]);
    let daemon = setup.start();
    let (ours, public) = new_key(&setup, "owner");
    for arguments in [&["key", "require", "off"][..], &["key", "trust", &public]] {
        let (code, said) = daemon.ctl_fails(arguments);
        assert!(code == 7 && said.contains("image"), "{code} {said}");
    }
    let (code, _) = install(&daemon, &package(&setup, "0.1.0"), &["--key", &ours])
        .expect_err("not of the image");
    assert_eq!(code, 22);
    assert!(keys(&daemon).fixed);
}

#[test]
fn a_secret_is_its_owner_s_alone_and_never_shown() {
    let setup = Setup::new(PROFILE);
    let (key, _) = new_key(&setup, "owner");
    let mode = fs::metadata(&key).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&key).expect("a key");
    let secret = text.trim_end().rsplit_once(':').expect("a secret").1;
    assert_eq!(secret.len(), 64);
    let again = offline(&["key", "new", &key], setup.scratch());
    let (code, said) = again.expect_err("it is there already");
    assert!(
        code == 1 && said.contains("nothing is overwritten"),
        "{said}"
    );
    let app = package(&setup, "0.1.0");
    let path = app.display().to_string();
    let mut everything = offline(&["sign", &path, "--key", &key], &app).expect("a signature");
    everything += &fs::read_to_string(app.join("vyoma.sig")).expect("a signature");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mistake");
    let (code, said) = offline(&["sign", &path, "--key", &key], &app).expect_err("readable");
    assert!(code == 1 && said.contains("chmod 600"), "{said}");
    fs::write(&key, text.replace("secret key 1", "secret key 9")).expect("damaged");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("as it should be");
    let (code, more) = offline(&["sign", &path, "--key", &key], &app).expect_err("damaged");
    assert_eq!(code, 4, "{more}");
    everything += &(said + &more);
    assert!(!everything.contains(secret), "{everything}");
}

#[test]
fn a_bundle_is_the_same_bytes_wherever_and_whenever_it_is_made_and_installs() {
    let setup = Setup::new(PROFILE);
    let daemon = setup.start();
    let (key, public) = new_key(&setup, "owner");
    daemon.ctl_ok(&["key", "trust", &public]);
    daemon.ctl_ok(&["key", "require", "on"]);
    let first = package(&setup, "0.3.0");
    let elsewhere = setup.scratch().join("some/where/else");
    fs::create_dir_all(&elsewhere).expect("a folder");
    for entry in fs::read_dir(&first).expect("an app").flatten() {
        let to = elsewhere.join(entry.file_name());
        fs::write(&to, fs::read(entry.path()).expect("a file")).expect("a copy");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("another mode");
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::File::options()
            .write(true)
            .open(&to)
            .and_then(|file| file.set_modified(long_ago))
            .expect("another time");
    }
    let one = setup.scratch().join("one.bundle");
    let two = setup.scratch().join("two.bundle");
    for (app, to, umask) in [(&first, &one, "022"), (&elsewhere, &two, "077")] {
        let status = Command::new("sh")
            .args(["-c", "umask $0 && exec \"$@\"", umask])
            .arg(from_make_test("VYOMACTL_BIN"))
            .arg("pack")
            .arg(app)
            .args(["--key", &key, "--out"])
            .arg(to)
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }
    let bytes = fs::read(&one).expect("a bundle");
    assert!(bytes == fs::read(&two).expect("a bundle"), "other bytes");
    install(&daemon, &one, &[]).expect("a signed bundle");
    assert_eq!(daemon.app("app").version, "0.3.0");
    let mut tampered = bytes.clone();
    let at = bytes
        .windows(13)
        .position(|window| window == b"stdio = true\n")
        .expect("the manifest");
    tampered[at..at + 5].copy_from_slice(b"audio");
    let bad = setup.scratch().join("bad.bundle");
    fs::write(&bad, tampered).expect("a bundle");
    let (code, said) = install(&daemon, &bad, &[]).expect_err("tampered");
    assert_eq!(code, 21, "{said}");
    fs::write(&bad, &bytes[..bytes.len() / 2]).expect("half a bundle");
    let (code, said) = install(&daemon, &bad, &[]).expect_err("half");
    assert!(
        code == 4 && said.contains("no whole bundle"),
        "{code} {said}"
    );
}
