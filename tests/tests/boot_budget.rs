//! The small platforms stay within what their profiles say; `cargo xtask budget` measures and judges.

use std::process::Command;

use vyoma_system_tests::from_make_test;

#[test]
fn iot_edge_and_robotics_rt_stay_within_their_budgets() {
    let output = Command::new(from_make_test("VYOMA_XTASK_BIN"))
        .arg("budget")
        .output()
        .expect("running xtask");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
