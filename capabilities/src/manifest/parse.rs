//! The walk over a `vyoma.toml`: every key by hand, so that every error can say where, what and what instead.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{
    Adc, App, Declared, Direction, Gpio, I2c, Manifest, MenuItem, Pin, Realtime, Resources,
    RestartPolicy, Spi, Uart, Window,
};
use crate::error::ConfigError;
use crate::read::{Source, Table, Value, quoted};

/// Longest app name: it becomes a cgroup, a directory and a host-name-like label, and fits a column of `ps`.
const MAX_NAME: usize = 32;
/// Most arguments, and most variables of the environment: together with [`MAX_WORD`] far below what one `execve` takes.
const MAX_WORDS: usize = 64;
/// Most bytes of one argument, variable or path; Linux's `PATH_MAX`.
const MAX_WORD: usize = 4096;
/// Most pins of an app: more than any board of the six platforms brings out.
pub(super) const MAX_PINS: usize = 64;
/// Highest number of a pin, bus, chip select, port or channel: above any real one, so that a slip is found.
pub(super) const MAX_INDEX: u32 = 1023;
/// Longest text that a bar or menu shows.
const MAX_LABEL: usize = 128;
/// Most menu items.
const MAX_MENU: usize = 64;
/// Highest priority of an app's threads: Linux has 1 to 99, and 99 is for the kernel's own (migration, watchdogs).
pub(super) const MAX_PRIORITY: u32 = 98;
/// Longest window of a new version's health: a version that takes longer to prove itself is never let go of.
const MAX_HEALTH_SECS: u32 = 3600;
/// Largest coordinate: twice an 8K screen.
const MAX_PIXELS: u32 = 16384;

/// Names that mean something in `@name:` lines.
const RESERVED: [&str; 3] = ["supervisor", "broadcast", "reply"];

const DOCUMENT: &[&str] = &[
    "app",
    "capabilities",
    "resources",
    "realtime",
    "window",
    "menu_items",
];
const APP: &[&str] = &[
    "name",
    "version",
    "wasm",
    "wasm_sha256",
    "icon",
    "restart",
    "health_secs",
    "args",
    "env",
];
const CAPABILITIES: &[&str] = &[
    "stdio",
    "filesystem",
    "network",
    "display",
    "shell",
    "mouse",
    "touch",
    "audio",
    "network_port",
    "watchdog_secs",
    "gpio",
    "i2c",
    "spi",
    "uart",
    "adc",
];
const GPIO: &[&str] = &["pins", "direction"];
const I2C: &[&str] = &["bus", "address"];
const SPI: &[&str] = &["bus", "cs_pin"];
const UART: &[&str] = &["port", "baud"];
const ADC: &[&str] = &["channels"];
const RESOURCES: &[&str] = &["memory_kb", "cpu_percent", "storage_kb"];
const REALTIME: &[&str] = &["priority"];
const WINDOW: &[&str] = &["x", "y", "w", "h", "z", "title", "width", "height"];
const MENU_ITEM: &[&str] = &["label", "action", "enabled", "shortcut"];

/// Where a key that is in the wrong table belongs.
const TABLES: &[(&str, &[&str])] = &[
    ("", DOCUMENT),
    ("app", APP),
    ("capabilities", CAPABILITIES),
    ("resources", RESOURCES),
    ("realtime", REALTIME),
    ("window", WINDOW),
    ("capabilities.gpio", GPIO),
    ("capabilities.i2c", I2C),
    ("capabilities.spi", SPI),
    ("capabilities.uart", UART),
    ("capabilities.adc", ADC),
];

/// Reads and checks the text of a manifest; `file` is only named in errors.
pub fn parse(file: &str, text: &str) -> Result<Manifest, ConfigError> {
    let (source, document) = Source::open(file, text)?;
    let root = Table::root(source, document.get_ref());
    root.only(DOCUMENT, TABLES)?;
    let app = root
        .required("app", "the table [app] with name, version and wasm")?
        .table()?;
    Ok(Manifest {
        app: read_app(&app)?,
        capabilities: root
            .table("capabilities")?
            .as_ref()
            .map(read_capabilities)
            .transpose()?
            .unwrap_or_default(),
        resources: root
            .table("resources")?
            .as_ref()
            .map(read_resources)
            .transpose()?
            .unwrap_or_default(),
        realtime: root
            .table("realtime")?
            .as_ref()
            .map(read_realtime)
            .transpose()?,
        window: root
            .table("window")?
            .as_ref()
            .map(read_window)
            .transpose()?,
        menu_items: root
            .get("menu_items")
            .as_ref()
            .map(read_menu)
            .transpose()?
            .unwrap_or_default(),
    })
}

/// Refuses two manifests that name the same app; the error names both files.
pub fn check_unique<'a>(
    apps: impl Iterator<Item = (&'a str, &'a Manifest)>,
) -> Result<(), ConfigError> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (file, manifest) in apps {
        let name = manifest.app.name.as_str();
        if let Some(first) = seen.insert(name, file) {
            return Err(ConfigError {
                file: crate::read::escaped(file),
                line: None,
                key: String::from("app.name"),
                found: format!(
                    "{}, which {} has too",
                    quoted(name),
                    crate::read::escaped(first)
                ),
                expected: String::from("a name that no other app has"),
                hint: Some("rename or remove one of the two".into()),
            });
        }
    }
    Ok(())
}

/// 1 to 32 characters of `a-z 0-9 -`, starting with a letter; not `supervisor`, `broadcast` or `reply`.
pub fn is_app_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !RESERVED.contains(&name)
}

fn read_app(table: &Table<'_>) -> Result<App, ConfigError> {
    table.only(APP, TABLES)?;
    let name = table.required("name", "the app's name, e.g. name = \"hello\"")?;
    let version = table.required("version", "the app's version, e.g. version = \"1.0.0\"")?;
    let wasm = table.required("wasm", "the component's path, e.g. wasm = \"hello.wasm\"")?;
    Ok(App {
        name: app_name(&name)?,
        version: version.printable(1..=32)?,
        wasm: inner_path(&wasm)?,
        wasm_sha256: table.get("wasm_sha256").as_ref().map(sha256).transpose()?,
        icon: table.get("icon").as_ref().map(inner_path).transpose()?,
        restart: table
            .get("restart")
            .as_ref()
            .map(restart)
            .transpose()?
            .unwrap_or_default(),
        health_secs: table.number("health_secs", 0..=MAX_HEALTH_SECS)?,
        args: table
            .get("args")
            .as_ref()
            .map(args)
            .transpose()?
            .unwrap_or_default(),
        env: table
            .table("env")?
            .as_ref()
            .map(env)
            .transpose()?
            .unwrap_or_default(),
    })
}

fn app_name(value: &Value<'_>) -> Result<String, ConfigError> {
    let name = value.text()?;
    if is_app_name(name) {
        return Ok(String::from(name));
    }
    let error = value.refuse("1 to 32 characters of a-z, 0-9 and -, the first a letter");
    let length = name.chars().count();
    let hint = if RESERVED.contains(&name) {
        Some(format!("{name} is reserved for @{name}: lines").into_boxed_str())
    } else {
        (length > MAX_NAME).then(|| format!("it has {length} characters").into_boxed_str())
    };
    Err(ConfigError { hint, ..error })
}

/// A path that can't leave the folder of the manifest.
fn inner_path(value: &Value<'_>) -> Result<String, ConfigError> {
    let path = value.text()?;
    let problem = if path.is_empty() {
        "an empty path"
    } else if path.len() > MAX_WORD {
        "a path of more than 4096 bytes"
    } else if path.contains('\0') {
        "a path with a NUL character"
    } else if path.chars().any(crate::lines::is_harmful) {
        "a path with a control character"
    } else if path.contains('\\') {
        "a path with a backslash"
    } else if path.starts_with('/') {
        "an absolute path"
    } else if path.split('/').any(|part| part == "..") {
        "a path with .."
    } else if matches!(path.rsplit('/').next(), Some("" | ".")) {
        "the path of a folder"
    } else {
        return Ok(String::from(path));
    };
    let found = if path.is_empty() {
        String::from(problem)
    } else {
        format!("{problem}: {}", quoted(path))
    };
    Err(value.refuse_as(
        &found,
        "a file inside the app's folder, relative to vyoma.toml and with / between its parts",
    ))
}

fn sha256(value: &Value<'_>) -> Result<String, ConfigError> {
    let text = value.text()?;
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let error = value.refuse("64 hexadecimal digits");
    let hint = (text.len() != 64)
        .then(|| format!("it has {} characters", text.chars().count()).into_boxed_str());
    Err(ConfigError { hint, ..error })
}

fn restart(value: &Value<'_>) -> Result<RestartPolicy, ConfigError> {
    let policies = [
        RestartPolicy::Never,
        RestartPolicy::OnFailure,
        RestartPolicy::Always,
    ];
    value
        .choice(&["never", "on-failure", "always"])
        .map(|position| policies[position])
}

fn args(value: &Value<'_>) -> Result<Vec<String>, ConfigError> {
    value
        .array(MAX_WORDS, "strings")?
        .iter()
        .map(word)
        .collect()
}

/// An argument or the value of a variable.
fn word(value: &Value<'_>) -> Result<String, ConfigError> {
    let text = value.text()?;
    if text.len() > MAX_WORD {
        return Err(value.refuse_as(
            &format!("{} bytes", text.len()),
            &format!("at most {MAX_WORD} bytes"),
        ));
    }
    if text.contains('\0') {
        return Err(value.refuse("a string without NUL characters"));
    }
    Ok(String::from(text))
}

fn env(table: &Table<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let entries = table.entries();
    if entries.len() > MAX_WORDS {
        let found = format!("{} variables", entries.len());
        return Err(table.refuse_whole(&found, &format!("at most {MAX_WORDS} variables")));
    }
    let mut variables = BTreeMap::new();
    for (name, value) in entries {
        if name.is_empty() || name.len() > MAX_WORD || name.contains(['=', '\0']) {
            let found = format!("the variable {}", quoted(name));
            return Err(value.refuse_as(&found, "a name of 1 to 4096 bytes without = and NUL"));
        }
        variables.insert(String::from(name), word(&value)?);
    }
    Ok(variables)
}

fn read_capabilities(table: &Table<'_>) -> Result<Declared, ConfigError> {
    table.only(CAPABILITIES, TABLES)?;
    Ok(Declared {
        stdio: table.switch("stdio", false)?,
        filesystem: table.switch("filesystem", false)?,
        network: table.switch("network", false)?,
        display: table.switch("display", false)?,
        shell: table.switch("shell", false)?,
        mouse: table.switch("mouse", false)?,
        touch: table.switch("touch", false)?,
        audio: table.switch("audio", false)?,
        network_port: table.number("network_port", 1..=u16::MAX)?,
        watchdog_secs: table.number("watchdog_secs", 0..=u32::MAX)?,
        gpio: peripheral(table, "gpio", read_gpio)?,
        i2c: peripheral(table, "i2c", read_i2c)?,
        spi: peripheral(table, "spi", read_spi)?,
        uart: peripheral(table, "uart", read_uart)?,
        adc: peripheral(table, "adc", read_adc)?,
    })
}

/// `gpio = true` (whatever the board defines), `gpio = false`, or the table `[capabilities.gpio]`.
fn peripheral<P: Default>(
    table: &Table<'_>,
    key: &str,
    read: fn(&Table<'_>) -> Result<P, ConfigError>,
) -> Result<Option<P>, ConfigError> {
    let Some(value) = table.get(key) else {
        return Ok(None);
    };
    if value.is_table() {
        return read(&value.table()?).map(Some);
    }
    match value.boolean() {
        Ok(wanted) => Ok(wanted.then(P::default)),
        Err(_) => Err(value.refuse(&format!("true, false or the table [capabilities.{key}]"))),
    }
}

fn read_gpio(table: &Table<'_>) -> Result<Gpio, ConfigError> {
    table.only(GPIO, TABLES)?;
    let pins = table
        .get("pins")
        .map(|pins| distinct(&pins, "pin numbers or labels", pin))
        .transpose()?;
    let direction = table
        .get("direction")
        .map(|value| value.choice(&["input", "output"]))
        .transpose()?;
    let directions = [Direction::Input, Direction::Output];
    Ok(Gpio {
        pins: pins.unwrap_or_default(),
        direction: direction.map(|position| directions[position]),
    })
}

fn pin(value: &Value<'_>) -> Result<Pin, ConfigError> {
    let pin = if value.is_text() {
        value.printable(1..=32).map(Pin::Label)
    } else {
        value.number(0..=MAX_INDEX).map(Pin::Number)
    };
    let expected = format!(
        "a pin's number from 0 to {MAX_INDEX} or its label of 1 to 32 printable characters"
    );
    pin.map_err(|error| ConfigError { expected, ..error })
}

fn read_i2c(table: &Table<'_>) -> Result<I2c, ConfigError> {
    table.only(I2C, TABLES)?;
    // An I2C address has 7 bits; whether a reserved one makes sense is the board's business.
    Ok(I2c {
        bus: table.number("bus", 0..=MAX_INDEX)?,
        address: table.number("address", 0..=127)?,
    })
}

fn read_spi(table: &Table<'_>) -> Result<Spi, ConfigError> {
    table.only(SPI, TABLES)?;
    Ok(Spi {
        bus: table.number("bus", 0..=MAX_INDEX)?,
        cs_pin: table.number("cs_pin", 0..=MAX_INDEX)?,
    })
}

fn read_uart(table: &Table<'_>) -> Result<Uart, ConfigError> {
    table.only(UART, TABLES)?;
    // From the slowest to the fastest speed that Linux's termios names.
    Ok(Uart {
        port: table.number("port", 0..=MAX_INDEX)?,
        baud: table.number("baud", 50..=4_000_000)?,
    })
}

fn read_adc(table: &Table<'_>) -> Result<Adc, ConfigError> {
    table.only(ADC, TABLES)?;
    let channel = |value: &Value<'_>| value.number(0..=MAX_INDEX);
    let channels = table
        .get("channels")
        .map(|value| distinct(&value, "channel numbers", channel))
        .transpose()?;
    Ok(Adc {
        channels: channels.unwrap_or_default(),
    })
}

/// An array in which nothing occurs twice.
fn distinct<T: PartialEq>(
    value: &Value<'_>,
    what: &str,
    read: impl Fn(&Value<'_>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let mut items = Vec::new();
    for item in value.array(MAX_PINS, what)? {
        let next = read(&item)?;
        if items.contains(&next) {
            return Err(item.refuse_as(
                &format!("{} again", item.describe()),
                &format!("{what}, each only once"),
            ));
        }
        items.push(next);
    }
    Ok(items)
}

fn read_resources(table: &Table<'_>) -> Result<Resources, ConfigError> {
    table.only(RESOURCES, TABLES)?;
    Ok(Resources {
        // One page of linear memory, to all that 32-bit wasm can address.
        memory_kb: table.number("memory_kb", 64..=4_194_304)?,
        // 64 cores.
        cpu_percent: table.number("cpu_percent", 1..=6400)?,
        storage_kb: table.number("storage_kb", 1..=u32::MAX)?,
    })
}

fn read_realtime(table: &Table<'_>) -> Result<Realtime, ConfigError> {
    table.only(REALTIME, TABLES)?;
    let priority = table.required(
        "priority",
        "the SCHED_FIFO priority of the app's threads, e.g. priority = 50",
    )?;
    Ok(Realtime {
        priority: priority.number(1..=MAX_PRIORITY)? as u8,
    })
}

fn read_window(table: &Table<'_>) -> Result<Window, ConfigError> {
    table.only(WINDOW, TABLES)?;
    Ok(Window {
        x: table.number("x", 0..=MAX_PIXELS)?,
        y: table.number("y", 0..=MAX_PIXELS)?,
        w: table.number("w", 1..=MAX_PIXELS)?,
        h: table.number("h", 1..=MAX_PIXELS)?,
        z: table.number("z", 0..=u8::MAX)?,
        title: table
            .get("title")
            .map(|title| title.printable(0..=MAX_LABEL))
            .transpose()?,
        width: table.number("width", 1..=MAX_PIXELS)?,
        height: table.number("height", 1..=MAX_PIXELS)?,
    })
}

fn read_menu(value: &Value<'_>) -> Result<Vec<MenuItem>, ConfigError> {
    value
        .array(MAX_MENU, "tables [[menu_items]]")?
        .iter()
        .map(|item| read_menu_item(&item.table()?))
        .collect()
}

fn read_menu_item(table: &Table<'_>) -> Result<MenuItem, ConfigError> {
    table.only(MENU_ITEM, TABLES)?;
    Ok(MenuItem {
        label: table
            .required("label", "what the menu shows, e.g. label = \"Open\"")?
            .printable(1..=MAX_LABEL)?,
        action: table
            .required("action", "what a click sends, e.g. action = \"open\"")?
            .printable(1..=MAX_LABEL)?,
        enabled: table.switch("enabled", true)?,
        shortcut: table
            .get("shortcut")
            .map(|value| value.printable(1..=MAX_LABEL))
            .transpose()?,
    })
}
