//! The power goes while an app is being updated: `cargo xtask powercut` does it, and fails if anything but the old or the new
//! version runs afterwards. A long run has many more cuts; what one found is in docs/power-cuts.md.

use std::process::Command;

use vyoma_system_tests::from_make_test;
use vyoma_system_tests::turn::Turn;

#[test]
fn after_a_power_cut_in_an_update_the_old_version_or_the_new_one_runs() {
    let _turn = Turn::shared();
    let output = Command::new(from_make_test("VYOMA_XTASK_BIN"))
        .args(["powercut", "--cuts", "50", "--kills", "3", "--boots", "1"])
        .output()
        .expect("start xtask");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("| replayed, then a daemon on the files | 50 |"),
        "{said}"
    );
}
