//! The guide's table, and the rest of what `resolve` decides.

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::manifest::{self, Manifest, Pin};
use vyoma_capabilities::profile::{self, PLATFORMS, Profile};
use vyoma_capabilities::resolve::{Grants, Network, resolve};

/// "Peripheral capabilities by platform", as the guide prints it: the columns are [`PLATFORMS`], in that order except
/// that the guide's table has them as Desktop, Mobile, IoT, Robotics, Server, MCU, which is the same.
const TABLE: &str = "
| stdio      | yes | yes | yes | yes | yes | yes |
| display    | yes | yes | no  | no  | no  | no  |
| network    | yes | yes | yes | yes | yes | no  |
| filesystem | yes | yes | yes | yes | yes | no  |
| mouse      | yes | no  | no  | no  | no  | no  |
| touch      | no  | yes | no  | no  | no  | no  |
| gpio       | no  | no  | yes | yes | no  | yes |
| i2c        | no  | no  | yes | yes | no  | no  |
| spi        | no  | no  | yes | yes | no  | no  |
| uart       | no  | no  | no  | yes | no  | yes |
| adc        | no  | no  | no  | yes | no  | yes |
";

fn platform(name: &str) -> Profile {
    profile::parse(name, profile::builtin(name).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

fn app(declares: &str) -> Manifest {
    let text = format!(
        "[app]\nname = \"probe\"\nversion = \"1\"\nwasm = \"probe.wasm\"\nrestart = \"never\"\n\
         [capabilities]\n{declares}\n"
    );
    manifest::parse("vyoma.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_cell_of_the_guides_table_holds_both_ways() {
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 11);
    let mut cells = 0;
    for (row, capability) in rows.iter().zip(Capability::TABLE) {
        assert_eq!(row[0], capability.name());
        assert_eq!(row.len(), 7);
        for (cell, name) in row[1..].iter().zip(PLATFORMS) {
            let profile = platform(name);
            let there = match *cell {
                "yes" => true,
                "no" => false,
                other => panic!("{other}"),
            };
            let declared = resolve(&app(&format!("{capability} = true")), &profile);
            assert_eq!(
                declared.grants.has(capability),
                there,
                "{capability} on {name}"
            );
            let others = Capability::ALL
                .into_iter()
                .filter(|other| *other != capability);
            assert!(
                others.into_iter().all(|other| !declared.grants.has(other)),
                "{capability} on {name} alone"
            );
            let warned: Vec<_> = declared
                .warnings
                .iter()
                .map(|w| (w.app.as_str(), w.capability, w.platform.as_str()))
                .collect();
            let expected = if there {
                vec![]
            } else {
                vec![("probe", capability, name)]
            };
            assert_eq!(warned, expected, "{capability} on {name}");

            let undeclared = resolve(&app(""), &profile);
            assert!(
                !undeclared.grants.has(capability),
                "{capability} on {name} without asking"
            );
            assert!(
                undeclared.warnings.is_empty(),
                "{capability} on {name} without asking"
            );
            cells += 1;
        }
    }
    assert_eq!(cells, 66);
}

#[test]
fn shell_is_everywhere_and_audio_where_a_display_is() {
    for name in PLATFORMS {
        let resolution = resolve(&app("shell = true\naudio = true"), &platform(name));
        assert!(resolution.grants.shell, "{name}");
        assert_eq!(
            resolution.grants.audio,
            matches!(name, "desktop-full" | "mobile"),
            "{name}"
        );
    }
}

#[test]
fn an_app_that_asks_for_all_is_warned_of_each_missing_one_once_and_keeps_the_rest() {
    let everything: Vec<_> = Capability::ALL
        .iter()
        .map(|capability| format!("{capability} = true\n"))
        .collect();
    let resolution = resolve(&app(&everything.concat()), &platform("mcu-minimal"));
    let warned: Vec<_> = resolution
        .warnings
        .iter()
        .map(|warning| warning.capability.name())
        .collect();
    assert_eq!(
        warned,
        [
            "display",
            "network",
            "filesystem",
            "mouse",
            "touch",
            "i2c",
            "spi",
            "audio"
        ]
    );
    for capability in [
        Capability::Stdio,
        Capability::Gpio,
        Capability::Uart,
        Capability::Adc,
        Capability::Shell,
    ] {
        assert!(resolution.grants.has(capability), "{capability}");
    }
    assert_eq!(
        resolution.warnings[0].to_string(),
        "probe declares display, which mcu-minimal does not have; the app runs without it"
    );
}

#[test]
fn an_app_that_asks_for_nothing_gets_nothing() {
    assert_eq!(
        resolve(&app(""), &platform("desktop-full")).grants,
        Grants::default()
    );
}

#[test]
fn what_the_manifest_narrows_is_granted_as_narrow() {
    let manifest = app(
        "network = true\nnetwork_port = 8080\ngpio = { pins = [4] }\ni2c = { bus = 1, address = 72 }",
    );
    let grants = resolve(&manifest, &platform("iot-edge")).grants;
    assert_eq!(grants.network, Some(Network { port: Some(8080) }));
    assert_eq!(grants.gpio.unwrap().pins, [Pin::Number(4)]);
    assert_eq!(grants.i2c, manifest.capabilities.i2c);
}

#[test]
fn the_watchdog_is_the_manifests_else_the_profiles_and_zero_is_none() {
    let watchdog = |declares: &str, name: &str| {
        resolve(&app(declares), &platform(name))
            .grants
            .watchdog_secs
    };
    assert_eq!(watchdog("", "robotics-rt"), Some(5));
    assert_eq!(watchdog("watchdog_secs = 60", "robotics-rt"), Some(60));
    assert_eq!(watchdog("watchdog_secs = 0", "robotics-rt"), None);
    assert_eq!(watchdog("", "iot-edge"), None);
    assert_eq!(watchdog("watchdog_secs = 3", "iot-edge"), Some(3));
}

#[test]
fn real_time_is_granted_on_the_platform_that_has_it_and_there_only() {
    let text =
        "[app]\nname = \"a\"\nversion = \"1\"\nwasm = \"a.wasm\"\n[realtime]\npriority = 98\n";
    let manifest = manifest::parse("vyoma.toml", text).unwrap();
    let granted: Vec<&str> = PLATFORMS
        .into_iter()
        .filter(|name| {
            resolve(&manifest, &platform(name))
                .grants
                .realtime
                .is_some()
        })
        .collect();
    assert_eq!(granted, ["robotics-rt"]);
    assert_eq!(
        resolve(&app(""), &platform("robotics-rt")).grants.realtime,
        None
    );
}

#[test]
fn resource_limits_are_the_manifests() {
    let text = "[app]\nname = \"a\"\nversion = \"1\"\nwasm = \"a.wasm\"\n\
                [resources]\nmemory_kb = 128\ncpu_percent = 20\nstorage_kb = 64\n";
    let grants = resolve(
        &manifest::parse("vyoma.toml", text).unwrap(),
        &platform("server-headless"),
    )
    .grants;
    assert_eq!(
        (grants.memory_kb, grants.cpu_percent, grants.storage_kb),
        (Some(128), Some(20), Some(64))
    );
}
