//! Devices under a hosted daemon: the simulated board, what is whose, and what becomes of outputs.

use vyoma_system_tests::hosted::Setup;

/// Has neither pins nor buses, until a board is simulated.
const PROFILE: &str = "server-headless";

fn simulated() -> Setup {
    Setup::new(PROFILE).arg(&["--simulate", "simulated"])
}

/// The guest under a name of its own, with arguments and one pin.
fn with_pin(setup: Setup, name: &str, command: &str, pin: &str, direction: &str) -> Setup {
    setup.app_as("devices", name, |manifest| {
        let arguments = format!("restart = \"never\"\nargs = [\"{command}\", \"{pin}\"]");
        let pins = format!("gpio = {{ pins = [\"{pin}\"], direction = \"{direction}\" }}");
        manifest
            .replace("restart = \"never\"", &arguments)
            .replace("gpio = true", &pins)
            .replace("i2c = true\nspi = true\nuart = true\nadc = true\n", "")
    })
}

#[test]
fn every_kind_of_device_works_on_the_simulated_board() {
    let setup = simulated().app("devices");
    let daemon = setup.start();
    daemon.wait_for_log("devices", "exited with code 0");
    let said = daemon.texts("devices");
    for line in [
        "gpio: PinState::Active, 0 lost, edge to Some(PinState::Active)",
        "i2c: [60]",
        "spi: 640",
        "wasi:spi: opened",
        "uart: $GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A at 115200",
        "adc: 1650402 uV",
    ] {
        assert!(said.iter().any(|text| text == line), "{line}: {said:#?}");
    }
}

#[test]
fn an_app_that_declares_all_five_runs_where_the_platform_has_none() {
    let setup = Setup::new(PROFILE).app("devices");
    let daemon = setup.start();
    daemon.wait_for_log("devices", "exited with code 0");
    let said = daemon.texts("devices");
    for line in [
        "gpio: GpioError::OperationNotSupported",
        "i2c: not-supported",
        "wasi:spi: Error::Other(\"not-supported\")",
        "spi: not-supported",
        "uart: not-supported",
        "adc: not-supported",
    ] {
        assert!(said.iter().any(|text| text == line), "{line}: {said:#?}");
    }
    let told = |capability: &str| {
        let lack = format!("declares {capability}, which {PROFILE} does not have");
        said.iter().filter(|text| text.contains(&lack)).count()
            + daemon.console().matches(&lack).count()
    };
    for capability in ["gpio", "i2c", "spi", "uart", "adc"] {
        assert!(told(capability) >= 1, "{capability}: {said:#?}");
    }
}

#[test]
fn a_pin_that_one_app_drives_is_already_in_use_for_another_until_it_ends() {
    let setup = with_pin(simulated(), "first", "hold", "LED", "output");
    let daemon = setup.start();
    daemon.wait_for_log("first", "holds LED: Ok(())");
    let setup = with_pin(setup, "second", "hold", "LED", "output");
    let folder = setup.apps().join("second");
    let folder = folder.to_str().expect("a path");
    assert!(daemon.ctl(&["install", folder]).status.success());
    daemon.wait_for_log("second", "holds LED: GpioError::AlreadyInUse");
    assert!(daemon.ctl(&["stop", "first"]).status.success());
    assert!(daemon.ctl(&["restart", "second"]).status.success());
    daemon.wait_for_log("second", "holds LED: Ok(())");
}

#[test]
fn an_output_is_safe_when_its_app_was_killed() {
    // RELAY's safe state is high, and SENSE is wired to it.
    let setup = with_pin(simulated(), "driver", "hold", "RELAY", "output");
    let setup = with_pin(setup, "watcher", "watch", "SENSE", "input");
    let daemon = setup.start();
    daemon.wait_for_log("driver", "holds RELAY: Ok(())");
    daemon.wait_for_log("watcher", "SENSE is Ok(PinState::Inactive)");
    let pid = daemon.app("driver").pid.expect("a process");
    let pid = i32::try_from(pid).expect("a process number");
    assert!(
        std::process::Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .expect("kill")
            .success()
    );
    daemon.wait_for_log("watcher", "SENSE became PinState::Active");
}

#[test]
fn an_app_that_declares_all_five_gets_what_the_table_says_under_the_profile_of_every_platform_with_linux()
 {
    // gpio, i2c, spi, uart, adc
    const TABLE: [(&str, [bool; 5]); 5] = [
        ("desktop-full", [false; 5]),
        ("mobile", [false; 5]),
        ("server-headless", [false; 5]),
        ("iot-edge", [true, true, true, false, false]),
        ("robotics-rt", [true; 5]),
    ];
    for (profile, has) in TABLE {
        let setup = Setup::new(profile).app("all-five");
        let daemon = setup.start();
        daemon.wait_for_log("all-five", "exited with code 0");
        let said = daemon.texts("all-five");
        for (capability, has) in ["gpio", "i2c", "spi", "uart", "adc"].into_iter().zip(has) {
            // Nothing is there by the name that it asks for.
            let answer = match (capability, has) {
                ("gpio", true) => "undefined-pin-label",
                ("gpio", false) => "operation-not-supported",
                (_, true) => "no-such-device",
                (_, false) => "not-supported",
            };
            let line = format!("{capability}: {answer}");
            assert!(said.contains(&line), "{profile}: {line}: {said:#?}");
            let lack = format!("declares {capability}, which {profile} does not have");
            let warnings = said.iter().filter(|text| text.contains(&lack)).count();
            assert_eq!(warnings, usize::from(!has), "{profile}: {said:#?}");
        }
    }
}
