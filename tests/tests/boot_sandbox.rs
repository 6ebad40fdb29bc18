//! The sandbox of a booted device, on both architectures: in the place of some apps runs a program that makes the
//! system calls a guest would make that has taken over its engine (`vyomad/src/roles/probe.rs`). What each must come to
//! is the table that the hosted test goes by, too.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::booted::{Device, Machine};

#[path = "../../vyomad/tests/expectations/mod.rs"]
mod expectations;

use expectations::{ALWAYS, EACCES, FILESYSTEM, NETWORK};

/// A file of another app, which is there as soon as that app runs.
const OTHER: &str = "/data/vyoma/data/notes/starts.txt";
const PORT: u16 = 8080;

/// The manifest of an app in whose place the probe runs. Its component is hello's.
fn probe(name: &str, port: u16, capabilities: &str) -> impl Fn(&str) -> String {
    let args = format!("args = [\"other={OTHER}\", \"port={port}\"]");
    let manifest = format!(
        "[app]\nname = \"{name}\"\nversion = \"0.1.0\"\nwasm = \"hello.wasm\"\nrestart = \"never\"\n{args}\n\
         [app.env]\nVYOMA_PROBE = \"1\"\n[capabilities]\nstdio = true\n{capabilities}\n"
    );
    move |_| manifest.clone()
}

/// What the app's console line says: attempt -> errno; the open descriptors apart.
fn table(device: &Device, app: &str) -> (BTreeMap<String, i32>, Value) {
    let start = format!("[{app}] {{");
    let line = device.until(&format!("the table of {app} on the console"), || {
        let console = device.console();
        let line = console
            .lines()
            .find(|line| line.starts_with(&start) && line.ends_with('}'))?;
        Some(line[start.len() - 1..].to_owned())
    });
    let mut table: BTreeMap<String, Value> =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{app}: {error}: {line}"));
    let descriptors = table
        .remove("open descriptors")
        .expect("a list of descriptors");
    let number = |errno: Value| errno.as_i64().expect("an errno") as i32;
    let results = table
        .into_iter()
        .map(|(name, errno)| (name, number(errno)))
        .collect();
    (results, descriptors)
}

/// A field of /proc/PID/status.
fn status(device: &Device, app: &str, field: &str) -> String {
    let pid = device.app(app).pid.expect("a process");
    let status = device.read(&format!("/proc/{pid}/status"));
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {field} in:\n{status}"));
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Name, port that it tries, capabilities, what it may do, and its open descriptors.
type Probed<'a> = (&'a str, u16, &'a str, &'a [&'a [&'a str]], Value);

fn nobody_gets_out(arch: &'static str) {
    let network = format!("network = true\nnetwork_port = {PORT}");
    let probes: [Probed<'_>; 5] = [
        ("no-grants", PORT, "", &[ALWAYS], json!([0, 1, 2, 3])),
        (
            "files",
            PORT,
            "filesystem = true",
            &[ALWAYS, FILESYSTEM],
            json!([0, 1, 2, 3, 6]),
        ),
        (
            "sockets",
            PORT,
            &network,
            &[ALWAYS, NETWORK],
            json!([0, 1, 2, 3]),
        ),
        (
            "low-port",
            80,
            "network = true\nnetwork_port = 80",
            &[ALWAYS, NETWORK],
            json!([0, 1, 2, 3]),
        ),
        // What it may do else is a pipe to the daemon: no right in the kernel.
        (
            "operator",
            PORT,
            "shell = true",
            &[ALWAYS],
            json!([0, 1, 2, 3]),
        ),
    ];
    // An image has no such file; here it has one, or there would be nothing to refuse.
    let passwd = concat!("/etc/passwd=", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut machine = Machine::new("server-headless", arch)
        .arg(&["--memory", "256", "--probe", "--add", passwd])
        .app("notes");
    for (name, port, capabilities, ..) in &probes {
        machine = machine.app_as("hello", name, probe(name, *port, capabilities));
    }
    let device = machine.start();
    let mut uids = vec![];
    for (name, _, _, allowed, open) in &probes {
        let (results, descriptors) = table(&device, name);
        if let Err(wrong) = expectations::only(&results, allowed) {
            panic!("{arch}, {name}: {wrong}");
        }
        assert_eq!(&descriptors, open, "{arch}, {name}");
        let low = if *name == "low-port" { "400" } else { "0" };
        assert_eq!(status(&device, name, "CapEff"), format!("{low:0>16}"));
        assert_eq!(status(&device, name, "CapBnd"), "0".repeat(16));
        assert_eq!(status(&device, name, "NoNewPrivs"), "1");
        assert_eq!(status(&device, name, "Seccomp"), "2");
        assert_eq!(status(&device, name, "Groups"), "");
        let uid = status(&device, name, "Uid");
        assert!(!uids.contains(&uid), "{name} shares uid {uid}");
        uids.push(uid);
        if *name == "files" {
            // Past seccomp: the owner and mode of the folders or Landlock refused it.
            for attempt in [
                "open other app's data",
                "open other app's data by ..",
                "open /etc/passwd",
                "open through symlink",
                "open /proc/self/exe",
            ] {
                assert_eq!(results[attempt], EACCES, "{arch}: {attempt}");
            }
        }
    }
    // What they tried left no trace.
    let notes = device.app("notes");
    assert_eq!((notes.phase, notes.restarts), (Phase::Running, 0));
    assert_eq!(device.read(OTHER).lines().count(), 1);
    let lacking: Vec<_> = device
        .events()
        .into_iter()
        .filter(|event| event.detail.starts_with("sandbox of apps"))
        .collect();
    assert!(
        lacking.is_empty(),
        "the kernel lacks something: {lacking:?}"
    );
}

#[test]
fn nobody_gets_out_of_the_sandbox_of_an_x86_64_device() {
    nobody_gets_out("x86_64");
}

#[test]
fn nobody_gets_out_of_the_sandbox_of_an_aarch64_device() {
    nobody_gets_out("aarch64");
}
