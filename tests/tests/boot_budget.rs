//! What the small platforms may take, measured in their images with as many apps as they run: over budget is a failed test.
//! `cargo xtask budget` is what measures; here stand the limits that users were promised.

use std::fs;
use std::process::Command;

use serde_json::Value;
use vyoma_system_tests::from_make_test;
use vyoma_system_tests::turn::Turn;

/// Platform, apps, KiB that all processes may hold together, bytes of kernel and initramfs.
const PROMISED: [(&str, usize, u64, u64); 2] = [
    ("iot-edge", 10, 4 << 10, 8 << 20),
    ("robotics-rt", 15, 8 << 10, 8 << 20),
];

/// MB of the machine that runs all apps of iot-edge.
const MACHINE_MB: u64 = 32;

#[test]
fn all_processes_of_a_full_iot_edge_and_a_full_robotics_rt_and_their_images_are_within_budget() {
    let _turn = Turn::shared();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let json = scratch.path().join("budget.json");
    let output = Command::new(from_make_test("VYOMA_XTASK_BIN"))
        .args(["budget", "--quick", "--json"])
        .arg(&json)
        .args(PROMISED.map(|(platform, ..)| format!("--platform={platform}")))
        .output()
        .expect("running xtask");
    let said = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let measured = fs::read(&json).unwrap_or_else(|error| panic!("no report ({error}): {said}"));
    let measured: Value = serde_json::from_slice(&measured).expect("a report in JSON");
    assert_eq!(measured.as_array().map(Vec::len), Some(PROMISED.len()));
    for (of, (platform, apps, pss_kb, image_bytes)) in
        measured.as_array().into_iter().flatten().zip(PROMISED)
    {
        let number = |key: &str| of[key].as_u64().unwrap_or_else(|| panic!("no {key}: {of}"));
        assert_eq!(of["platform"], platform);
        assert_eq!(
            of["app_pss_kb"].as_array().map(Vec::len),
            Some(apps),
            "{of}"
        );
        // A sum that leaves somebody out would be within any budget.
        let parts: u64 = of["app_pss_kb"]
            .as_array()
            .into_iter()
            .flatten()
            .chain([&of["daemon_pss_kb"]])
            .map(|part| part.as_u64().filter(|kb| *kb > 0).expect("KiB"))
            .sum();
        assert_eq!(parts, number("pss_kb"), "{of}");
        assert!(parts <= pss_kb, "{platform} holds {parts} KiB: {of}");
        let image = number("kernel_bytes") + number("initramfs_bytes");
        assert!(image <= image_bytes, "{platform} has {image} bytes: {of}");
    }
    let machine = measured[0]["smallest_mb"].as_u64();
    assert!(machine.is_some_and(|mb| mb <= MACHINE_MB), "{measured}");
    assert!(output.status.success(), "{said}");
}
