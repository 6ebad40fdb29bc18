//! Manifests that load, and what they say then.

use vyoma_capabilities::manifest::{
    self, Adc, Direction, Gpio, I2c, Manifest, Pin, Realtime, RestartPolicy, Spi, Uart,
};

fn load(text: &str) -> Manifest {
    manifest::parse("vyoma.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

const APP: &str = "[app]\nname = \"hello\"\nversion = \"1.0.0\"\nwasm = \"hello.wasm\"\n";

#[test]
fn the_least_manifest_has_the_documented_defaults() {
    let manifest = load(APP);
    assert_eq!(manifest.app.name, "hello");
    assert_eq!(manifest.app.restart, RestartPolicy::OnFailure);
    assert_eq!(manifest.app.health_secs, None);
    assert!(
        manifest.app.args.is_empty()
            && manifest.app.env.is_empty()
            && manifest.app.wasm_sha256.is_none()
    );
    assert_eq!(manifest.capabilities, manifest::Declared::default());
    assert_eq!(manifest.resources, manifest::Resources::default());
    assert!(manifest.window.is_none() && manifest.menu_items.is_empty());
    assert_eq!(manifest.realtime, None);
}

#[test]
fn the_short_form_asks_for_whatever_the_board_defines() {
    let declared = load(&format!(
        "{APP}[capabilities]\nstdio = true\ngpio = true\ni2c = true\nspi = true\nuart = true\nadc = true\n"
    ))
    .capabilities;
    assert_eq!(declared.gpio, Some(Gpio::default()));
    assert_eq!(declared.i2c, Some(I2c::default()));
    assert_eq!(declared.spi, Some(Spi::default()));
    assert_eq!(declared.uart, Some(Uart::default()));
    assert_eq!(declared.adc, Some(Adc::default()));
}

#[test]
fn a_peripheral_that_is_false_is_not_declared() {
    let declared = load(&format!(
        "{APP}[capabilities]\ngpio = false\nuart = false\n"
    ))
    .capabilities;
    assert_eq!((declared.gpio, declared.uart), (None, None));
}

#[test]
fn the_full_form_loads_with_every_key() {
    let manifest = load(include_str!("../../fuzz/corpus/manifest/full.toml"));
    let app = &manifest.app;
    assert_eq!(
        (app.name.as_str(), app.version.as_str(), app.wasm.as_str()),
        ("arm", "2.1.0", "bin/arm.wasm")
    );
    assert_eq!(
        app.wasm_sha256.as_deref(),
        Some("ab".repeat(32).as_str()),
        "hex is made lower-case"
    );
    assert_eq!(app.icon.as_deref(), Some("arm.png"));
    assert_eq!(app.restart, RestartPolicy::Always);
    assert_eq!(app.health_secs, Some(60));
    assert_eq!(app.args, ["--speed", "3"]);
    assert_eq!(
        app.env
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>(),
        ["LANG=de", "TZ=UTC"]
    );
    let declared = &manifest.capabilities;
    assert!(declared.stdio && declared.filesystem && declared.network && declared.display);
    assert!(declared.shell && declared.mouse && declared.touch && declared.audio);
    assert_eq!(
        (declared.network_port, declared.watchdog_secs),
        (Some(8080), Some(0))
    );
    let pins = vec![
        Pin::Number(3),
        Pin::Label(String::from("LED")),
        Pin::Number(17),
    ];
    assert_eq!(
        declared.gpio,
        Some(Gpio {
            pins,
            direction: Some(Direction::Output)
        })
    );
    assert_eq!(
        declared.i2c,
        Some(I2c {
            bus: Some(1),
            address: Some(0x48)
        })
    );
    assert_eq!(
        declared.spi,
        Some(Spi {
            bus: Some(0),
            cs_pin: Some(2)
        })
    );
    assert_eq!(
        declared.uart,
        Some(Uart {
            port: Some(0),
            baud: Some(115_200)
        })
    );
    assert_eq!(
        declared.adc,
        Some(Adc {
            channels: vec![0, 1]
        })
    );
    let resources = &manifest.resources;
    assert_eq!(
        (
            resources.memory_kb,
            resources.cpu_percent,
            resources.storage_kb
        ),
        (Some(1024), Some(50), Some(2048))
    );
    assert_eq!(manifest.realtime, Some(Realtime { priority: 50 }));
    let window = manifest.window.as_ref().unwrap();
    assert_eq!(
        (window.x, window.y, window.w, window.h, window.z),
        (Some(1), Some(2), Some(300), Some(200), Some(10))
    );
    assert_eq!(
        (window.title.as_deref(), window.width, window.height),
        (Some("Arm"), Some(100), Some(80))
    );
    let items: Vec<_> = manifest
        .menu_items
        .iter()
        .map(|i| (i.label.as_str(), i.action.as_str(), i.enabled))
        .collect();
    assert_eq!(items, [("Home", "home", true), ("Stop", "stop", false)]);
    assert_eq!(manifest.menu_items[1].shortcut.as_deref(), Some("Ctrl+S"));
}

#[test]
fn peripheral_tables_may_be_written_inline_or_with_dotted_keys() {
    let header = load(&format!("{APP}[capabilities.gpio]\npins = [3]\n"));
    let inline = load(&format!("{APP}[capabilities]\ngpio = {{ pins = [3] }}\n"));
    let dotted = load(&format!("{APP}[capabilities]\ngpio.pins = [3]\n"));
    assert_eq!(header, inline);
    assert_eq!(header, dotted);
}

#[test]
fn paths_inside_the_apps_folder_load() {
    for path in [
        "a.wasm",
        "./a.wasm",
        "target/wasm32-wasip2/release/a.wasm",
        "..a/b..wasm",
        "a b/ü.wasm",
    ] {
        let text = APP.replace("hello.wasm", path);
        assert_eq!(load(&text).app.wasm, path);
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_load() {
    assert_eq!(load(&APP.replace('\n', "\r\n")), load(APP));
    assert_eq!(load(&format!("\u{feff}{APP}")), load(APP));
}

#[test]
fn only_names_that_fit_every_place_are_app_names() {
    let longest = "a".repeat(32);
    for name in ["a", "hello", "a-1", "x2", "broadcaster", longest.as_str()] {
        assert!(manifest::is_app_name(name), "{name}");
    }
    let too_long = "a".repeat(33);
    for name in [
        "",
        "A",
        "1a",
        "-a",
        "a_b",
        "a.b",
        "a b",
        "a/b",
        "ä",
        "supervisor",
        "broadcast",
        "reply",
        too_long.as_str(),
    ] {
        assert!(!manifest::is_app_name(name), "{name}");
    }
}

#[test]
fn two_apps_of_one_name_are_refused_with_both_files() {
    let (hello, other) = (load(APP), load(&APP.replace("\"hello\"", "\"other\"")));
    assert_eq!(
        manifest::check_unique([("a/vyoma.toml", &hello), ("b/vyoma.toml", &other)].into_iter()),
        Ok(())
    );
    let apps = [
        ("a/vyoma.toml", &hello),
        ("b/vyoma.toml", &other),
        ("c/vyoma.toml", &hello),
    ];
    assert_eq!(
        manifest::check_unique(apps.into_iter())
            .unwrap_err()
            .to_string(),
        "c/vyoma.toml: app.name: found \"hello\", which a/vyoma.toml has too; expected a name that no other app has; \
         rename or remove one of the two"
    );
}

#[test]
fn a_manifest_survives_its_way_through_json() {
    let manifest = load(include_str!("../../fuzz/corpus/manifest/full.toml"));
    let text = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
}
