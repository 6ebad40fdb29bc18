//! The walk over a profile's TOML: every key by hand, then what the keys say together.

use alloc::format;
use alloc::string::String;

use super::{Arch, Engine, OptimizationLevel, PLATFORMS, Peripherals, Profile, Runtime};
use crate::error::ConfigError;
use crate::read::{Source, Table};

/// Most apps at once that a profile may allow; the largest of the six allows 200.
const MAX_APPS: u32 = 1000;
/// 1 TiB, in the two units.
const MAX_RAM_MB: u64 = 1024 * 1024;
const MAX_RAM_KB: u64 = MAX_RAM_MB * 1024;

const DOCUMENT: &[&str] = &["profile", "resources", "peripherals", "runtime"];
const PROFILE: &[&str] = &["name", "arch", "runtime"];
const RESOURCES: &[&str] = &[
    "ram_mb",
    "ram_kb",
    "max_apps",
    "display",
    "network",
    "filesystem",
    "touch",
];
const PERIPHERALS: &[&str] = &["gpio", "i2c", "spi", "uart", "adc"];
const RUNTIME: &[&str] = &[
    "jit",
    "aot",
    "interpreter",
    "optimization_level",
    "cache_compiled",
    "watchdog_default_secs",
    "stack_size_kb",
];
const TABLES: &[(&str, &[&str])] = &[
    ("profile", PROFILE),
    ("resources", RESOURCES),
    ("peripherals", PERIPHERALS),
    ("runtime", RUNTIME),
];

const ARCHES: [(&str, Arch); 3] = [
    ("x86_64", Arch::X86_64),
    ("aarch64", Arch::Aarch64),
    ("arm-cortex-m4", Arch::CortexM4),
];
const ENGINES: [(&str, Engine); 3] = [
    ("wasmtime", Engine::Wasmtime),
    ("wamr", Engine::Wamr),
    ("wasm3", Engine::Wasm3),
];

/// Reads and checks the text of a profile; `file` is only named in errors.
pub fn parse(file: &str, text: &str) -> Result<Profile, ConfigError> {
    let (source, document) = Source::open(file, text)?;
    let root = Table::root(source, document.get_ref());
    root.only(DOCUMENT, TABLES)?;
    let profile = root
        .required("profile", "the table [profile] with name, arch and runtime")?
        .table()?;
    profile.only(PROFILE, TABLES)?;
    let name = profile
        .required("name", "the platform's name, e.g. name = \"iot-edge\"")?
        .choice(&PLATFORMS)?;
    let arch = profile.required("arch", "the architecture, e.g. arch = \"aarch64\"")?;
    let arch = ARCHES[arch.choice(&ARCHES.map(|(name, _)| name))?].1;
    let engine = profile.required("runtime", "the engine, e.g. runtime = \"wasmtime\"")?;
    let engine = ENGINES[engine.choice(&ENGINES.map(|(name, _)| name))?].1;
    check_engine(&profile, engine, arch)?;

    let resources = root
        .required(
            "resources",
            "the table [resources] with ram_mb and max_apps",
        )?
        .table()?;
    resources.only(RESOURCES, TABLES)?;
    let (display, touch) = (
        resources.switch("display", false)?,
        resources.switch("touch", false)?,
    );
    if touch && !display {
        return Err(resources.refuse(
            "touch",
            "true on a platform without display",
            "touch only with display = true",
        ));
    }
    Ok(Profile {
        name: String::from(PLATFORMS[name]),
        arch,
        engine,
        ram_kb: ram_kb(&resources)?,
        max_apps: resources
            .required("max_apps", "how many apps may run at once")?
            .number(1..=MAX_APPS)?,
        display,
        network: resources.switch("network", false)?,
        filesystem: resources.switch("filesystem", false)?,
        touch,
        peripherals: root
            .table("peripherals")?
            .as_ref()
            .map(peripherals)
            .transpose()?
            .unwrap_or_default(),
        runtime: runtime(
            &root.required("runtime", "the table [runtime]")?.table()?,
            engine,
        )?,
    })
}

/// Wasmtime and WAMR make machine code for Linux; wasm3 only interprets, so it goes anywhere.
fn check_engine(profile: &Table<'_>, engine: Engine, arch: Arch) -> Result<(), ConfigError> {
    if arch != Arch::CortexM4 || engine == Engine::Wasm3 {
        return Ok(());
    }
    let found = format!(
        "the engine {} on the architecture arm-cortex-m4",
        engine.name()
    );
    Err(profile.refuse(
        "runtime",
        &found,
        "wasm3, the only engine for arm-cortex-m4",
    ))
}

fn ram_kb(resources: &Table<'_>) -> Result<u64, ConfigError> {
    match (
        resources.number("ram_mb", 1..=MAX_RAM_MB)?,
        resources.number("ram_kb", 1..=MAX_RAM_KB)?,
    ) {
        (Some(mb), None) => Ok(mb * 1024),
        (None, Some(kb)) => Ok(kb),
        (None, None) => Err(resources.refuse("ram_mb", "nothing", "either ram_mb or ram_kb")),
        (Some(_), Some(_)) => {
            Err(resources.refuse("ram_kb", "both ram_mb and ram_kb", "only one of the two"))
        }
    }
}

fn peripherals(table: &Table<'_>) -> Result<Peripherals, ConfigError> {
    table.only(PERIPHERALS, TABLES)?;
    Ok(Peripherals {
        gpio: table.switch("gpio", false)?,
        i2c: table.switch("i2c", false)?,
        spi: table.switch("spi", false)?,
        uart: table.switch("uart", false)?,
        adc: table.switch("adc", false)?,
    })
}

fn runtime(table: &Table<'_>, engine: Engine) -> Result<Runtime, ConfigError> {
    table.only(RUNTIME, TABLES)?;
    let levels = [
        OptimizationLevel::None,
        OptimizationLevel::Balanced,
        OptimizationLevel::Speed,
        OptimizationLevel::Size,
    ];
    let level = table.get("optimization_level");
    let level = level
        .map(|level| level.choice(&["none", "balanced", "speed", "size"]))
        .transpose()?;
    let interpreter = table.switch("interpreter", false)?;
    let runtime = Runtime {
        jit: table.switch("jit", false)?,
        aot: table.switch("aot", false)?,
        interpreter,
        optimization_level: level.map(|level| levels[level]).unwrap_or_default(),
        // What is compiled is kept unless the profile says otherwise: nobody wants to compile at every start.
        cache_compiled: table.switch("cache_compiled", !interpreter)?,
        watchdog_default_secs: table
            .number("watchdog_default_secs", 0..=u32::MAX)?
            .filter(|secs| *secs > 0),
        // A wasm3 stack beyond 1 MiB is a slip of units: the largest platform that interprets has 128 KiB of RAM.
        stack_size_kb: table.number("stack_size_kb", 1..=1024)?,
    };
    check_runtime(table, &runtime, engine)?;
    Ok(runtime)
}

/// What [runtime] must not say about an engine that can't do it.
fn check_runtime(table: &Table<'_>, runtime: &Runtime, engine: Engine) -> Result<(), ConfigError> {
    let name = engine.name();
    let can_not =
        |key: &str, can: &str| Err(table.refuse(key, &format!("true for the engine {name}"), can));
    let compiled = runtime.jit || runtime.aot;
    match engine {
        Engine::Wasmtime if runtime.aot => {
            can_not("aot", "no aot: wasmtime takes jit = true or jit = false")
        }
        Engine::Wasmtime if runtime.interpreter => {
            can_not("interpreter", "no interpreter: wasmtime compiles")
        }
        Engine::Wamr if runtime.jit => {
            can_not("jit", "no jit: wamr takes aot = true or interpreter = true")
        }
        Engine::Wamr if runtime.aot && runtime.interpreter => Err(table.refuse(
            "interpreter",
            "both aot = true and interpreter = true",
            "only one of the two",
        )),
        Engine::Wamr if !runtime.aot && !runtime.interpreter => Err(table.refuse(
            "aot",
            "neither aot = true nor interpreter = true",
            "one of the two for the engine wamr",
        )),
        Engine::Wasm3 if runtime.jit => can_not("jit", "no jit: wasm3 only interprets"),
        Engine::Wasm3 if runtime.aot => can_not("aot", "no aot: wasm3 only interprets"),
        Engine::Wasm3 if !runtime.interpreter => Err(table.refuse(
            "interpreter",
            "no interpreter = true for the engine wasm3",
            "interpreter = true",
        )),
        _ if runtime.interpreter
            && table.get("cache_compiled").is_some()
            && runtime.cache_compiled =>
        {
            Err(table.refuse(
                "cache_compiled",
                "true for an interpreter",
                "cache_compiled only where code is compiled",
            ))
        }
        _ if compiled && runtime.stack_size_kb.is_some() => Err(table.refuse(
            "stack_size_kb",
            "a stack for compiled code",
            "stack_size_kb only with interpreter = true",
        )),
        _ => Ok(()),
    }
}
