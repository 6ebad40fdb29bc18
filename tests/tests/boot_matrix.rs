//! The claim of the project over all shipped apps: `cargo xtask matrix` (what `make demo` runs) finds one SHA-256, one exit
//! code and one output for each, on every platform that boots and on every engine hosted here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use vyoma_system_tests::turn::Turn;
use vyoma_system_tests::{from_make_test, guest};

/// Runs the matrix; its report, whether or not it succeeded, and whether it did.
fn matrix(arguments: &[&str]) -> (Value, bool) {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let json = scratch.path().join("matrix.json");
    let output = Command::new(from_make_test("VYOMA_XTASK_BIN"))
        .arg("matrix")
        .args(arguments)
        .arg("--json")
        .arg(&json)
        .output()
        .expect("running xtask");
    let report = fs::read(&json).unwrap_or_else(|error| {
        panic!(
            "no report ({error}): {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let report = serde_json::from_slice(&report).expect("a report in JSON");
    (report, output.status.success())
}

fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().expect("rows")
}

/// What the guest read-all-stdin prints of its input.
fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What a microcontroller has too little memory for: these are built with `std`.
const TOO_LARGE: [&str; 2] = ["http-server", "notes"];

#[test]
fn every_app_is_the_same_bytes_and_says_the_same_on_every_platform_and_engine() {
    // The matrix runs two places at once by itself.
    let _turn = Turn::alone();
    let (report, agreed) = matrix(&[]);
    assert!(agreed, "{:#}", report["differences"]);
    let mut places: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for row in rows(&report) {
        let text = |key: &str| row[key].as_str().expect(key);
        places
            .entry(text("app"))
            .or_default()
            .insert((text("platform"), text("engine")));
    }
    assert_eq!(places.len(), 10, "{places:?}");
    let unfit: BTreeSet<&str> = report["unfit"]
        .as_array()
        .expect("unfit")
        .iter()
        .map(|unfit| unfit["app"].as_str().expect("app"))
        .collect();
    assert_eq!(unfit, BTreeSet::from(TOO_LARGE));
    for (app, places) in &places {
        let platforms: BTreeSet<&str> = places.iter().map(|(platform, _)| *platform).collect();
        let mut expected = BTreeSet::from([
            "desktop-full",
            "hosted",
            "iot-edge",
            "mobile",
            "robotics-rt",
            "server-headless",
        ]);
        if !TOO_LARGE.contains(app) {
            expected.insert("mcu-minimal");
        }
        assert_eq!(platforms, expected, "{app}");
        for engine in ["wasmtime", "wamr", "wasm3"] {
            assert!(
                places
                    .iter()
                    .any(|(platform, name)| *platform == "hosted" && name.starts_with(engine)),
                "{app} did not run on {engine}: {places:?}"
            );
        }
    }
}

#[test]
fn a_component_gets_its_arguments_and_its_input_to_the_end_in_every_place() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let input = scratch.path().join("input");
    let text = "one line\nand another, without an end";
    fs::write(&input, text).expect("an input");
    let component = guest("read-all-stdin").join("read-all-stdin.wasm");
    let _turn = Turn::alone();
    let (report, agreed) = matrix(&[
        "--platforms",
        "hosted,iot-edge",
        "--wasm",
        &component.display().to_string(),
        "--args",
        "first",
        "--args",
        "and a \"second\"",
        "--stdin",
        &input.display().to_string(),
    ]);
    assert!(agreed, "{:#}", report["differences"]);
    assert_eq!(rows(&report).len(), 5);
    let said = json!([
        r#"out argument "first""#,
        r#"out argument "and a \"second\"""#,
        format!("out {} bytes, hash {:016x}", text.len(), fnv_1a(text)),
    ]);
    for row in rows(&report) {
        assert_eq!(row["exit"], "0", "{row}");
        assert_eq!(row["lines"], said, "{row}");
    }
}
