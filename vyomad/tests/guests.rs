//! Real guests in the locked app role: what was granted works under the lock, what was not is an error and never an
//! ending; and admission, from bytes to an artefact that runs.
//!
//! The guests are built with cargo for `wasm32-wasip2` on first use (`apps/`).
#![cfg(feature = "wasmtime")]

mod common;

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{Role, UID, app_spec, data_folder, is_root, memfd, merge};
use serde_json::{Value, json};
use vyoma_capabilities::profile::{self, OptimizationLevel, Profile};

const GUESTS: [&str; 8] = [
    "hello",
    "env-args",
    "fs-probe",
    "net-probe",
    "trap",
    "exit3",
    "memory-bomb",
    "read-all-stdin",
];

/// The component of a guest.
fn component(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps");
        let target = apps.join("target");
        let status = Command::new("cargo")
            .args([
                "build",
                "--quiet",
                "--release",
                "--target",
                "wasm32-wasip2",
                "--target-dir",
            ])
            .arg(&target)
            .args(GUESTS.iter().flat_map(|guest| ["--package", guest]))
            .current_dir(&apps)
            .env_remove("RUSTFLAGS")
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cargo can't build the guests in {}",
            apps.display()
        );
        target.join("wasm32-wasip2/release")
    });
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn file_of(bytes: &[u8]) -> std::fs::File {
    let mut file = memfd(0);
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn profile() -> Profile {
    profile::parse(
        "server-headless.toml",
        profile::builtin("server-headless").unwrap(),
    )
    .unwrap()
}

/// Runs `vyomad admit`: the report and the artefact.
fn admit(component: &[u8], change: Value) -> (Value, Vec<u8>) {
    let mut spec = json!({
        "name": "admitted", "profile": profile(), "expected_sha256": null,
        "uid": is_root().then_some(UID + 1), "sandbox_required": is_root(), "compile": true,
        "machine_code": false,
    });
    merge(&mut spec, change);
    let mut artefact_file = memfd(0);
    let (report, code, output) =
        Role::start("admit", &spec, &file_of(component), &artefact_file, None).end();
    assert_eq!((code, output.as_str()), (Some(0), ""), "{report}");
    let mut artefact = Vec::new();
    artefact_file.rewind().unwrap();
    artefact_file.read_to_end(&mut artefact).unwrap();
    (report, artefact)
}

/// Admits a guest and starts it.
fn start(guest: &str, grants: Value, change: Value, data: Option<&Path>) -> Role {
    // What the code does is tested, not how fast it is.
    let mut quick = profile();
    quick.runtime.optimization_level = OptimizationLevel::None;
    let (report, artefact) = admit(&component(guest), json!({ "profile": quick }));
    assert_eq!(
        report["Admitted"]["artefact_size"],
        artefact.len(),
        "{report}"
    );
    let mut spec = app_spec(grants);
    merge(&mut spec, change);
    let data = data.map(data_folder);
    // From a file, as in the store.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("artefact");
    std::fs::write(&path, artefact).unwrap();
    Role::start(
        "app",
        &spec,
        &std::fs::File::open(path).unwrap(),
        &memfd(4096),
        data.as_ref(),
    )
}

/// Admits a guest, runs it to its end: ending, exit status, output.
fn run(
    guest: &str,
    grants: Value,
    change: Value,
    data: Option<&Path>,
) -> (Value, Option<i32>, String) {
    let (report, code, output) = start(guest, grants, change, data).end();
    (report["ending"].clone(), code, output)
}

#[test]
fn a_guest_without_grants_gets_its_arguments_and_environment_and_exits_well() {
    let (ending, code, output) = run(
        "env-args",
        json!({}),
        json!({ "args": ["a b"], "env": [["K", "v"]] }),
        None,
    );
    assert_eq!(
        (ending, code),
        (json!({ "Exited": 0 }), Some(0)),
        "{output}"
    );
    assert_eq!(
        output,
        "argument 0: \"probed\"\nargument 1: \"a b\"\nvariable K: \"v\"\ndone\n"
    );
}

#[test]
fn stdin_is_read_to_its_end() {
    let mut role = start("read-all-stdin", json!({}), json!({}), None);
    role.stdin
        .as_mut()
        .unwrap()
        .write_all(&vec![b'x'; 100_000])
        .unwrap();
    let (report, _, output) = role.end();
    assert_eq!(report["ending"], json!({ "Exited": 0 }));
    assert!(output.starts_with("100000 bytes"), "{output}");
}

#[test]
fn the_guests_exit_code_is_the_processs() {
    // WASI 0.2.6 as Rust's std uses it knows success and failure only, so 3 is 1.
    let (ending, code, _) = run("exit3", json!({}), json!({}), None);
    assert_eq!((ending, code), (json!({ "Exited": 1 }), Some(1)));
}

#[test]
fn a_trap_is_reported_and_what_was_printed_before_arrives() {
    let (ending, code, output) = run("trap", json!({}), json!({}), None);
    assert!(ending["Trapped"].is_string(), "{ending}");
    assert_eq!((code, output.as_str()), (Some(70), "about to trap\n"));
}

#[test]
fn a_guest_that_wants_more_memory_than_its_limit_is_out_of_memory() {
    let change = json!({ "memory_bytes": 8 << 20, "args": ["abort"] });
    let (ending, code, output) = run("memory-bomb", json!({}), change, None);
    assert_eq!((ending, code), (json!("OutOfMemory"), Some(70)), "{output}");
}

#[test]
fn with_filesystem_a_guest_works_in_its_folder_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    if is_root() {
        std::os::unix::fs::chown(folder.path(), Some(UID), Some(UID)).unwrap();
    }
    let own = folder.path().join("own");
    let (ending, _, output) = run(
        "fs-probe",
        json!({ "filesystem": true }),
        json!({}),
        Some(&own),
    );
    assert_eq!(ending, json!({ "Exited": 0 }), "{output}");
    for works in [
        "make /inside: ok",
        "write /inside/own: ok",
        "read /inside/own: ok",
        "done",
    ] {
        assert!(
            output.lines().any(|line| line == works),
            "{works:?} is not in\n{output}"
        );
    }
    let escapes: Vec<&str> = output
        .lines()
        .filter(|line| line.ends_with(": ok"))
        // A link may be made; what counts is that it leads nowhere.
        .filter(|line| {
            !line.contains("/inside:")
                && !line.contains("/inside/own:")
                && !line.starts_with("symlink to")
        })
        .collect();
    assert!(escapes.is_empty(), "{escapes:?}");
    assert_eq!(
        std::fs::read_to_string(own.join("inside/own")).unwrap(),
        "mine"
    );
}

#[test]
fn without_filesystem_there_are_no_files_and_no_trap() {
    let (ending, _, output) = run("fs-probe", json!({}), json!({}), None);
    assert_eq!(ending, json!({ "Exited": 0 }), "{output}");
    assert!(!output.contains(": ok"), "{output}");
}

#[test]
fn with_network_a_guest_connects_binds_its_port_and_looks_up_names() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (ending, _, output) = run(
        "net-probe",
        json!({ "network": { "port": port } }),
        json!({ "args": [peer.to_string(), port.to_string(), "localhost"] }),
        None,
    );
    assert_eq!(ending, json!({ "Exited": 0 }), "{output}");
    for works in [
        format!("tcp connect {peer}: ok"),
        format!("tcp bind 0.0.0.0:{port}: ok"),
        "look up localhost: ok".into(),
    ] {
        assert!(
            output.lines().any(|line| line == works),
            "{works:?} is not in\n{output}"
        );
    }
}

#[test]
fn without_network_every_socket_call_is_refused_name_look_up_too() {
    let (ending, _, output) = run("net-probe", json!({}), json!({}), None);
    assert_eq!(ending, json!({ "Exited": 0 }), "{output}");
    assert!(
        !output.contains(": ok") && output.contains("done"),
        "{output}"
    );
}

#[test]
fn an_artefact_that_is_none_is_a_start_that_failed() {
    let (report, code, output) = Role::start(
        "app",
        &app_spec(json!({})),
        &file_of(b"not code"),
        &memfd(4096),
        None,
    )
    .end();
    assert!(
        report["ending"]["NotStarted"]
            .as_str()
            .is_some_and(|why| !why.contains('\n')),
        "{report}"
    );
    assert_eq!((code, output.as_str()), (Some(70), ""));
}

#[test]
fn admission_names_both_hashes_before_it_looks_at_anything_else() {
    let found = vyoma_runtime::sha256_hex(b"not wasm at all");
    let (report, artefact) = admit(b"not wasm at all", json!({ "expected_sha256": "00" }));
    assert_eq!(
        report,
        json!({ "HashMismatch": { "expected": "00", "found": found } })
    );
    assert!(artefact.is_empty());
}

#[test]
fn admission_refuses_what_is_no_component_in_one_line() {
    for bytes in [&b"not wasm at all"[..], b"\0asm\x01\0\0\0", b""] {
        let (report, artefact) = admit(bytes, json!({}));
        assert!(
            report["Refused"]
                .as_str()
                .is_some_and(|why| !why.contains('\n') && !why.is_empty()),
            "{report}"
        );
        assert!(artefact.is_empty());
    }
}

#[test]
fn admission_without_compiling_says_the_same_key_and_writes_nothing() {
    let hello = component("hello");
    let (with, artefact) = admit(&hello, json!({}));
    let (without, nothing) = admit(&hello, json!({ "compile": false }));
    assert!(!artefact.is_empty() && nothing.is_empty());
    assert_eq!(
        with["Admitted"]["artefact_key"],
        without["Admitted"]["artefact_key"]
    );
    assert_eq!(
        with["Admitted"]["sha256"],
        vyoma_runtime::sha256_hex(&hello)
    );
}

#[test]
fn compile_off_the_device_stores_what_admission_would() {
    let folder = tempfile::tempdir().unwrap();
    let (wasm, store) = (
        folder.path().join("hello.wasm"),
        folder.path().join("store"),
    );
    let hello = component("hello");
    std::fs::write(&wasm, &hello).unwrap();
    let output = Command::new(common::vyomad())
        .args(["compile", "--profile", "server-headless", "--store"])
        .args([&store, &wasm])
        .output()
        .unwrap();
    let line: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let (admitted, artefact) = admit(&hello, json!({}));
    assert_eq!(line["key"], admitted["Admitted"]["artefact_key"]);
    assert_eq!(line["sha256"], admitted["Admitted"]["sha256"]);
    let stored = std::fs::read(store.join(line["key"].as_str().unwrap())).unwrap();
    assert_eq!(line["size"], stored.len());
    assert!(stored == artefact, "the two artefacts differ");
}
