//! The six profiles with the guide's values, and what is said about bad ones.

use vyoma_capabilities::profile::{
    self, Arch, BUILTIN, Engine, OptimizationLevel, PLATFORMS, Peripherals, Profile, Runtime,
    builtin,
};

fn load(name: &str) -> Profile {
    profile::parse(name, builtin(name).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

const NO_PERIPHERALS: Peripherals = Peripherals {
    gpio: false,
    i2c: false,
    spi: false,
    uart: false,
    adc: false,
};

fn jit(optimization_level: OptimizationLevel) -> Runtime {
    Runtime {
        jit: true,
        aot: false,
        interpreter: false,
        optimization_level,
        cache_compiled: true,
        watchdog_default_secs: None,
        stack_size_kb: None,
    }
}

fn aot(optimization_level: OptimizationLevel, watchdog_default_secs: Option<u32>) -> Runtime {
    Runtime {
        jit: false,
        aot: true,
        watchdog_default_secs,
        ..jit(optimization_level)
    }
}

#[test]
fn the_six_are_the_guides() {
    let expected = [
        Profile {
            name: String::from("desktop-full"),
            arch: Arch::X86_64,
            engine: Engine::Wasmtime,
            ram_kb: 512 * 1024,
            max_apps: 100,
            display: true,
            network: true,
            filesystem: true,
            touch: false,
            peripherals: NO_PERIPHERALS,
            runtime: jit(OptimizationLevel::Speed),
        },
        Profile {
            name: String::from("mobile"),
            arch: Arch::Aarch64,
            engine: Engine::Wasmtime,
            ram_kb: 256 * 1024,
            max_apps: 50,
            display: true,
            network: true,
            filesystem: true,
            touch: true,
            peripherals: NO_PERIPHERALS,
            runtime: jit(OptimizationLevel::Balanced),
        },
        Profile {
            name: String::from("iot-edge"),
            arch: Arch::Aarch64,
            engine: Engine::Wamr,
            ram_kb: 4 * 1024,
            max_apps: 10,
            display: false,
            network: true,
            filesystem: true,
            touch: false,
            peripherals: Peripherals {
                gpio: true,
                i2c: true,
                spi: true,
                ..NO_PERIPHERALS
            },
            runtime: aot(OptimizationLevel::Size, None),
        },
        Profile {
            name: String::from("robotics-rt"),
            arch: Arch::Aarch64,
            engine: Engine::Wamr,
            ram_kb: 8 * 1024,
            max_apps: 15,
            display: false,
            network: true,
            filesystem: true,
            touch: false,
            peripherals: Peripherals {
                gpio: true,
                i2c: true,
                spi: true,
                uart: true,
                adc: true,
            },
            runtime: aot(OptimizationLevel::Speed, Some(5)),
        },
        Profile {
            name: String::from("server-headless"),
            arch: Arch::Aarch64,
            engine: Engine::Wasmtime,
            ram_kb: 1024 * 1024,
            max_apps: 200,
            display: false,
            network: true,
            filesystem: true,
            touch: false,
            peripherals: NO_PERIPHERALS,
            runtime: jit(OptimizationLevel::Speed),
        },
        Profile {
            name: String::from("mcu-minimal"),
            arch: Arch::CortexM4,
            engine: Engine::Wasm3,
            ram_kb: 128,
            max_apps: 3,
            display: false,
            network: false,
            filesystem: false,
            touch: false,
            peripherals: Peripherals {
                gpio: true,
                uart: true,
                adc: true,
                ..NO_PERIPHERALS
            },
            runtime: Runtime {
                jit: false,
                aot: false,
                interpreter: true,
                optimization_level: OptimizationLevel::default(),
                cache_compiled: false,
                watchdog_default_secs: None,
                stack_size_kb: Some(4),
            },
        },
    ];
    for (expected, name) in expected.iter().zip(PLATFORMS) {
        assert_eq!(&load(name), expected);
    }
    assert_eq!(expected.len(), BUILTIN.len());
    assert_eq!(builtin("desktop"), None);
}

/// The guide's key lines, in its order, so that nothing is added to or left out of the files.
#[test]
fn the_six_files_have_the_guides_lines_and_no_others() {
    let head = |name: &str, arch: &str, runtime: &str| {
        format!(
            "[profile]|name = \"{name}\"|arch = \"{arch}\"|runtime = \"{runtime}\"|[resources]|"
        )
    };
    let speed = "[runtime]|jit = true|optimization_level = \"speed\"|cache_compiled = true";
    let expected = [
        head("desktop-full", "x86_64", "wasmtime")
            + "ram_mb = 512|max_apps = 100|display = true|network = true|filesystem = true|"
            + speed,
        head("mobile", "aarch64", "wasmtime")
            + "ram_mb = 256|max_apps = 50|display = true|network = true|filesystem = true|touch = true|"
            + "[runtime]|jit = true|optimization_level = \"balanced\"|cache_compiled = true",
        head("iot-edge", "aarch64", "wamr")
            + "ram_mb = 4|max_apps = 10|display = false|network = true|filesystem = true|"
            + "[peripherals]|gpio = true|i2c = true|spi = true|[runtime]|aot = true|optimization_level = \"size\"",
        head("robotics-rt", "aarch64", "wamr")
            + "ram_mb = 8|max_apps = 15|display = false|network = true|filesystem = true|"
            + "[peripherals]|gpio = true|i2c = true|spi = true|uart = true|adc = true|"
            + "[runtime]|aot = true|optimization_level = \"speed\"|watchdog_default_secs = 5",
        head("server-headless", "aarch64", "wasmtime")
            + "ram_mb = 1024|max_apps = 200|display = false|network = true|filesystem = true|"
            + speed,
        head("mcu-minimal", "arm-cortex-m4", "wasm3")
            + "ram_kb = 128|max_apps = 3|display = false|network = false|filesystem = false|"
            + "[peripherals]|gpio = true|uart = true|adc = true|[runtime]|interpreter = true|stack_size_kb = 4",
    ];
    for ((name, text), expected) in BUILTIN.iter().zip(expected) {
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert_eq!(lines.join("|"), expected, "{name}");
    }
}

/// A profile of `name` with one line replaced (or, with an empty `old`, a line added at the end).
fn changed(name: &str, old: &str, new: &str) -> String {
    let text = builtin(name).unwrap();
    if old.is_empty() {
        return format!("{}\n{new}\n", text.trim_end());
    }
    assert!(text.contains(old), "{name} has no {old}");
    text.replacen(old, new, 1)
}

#[test]
fn what_is_said_about_a_bad_profile() {
    let cases: &[(&str, &str, &str, &str)] = &[
        // platform, old, new, what is said
        (
            "iot-edge",
            "name = \"iot-edge\"",
            "name = \"iot-egde\"",
            "p.toml:2: profile.name: found the string \"iot-egde\"; expected one of \"desktop-full\", \"mobile\", \
             \"iot-edge\", \"robotics-rt\", \"server-headless\", \"mcu-minimal\"; did you mean \"iot-edge\"?",
        ),
        (
            "iot-edge",
            "name = \"iot-edge\"\n",
            "",
            "p.toml:1: profile.name: found nothing; expected the platform's name, e.g. name = \"iot-edge\"",
        ),
        (
            "iot-edge",
            "\"aarch64\"",
            "\"riscv\"",
            "p.toml:3: profile.arch: found the string \"riscv\"; expected one of \"x86_64\", \"aarch64\", \"arm-cortex-m4\"",
        ),
        (
            "desktop-full",
            "\"x86_64\"",
            "\"arm-cortex-m4\"",
            "p.toml:4: profile.runtime: found the engine wasmtime on the architecture arm-cortex-m4; expected wasm3, \
             the only engine for arm-cortex-m4",
        ),
        (
            "iot-edge",
            "\"aarch64\"",
            "\"arm-cortex-m4\"",
            "p.toml:4: profile.runtime: found the engine wamr on the architecture arm-cortex-m4; expected wasm3, \
             the only engine for arm-cortex-m4",
        ),
        (
            "desktop-full",
            "ram_mb = 512\n",
            "",
            "p.toml:6: resources.ram_mb: found nothing; expected either ram_mb or ram_kb",
        ),
        (
            "desktop-full",
            "ram_mb = 512\n",
            "ram_mb = 512\nram_kb = 524288\n",
            "p.toml:8: resources.ram_kb: found both ram_mb and ram_kb; expected only one of the two",
        ),
        (
            "desktop-full",
            "max_apps = 100\n",
            "",
            "p.toml:6: resources.max_apps: found nothing; expected how many apps may run at once",
        ),
        (
            "desktop-full",
            "max_apps = 100",
            "max_apps = 0",
            "p.toml:8: resources.max_apps: found the number 0; expected a whole number from 1 to 1000",
        ),
        (
            "desktop-full",
            "max_apps = 100",
            "max_app = 100",
            "p.toml:8: resources.max_app: found an unknown key; expected one of ram_mb, ram_kb, max_apps, display, \
             network, filesystem, touch; did you mean max_apps?",
        ),
        (
            "desktop-full",
            "display = true",
            "display = \"yes\"",
            "p.toml:9: resources.display: found the string \"yes\"; expected true or false",
        ),
        (
            "server-headless",
            "filesystem = true",
            "filesystem = true\ntouch = true",
            "p.toml:12: resources.touch: found true on a platform without display; expected touch only with display = true",
        ),
        (
            "server-headless",
            "filesystem = true",
            "filesystem = true\ngpio = true",
            "p.toml:12: resources.gpio: found an unknown key; expected one of ram_mb, ram_kb, max_apps, display, \
             network, filesystem, touch; it belongs in [peripherals]",
        ),
        (
            "desktop-full",
            "",
            "aot = true",
            "p.toml:17: runtime.aot: found true for the engine wasmtime; expected no aot: wasmtime takes jit = true \
             or jit = false",
        ),
        (
            "desktop-full",
            "",
            "interpreter = true",
            "p.toml:17: runtime.interpreter: found true for the engine wasmtime; expected no interpreter: wasmtime compiles",
        ),
        (
            "desktop-full",
            "",
            "stack_size_kb = 4",
            "p.toml:17: runtime.stack_size_kb: found a stack for compiled code; expected stack_size_kb only with \
             interpreter = true",
        ),
        (
            "iot-edge",
            "",
            "jit = true",
            "p.toml:21: runtime.jit: found true for the engine wamr; expected no jit: wamr takes aot = true or \
             interpreter = true",
        ),
        (
            "iot-edge",
            "",
            "interpreter = true",
            "p.toml:21: runtime.interpreter: found both aot = true and interpreter = true; expected only one of the two",
        ),
        (
            "iot-edge",
            "aot = true\n",
            "",
            "p.toml:18: runtime.aot: found neither aot = true nor interpreter = true; expected one of the two for the \
             engine wamr",
        ),
        (
            "mcu-minimal",
            "",
            "jit = true",
            "p.toml:21: runtime.jit: found true for the engine wasm3; expected no jit: wasm3 only interprets",
        ),
        (
            "mcu-minimal",
            "",
            "aot = true",
            "p.toml:21: runtime.aot: found true for the engine wasm3; expected no aot: wasm3 only interprets",
        ),
        (
            "mcu-minimal",
            "interpreter = true\n",
            "",
            "p.toml:18: runtime.interpreter: found no interpreter = true for the engine wasm3; expected interpreter = true",
        ),
        (
            "mcu-minimal",
            "",
            "cache_compiled = true",
            "p.toml:21: runtime.cache_compiled: found true for an interpreter; expected cache_compiled only where code \
             is compiled",
        ),
        (
            "desktop-full",
            "\"speed\"",
            "\"fast\"",
            "p.toml:15: runtime.optimization_level: found the string \"fast\"; expected one of \"none\", \"balanced\", \
             \"speed\", \"size\"",
        ),
        (
            "desktop-full",
            "[runtime]\n",
            "[runtimes]\n",
            "p.toml:13: runtimes: found an unknown table or key; expected one of profile, resources, peripherals, \
             runtime; did you mean runtime?",
        ),
    ];
    for (name, old, new, said) in cases {
        let error = profile::parse("p.toml", &changed(name, old, new)).expect_err(new);
        assert_eq!(error.to_string(), *said);
    }
}

#[test]
fn wasm3_goes_on_any_architecture() {
    for arch in ["x86_64", "aarch64"] {
        let profile =
            profile::parse("p.toml", &changed("mcu-minimal", "arm-cortex-m4", arch)).unwrap();
        assert_eq!(
            (profile.arch.name(), profile.engine.name()),
            (arch, "wasm3")
        );
    }
}

#[test]
fn a_profile_survives_its_way_through_json() {
    for name in PLATFORMS {
        let text = serde_json::to_string(&load(name)).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), load(name));
    }
}
