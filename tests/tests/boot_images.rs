//! The claim of the project, seen from outside: one `hello.wasm`, built once, says the same on every platform that
//! boots, and each device computes the same SHA-256 for it. And an image holds what docs/architecture.md lists, no more.
//!
//! Images are built and booted by `cargo xtask boot`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;

use serde_json::Value;
use vyoma_system_tests::turn::Turn;
use vyoma_system_tests::{from_make_test, guest};

/// Every image of this version: platform and architecture.
const IMAGES: [(&str, &str); 6] = [
    ("desktop-full", "x86_64"),
    ("mobile", "aarch64"),
    ("iot-edge", "aarch64"),
    ("robotics-rt", "aarch64"),
    ("server-headless", "aarch64"),
    ("server-headless", "x86_64"),
];

/// A boot takes five seconds on an idle machine; a loaded one may be ten times slower.
const TIMEOUT: &str = "150";

/// Runs `cargo xtask COMMAND` for an image with hello only, and returns its report.
fn xtask(command: &str, (platform, arch): (&str, &str), arguments: &[&str]) -> Value {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let json = scratch.path().join("report.json");
    let mut xtask = Command::new(from_make_test("VYOMA_XTASK_BIN"));
    xtask
        .args([command, "--platform", platform, "--arch", arch, "--json"])
        .arg(&json);
    xtask.arg("--app").arg(guest("hello")).args(arguments);
    let output = xtask.output().expect("running xtask");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{platform} {arch}: {said}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    serde_json::from_slice(&fs::read(&json).expect("the report")).expect("a report in JSON")
}

/// What a device's console showed of hello.
struct Hello {
    /// What it printed on its standard output.
    output: Vec<String>,
    /// The hash that the device computed.
    sha256: String,
    /// `compiled` or `ahead-of-time`
    execution: String,
}

/// hello asks for the platform last, so what it prints on standard error ends its run.
fn boot(image: (&str, &str)) -> Hello {
    let _turn = Turn::shared();
    let arguments = [
        "--append",
        "vyoma.loglevel=debug",
        "--until",
        r"^\[hello\] \[hello\] running on",
        "--timeout",
        TIMEOUT,
    ];
    let report = xtask(
        "boot",
        image,
        &[
            &arguments[..],
            &["--until", "app-started: hello: .* sha256 "],
        ]
        .concat(),
    );
    let lines = report["lines"].as_array().expect("console lines");
    let texts: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    let running = texts
        .iter()
        .find_map(|text| text.strip_prefix("[hello] [hello] running on "));
    assert_eq!(
        running,
        Some(image.0),
        "hello hears which platform it is on"
    );
    let output = texts
        .iter()
        .filter_map(|text| text.strip_prefix("[hello] "))
        .filter(|text| !text.starts_with("[hello] ") && !text.starts_with("warning: "))
        .filter(|text| !text.starts_with("exited with"))
        .map(str::to_owned)
        .collect();
    let started = texts.iter().find_map(|text| {
        text.split_once("app-started: hello: ")?
            .1
            .split_once("sha256 ")
    });
    let (sha256, execution) = started
        .expect("the device names the hash")
        .1
        .split_once(", ")
        .expect("and what runs");
    Hello {
        output,
        sha256: sha256.to_owned(),
        execution: execution.trim().to_owned(),
    }
}

#[test]
fn hello_is_the_same_bytes_and_says_the_same_on_every_image() {
    let component = guest("hello").join("hello.wasm");
    let sha256sum = Command::new("sha256sum")
        .arg(&component)
        .output()
        .expect("running sha256sum");
    let expected = String::from_utf8_lossy(&sha256sum.stdout)[..64].to_owned();

    let devices: Vec<_> = thread::scope(|scope| {
        let boots = IMAGES.map(|image| (image, scope.spawn(move || boot(image))));
        boots
            .into_iter()
            .map(|(image, hello)| (image, hello.join().expect("the boot of an image")))
            .collect()
    });
    let first = &devices[0].1.output;
    assert_eq!(
        first,
        &[
            "Hello from Vyoma!",
            "arguments: []",
            "environment variables: 0"
        ]
    );
    for (image, hello) in &devices {
        assert_eq!(&hello.output, first, "{image:?}");
        assert_eq!(hello.sha256, expected, "{image:?}");
        let wamr = ["iot-edge", "robotics-rt"].contains(&image.0);
        let execution = if wamr { "ahead-of-time" } else { "compiled" };
        assert_eq!(hello.execution, execution, "{image:?}");
    }
}

#[test]
fn an_image_holds_the_daemon_the_profile_and_the_apps_and_nothing_else() {
    for image in IMAGES {
        let report = xtask("image", image, &[]);
        let contents: BTreeSet<&str> = report["initramfs_contents"]
            .as_array()
            .expect("contents")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let (stored, rest): (BTreeSet<&str>, BTreeSet<&str>) = contents
            .into_iter()
            .partition(|path| path.starts_with("/store/"));
        let expected = [
            "/apps",
            "/apps/hello",
            "/apps/hello/hello.wasm",
            "/apps/hello/vyoma.toml",
            "/data",
            "/dev",
            "/dev/console",
            "/dev/null",
            "/etc",
            "/etc/vyoma",
            "/etc/vyoma/authorized_keys",
            "/etc/vyoma/profile.toml",
            "/init",
            "/proc",
            "/run",
            "/store",
            "/sys",
        ];
        assert_eq!(rest, BTreeSet::from(expected), "{image:?}");
        let keys: Vec<&str> = stored
            .iter()
            .filter_map(|path| path.strip_prefix("/store/"))
            .collect();
        assert_eq!(
            keys.len(),
            1,
            "{image:?}: one artefact for one app, found {keys:?}"
        );
        assert!(
            keys[0].len() == 64 && keys[0].bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{keys:?}"
        );
    }
}

#[test]
fn an_unknown_platform_lists_the_six_and_fails_with_2() {
    let output = Command::new(from_make_test("VYOMA_XTASK_BIN"))
        .args(["boot", "--platform", "toaster"])
        .output()
        .expect("running xtask");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    for name in vyoma_capabilities::profile::PLATFORMS {
        assert!(said.contains(name), "{said}");
    }
}
