//! A process that is locked in like an app tries to get out (`src/roles/probe.rs`), and can't. Each test names what the
//! app was granted; everything else must fail. On a device the same probe runs as an app of a booted image.
//!
//! As root (CI, containers) the whole sandbox is required, with a uid of its own; without root, what is left of it.

mod common;
mod expectations;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use common::{Role, UID, app_spec, data_folder, is_root, memfd, merge};
use expectations::{ALWAYS, FILESYSTEM, NETWORK};
use serde_json::{Value, json};

struct Probe {
    results: BTreeMap<String, i32>,
    descriptors: Value,
    role: Role,
    _folder: tempfile::TempDir,
}

impl Probe {
    /// Runs the probe with `grants` and TCP port `port`.
    fn run(grants: Value, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Everything on the way to the other app's file is open to all: only the sandbox stands before it.
        let other = folder.path().join("other/secret");
        data_folder(other.parent().unwrap());
        std::fs::write(&other, "secret").unwrap();
        for path in [folder.path(), other.parent().unwrap(), &other] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let data = (grants["filesystem"] == true).then(|| data_folder(&folder.path().join("own")));
        let mut spec = app_spec(grants);
        merge(
            &mut spec,
            json!({ "env": [["VYOMA_PROBE", "1"]], "args": [format!("other={}", other.display()), format!("port={port}")] }),
        );
        let mut role = Role::start("app", &spec, &memfd(0), &memfd(4096), data.as_ref());
        let line = role.line();
        let mut table: BTreeMap<String, Value> = match serde_json::from_str(&line) {
            Ok(table) => table,
            Err(error) => panic!("found {line:?} ({error}), report {:?}", role.end()),
        };
        let descriptors = table.remove("open descriptors").unwrap();
        let results = table
            .into_iter()
            .map(|(name, errno)| (name, errno.as_i64().unwrap() as i32))
            .collect();
        Self {
            results,
            descriptors,
            role,
            _folder: folder,
        }
    }

    /// Everything fails but what is in the lists.
    fn only(&self, allowed: &[&[&str]]) {
        if let Err(wrong) = expectations::only(&self.results, allowed) {
            panic!("{wrong}");
        }
    }

    fn ends_well(self) {
        let (report, code, rest) = self.role.end();
        assert_eq!(
            (&report["ending"], code, rest.as_str()),
            (&json!({ "Exited": 0 }), Some(0), ""),
            "{report}"
        );
        if is_root() {
            assert_eq!(report["sandbox_notes"], json!([]));
        }
    }
}

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn an_app_without_grants_can_only_compute_and_use_its_pipes() {
    let probe = Probe::run(json!({}), 1);
    probe.only(&[ALWAYS]);
    assert_eq!(probe.descriptors, json!([0, 1, 2, 3]));
    probe.ends_well();
}

#[test]
fn with_filesystem_it_reaches_its_own_folder_and_no_other() {
    let probe = Probe::run(json!({ "filesystem": true, "storage_kb": 1024 }), 1);
    probe.only(&[ALWAYS, FILESYSTEM]);
    assert_eq!(probe.descriptors, json!([0, 1, 2, 3, 6]));
    // These got past seccomp, so it was Landlock that refused: the file was readable to all.
    for name in [
        "open other app's data",
        "open other app's data by ..",
        "open /etc/passwd",
        "open through symlink",
        "open /proc/self/exe",
    ] {
        assert_eq!(probe.results[name], libc::EACCES, "{name}");
    }
    probe.ends_well();
}

#[test]
fn with_network_it_has_internet_sockets_on_its_port_and_still_no_files() {
    let port = free_port();
    let probe = Probe::run(json!({ "network": { "port": port } }), port);
    probe.only(&[ALWAYS, NETWORK]);
    assert_eq!(probe.results["bind another port"], libc::EACCES);
    assert_eq!(probe.results["open /etc/passwd"], libc::EACCES);
    probe.ends_well();
}

#[test]
fn with_network_and_no_port_it_binds_any_free_one() {
    let probe = Probe::run(json!({ "network": {} }), free_port());
    probe.only(&[ALWAYS, NETWORK, &["bind another port"]]);
    probe.ends_well();
}

#[test]
fn a_port_below_1024_is_the_only_privilege_that_is_ever_left() {
    if !is_root() {
        // Without root nobody has that privilege to begin with: the bind must fail.
        let probe = Probe::run(json!({ "network": { "port": 997 } }), 997);
        assert_eq!(probe.results["bind own port"], libc::EACCES);
        return probe.ends_well();
    }
    let probe = Probe::run(json!({ "network": { "port": 997 } }), 997);
    probe.only(&[ALWAYS, NETWORK]);
    // CAP_NET_BIND_SERVICE is bit 10.
    assert_eq!(probe.role.status("CapEff"), "0000000000000400");
    assert_eq!(probe.role.status("CapPrm"), "0000000000000400");
    assert_eq!(probe.role.status("CapBnd"), "0000000000000000");
    probe.ends_well();
}

#[test]
fn with_filesystem_and_network_it_gets_the_two_and_nothing_between() {
    let port = free_port();
    let probe = Probe::run(
        json!({ "filesystem": true, "network": { "port": port } }),
        port,
    );
    probe.only(&[ALWAYS, FILESYSTEM, NETWORK]);
    probe.ends_well();
}

#[test]
fn from_the_outside_it_has_its_own_uid_no_capability_and_a_filter() {
    let probe = Probe::run(json!({ "filesystem": true }), 1);
    assert_eq!(probe.role.status("NoNewPrivs"), "1");
    assert_eq!(probe.role.status("Seccomp"), "2");
    assert_eq!(probe.role.status("CapEff"), "0000000000000000");
    assert_eq!(probe.role.status("CapPrm"), "0000000000000000");
    assert_eq!(probe.role.status("Name"), "probed");
    if is_root() {
        assert_eq!(
            probe.role.status("Uid"),
            [UID; 4].map(|uid| uid.to_string()).join(" ")
        );
        assert_eq!(
            probe.role.status("Gid"),
            [UID; 4].map(|uid| uid.to_string()).join(" ")
        );
        assert_eq!(probe.role.status("Groups"), "");
        assert_eq!(probe.role.status("CapBnd"), "0000000000000000");
        assert_eq!(probe.role.status("CapAmb"), "0000000000000000");
    }
    let limits =
        std::fs::read_to_string(format!("/proc/{}/limits", probe.role.child.id())).unwrap();
    assert!(
        limits
            .lines()
            .any(|line| line.starts_with("Max core file size        0 ")),
        "{limits}"
    );
    probe.ends_well();
}

#[test]
fn where_the_sandbox_is_required_an_app_without_a_uid_of_its_own_does_not_start() {
    let mut spec = app_spec(json!({}));
    merge(
        &mut spec,
        json!({ "uid": null, "sandbox_required": true, "env": [["VYOMA_PROBE", "1"]] }),
    );
    let (report, code, output) = Role::start("app", &spec, &memfd(0), &memfd(4096), None).end();
    assert!(
        report["ending"]["NotStarted"]
            .as_str()
            .unwrap()
            .contains("uid"),
        "{report}"
    );
    assert_eq!((code, output.as_str()), (Some(70), ""));
}

#[test]
fn an_app_does_not_outlive_its_daemon() {
    // A daemon of its own: a thread that starts the app and ends. The death signal follows the thread.
    let probe = std::thread::spawn(|| Probe::run(json!({}), 1))
        .join()
        .unwrap();
    let (report, code, _) = probe.role.end();
    assert_eq!(
        (report, code),
        (Value::Null, None),
        "killed, so no report and no exit code"
    );
}
