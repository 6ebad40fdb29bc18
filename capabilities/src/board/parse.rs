//! The walk over a board's TOML.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{
    AdcChannel, Board, Fault, GpioChip, I2cBus, I2cDevice, I2cPart, Safe, Serial, SpiDevice,
    SpiPart, UartPort, number,
};
use crate::error::ConfigError;
use crate::read::{Source, Table, Value};

/// Most entries of a list: as many as a manifest can name.
const MAX_LIST: usize = 64;
/// Most lines of a chip.
const MAX_LINES: u32 = 1024;
/// Highest number of anything, as in a manifest.
const MAX_INDEX: u32 = 1023;
/// Longest label and path.
const LABEL: core::ops::RangeInclusive<usize> = 1..=32;
const PATH: core::ops::RangeInclusive<usize> = 1..=128;

const DOCUMENT: &[&str] = &["board", "gpio", "i2c", "spi", "uart", "adc"];
const BOARD: &[&str] = &["name"];
const GPIO: &[&str] = &[
    "chip", "lines", "labels", "safe", "high", "wires", "stuck", "broken",
];
const I2C: &[&str] = &["bus", "label", "device", "devices"];
const I2C_DEVICE: &[&str] = &["address", "part", "width", "registers", "fault", "after"];
const SPI: &[&str] = &[
    "bus", "cs", "label", "device", "hz", "mode", "part", "values", "feeds",
];
const UART: &[&str] = &[
    "port", "label", "device", "echo", "says", "replies", "broken",
];
const ADC: &[&str] = &[
    "channel",
    "label",
    "iio",
    "input",
    "bits",
    "millivolts",
    "value",
    "broken",
];
const TABLES: &[(&str, &[&str])] = &[
    ("board", BOARD),
    ("gpio", GPIO),
    ("i2c", I2C),
    ("i2c.devices", I2C_DEVICE),
    ("spi", SPI),
    ("uart", UART),
    ("adc", ADC),
];

/// Reads and checks the text of a board; `file` is only named in errors.
pub fn parse(file: &str, text: &str) -> Result<Board, ConfigError> {
    let (source, document) = Source::open(file, text)?;
    let root = Table::root(source, document.get_ref());
    root.only(DOCUMENT, TABLES)?;
    let board = root
        .required("board", "the table [board] with name")?
        .table()?;
    board.only(BOARD, TABLES)?;
    let name = board
        .required("name", "the board's name, e.g. name = \"raspberry-pi-4\"")?
        .printable(LABEL)?;
    let board = Board {
        name,
        gpio: list(&root, "gpio", gpio)?,
        i2c: list(&root, "i2c", i2c)?,
        spi: list(&root, "spi", spi)?,
        uart: list(&root, "uart", uart)?,
        adc: list(&root, "adc", adc)?,
    };
    unique(
        &root,
        "gpio",
        board
            .gpio
            .iter()
            .flat_map(|chip| chip.labels.keys().cloned()),
    )?;
    unique(
        &root,
        "i2c",
        names(&board.i2c, |it| (it.bus.to_string(), &it.label)),
    )?;
    unique(
        &root,
        "spi",
        names(&board.spi, |it| {
            (format!("{}.{}", it.bus, it.cs), &it.label)
        }),
    )?;
    unique(
        &root,
        "uart",
        names(&board.uart, |it| (it.port.to_string(), &it.label)),
    )?;
    unique(
        &root,
        "adc",
        names(&board.adc, |it| (it.channel.to_string(), &it.label)),
    )?;
    Ok(board)
}

fn list<T>(
    table: &Table<'_>,
    key: &str,
    read: fn(&Table<'_>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let Some(value) = table.get(key) else {
        return Ok(Vec::new());
    };
    let items = value.array(MAX_LIST, &format!("tables [[{key}]]"))?;
    items.iter().map(|item| read(&item.table()?)).collect()
}

/// Number and label of each.
fn names<'a, T>(
    items: &'a [T],
    of: impl Fn(&'a T) -> (String, &'a Option<String>),
) -> impl Iterator<Item = String> {
    items.iter().flat_map(move |item| {
        let (number, label) = of(item);
        core::iter::once(number).chain(label.clone())
    })
}

/// A name must mean one thing.
fn unique(
    root: &Table<'_>,
    key: &str,
    names: impl Iterator<Item = String>,
) -> Result<(), ConfigError> {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(root.refuse(key, &format!("the name {name} twice"), "each name once"));
        }
        seen.push(name);
    }
    Ok(())
}

fn label(table: &Table<'_>) -> Result<Option<String>, ConfigError> {
    let Some(value) = table.get("label") else {
        return Ok(None);
    };
    plain(&value, value.printable(LABEL)?).map(Some)
}

/// A label that is no number: those mean something else.
fn plain(value: &Value<'_>, label: String) -> Result<String, ConfigError> {
    if number(&label).is_some() || label.contains('.') {
        return Err(value.refuse("a label that is no number"));
    }
    Ok(label)
}

fn path(table: &Table<'_>, key: &str, otherwise: String) -> Result<String, ConfigError> {
    table
        .get(key)
        .map_or(Ok(otherwise), |value| value.printable(PATH))
}

fn gpio(table: &Table<'_>) -> Result<GpioChip, ConfigError> {
    table.only(GPIO, TABLES)?;
    let lines = table
        .required("lines", "how many lines the chip has, e.g. lines = 8")?
        .number(1..=MAX_LINES)?;
    let mut labels = BTreeMap::new();
    for (key, value) in entries(table, "labels")? {
        let line = value.number(0..=lines - 1)?;
        if labels.values().any(|other| *other == line) {
            return Err(value.refuse("a line that has no other label"));
        }
        labels.insert(plain(&value, key.to_string())?, line);
    }
    let find = |value: &Value<'_>, name: &str| {
        labels
            .get(name)
            .copied()
            .or_else(|| number(name).filter(|line| *line < lines))
            .ok_or_else(|| value.refuse("a label or number of this chip"))
    };
    let mut safe = BTreeMap::new();
    for (key, value) in entries(table, "safe")? {
        let states = [Safe::Input, Safe::Low, Safe::High];
        let state = states[value.choice(&["input", "low", "high"])?];
        safe.insert(find(&value, key)?, state);
    }
    let some = |key: &str| -> Result<Vec<u32>, ConfigError> {
        let Some(value) = table.get(key) else {
            return Ok(Vec::new());
        };
        let names = value.array(MAX_LINES as usize, "labels or numbers of lines")?;
        names.iter().map(|name| find(name, name.text()?)).collect()
    };
    let mut wires = Vec::new();
    for (from, value) in entries(table, "wires")? {
        let to = find(&value, value.text()?)?;
        wires.push((find(&value, from)?, to));
    }
    Ok(GpioChip {
        chip: path(table, "chip", String::from("gpiochip0"))?,
        lines,
        high: some("high")?,
        stuck: some("stuck")?,
        broken: some("broken")?,
        wires,
        safe,
        labels,
    })
}

fn entries<'a>(table: &Table<'a>, key: &str) -> Result<Vec<(&'a str, Value<'a>)>, ConfigError> {
    Ok(table
        .table(key)?
        .map(|table| table.entries())
        .unwrap_or_default())
}

fn i2c(table: &Table<'_>) -> Result<I2cBus, ConfigError> {
    table.only(I2C, TABLES)?;
    let bus = table
        .required("bus", "the bus's number, e.g. bus = 1")?
        .number(0..=MAX_INDEX)?;
    Ok(I2cBus {
        bus,
        label: label(table)?,
        device: path(table, "device", format!("/dev/i2c-{bus}"))?,
        devices: list(table, "devices", i2c_device)?,
    })
}

fn i2c_device(table: &Table<'_>) -> Result<I2cDevice, ConfigError> {
    table.only(I2C_DEVICE, TABLES)?;
    let width = table.number("width", 1..=2)?.unwrap_or(1);
    let mut registers = BTreeMap::new();
    for (key, value) in entries(table, "registers")? {
        let register = key
            .strip_prefix("0x")
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or_else(|| value.refuse("a register like 0xf7 as its key"))?;
        let bytes = value.array(256, "bytes")?;
        let bytes = bytes.iter().map(|byte| byte.number(0..=u8::MAX));
        registers.insert(register, bytes.collect::<Result<_, _>>()?);
    }
    let part = table.get("part");
    let part = part
        .map(|value| value.choice(&["registers", "ssd1306"]))
        .transpose()?;
    let fault = table.get("fault");
    let fault = fault
        .map(|value| value.choice(&Fault::NAMES.map(|(name, _)| name)))
        .transpose()?;
    Ok(I2cDevice {
        address: table
            .required("address", "the device's address, e.g. address = 0x48")?
            .number(0..=127)?,
        part: match part {
            Some(1) => I2cPart::Ssd1306,
            _ => I2cPart::Registers,
        },
        width,
        registers,
        fault: fault.map(|place| Fault::NAMES[place].1),
        after: table.number("after", 0..=u32::MAX)?.unwrap_or(0),
    })
}

fn spi(table: &Table<'_>) -> Result<SpiDevice, ConfigError> {
    table.only(SPI, TABLES)?;
    let bus = table
        .required("bus", "the bus's number, e.g. bus = 0")?
        .number(0..=MAX_INDEX)?;
    let cs = table.number("cs", 0..=MAX_INDEX)?.unwrap_or(0);
    let part = table
        .get("part")
        .map(|value| value.choice(&["loopback", "mcp3008", "max31855", "mcp4921", "broken"]))
        .transpose()?;
    let part = match part {
        Some(0) => Some(SpiPart::Loopback),
        Some(1) => Some(SpiPart::Mcp3008(values(table, 1023)?)),
        Some(2) => Some(SpiPart::Max31855(values(table, 16383)?)),
        Some(3) => Some(SpiPart::Mcp4921 {
            feeds: table.number("feeds", 0..=MAX_INDEX)?,
        }),
        Some(_) => Some(SpiPart::Broken),
        None => None,
    };
    Ok(SpiDevice {
        bus,
        cs,
        label: label(table)?,
        device: path(table, "device", format!("/dev/spidev{bus}.{cs}"))?,
        // What nearly every part takes, and wires of a breadboard.
        hz: table.number("hz", 1..=200_000_000)?.unwrap_or(1_000_000),
        mode: table.number("mode", 0..=3)?.unwrap_or(0),
        part,
    })
}

/// The values of a part, zero where none are said.
fn values<const N: usize>(table: &Table<'_>, most: u16) -> Result<[u16; N], ConfigError> {
    let mut values = [0; N];
    if let Some(list) = table.get("values") {
        for (place, value) in values.iter_mut().zip(list.array(N, "values")?) {
            *place = value.number(0..=most)?;
        }
    }
    Ok(values)
}

fn uart(table: &Table<'_>) -> Result<UartPort, ConfigError> {
    table.only(UART, TABLES)?;
    let port = table
        .required("port", "the port's number, e.g. port = 0")?
        .number(0..=MAX_INDEX)?;
    let mut replies = BTreeMap::new();
    for (line, value) in entries(table, "replies")? {
        replies.insert(line.to_string(), value.text()?.to_string());
    }
    let says = table.get("says").map(|value| value.text()).transpose()?;
    let serial = Serial {
        echo: table.switch("echo", false)?,
        says: says.unwrap_or_default().to_string(),
        replies,
        broken: table.switch("broken", false)?,
    };
    Ok(UartPort {
        port,
        label: label(table)?,
        device: path(table, "device", format!("/dev/ttyS{port}"))?,
        serial: (serial != Serial::default()).then_some(serial),
    })
}

fn adc(table: &Table<'_>) -> Result<AdcChannel, ConfigError> {
    table.only(ADC, TABLES)?;
    let channel = table
        .required("channel", "the channel's number, e.g. channel = 0")?
        .number(0..=MAX_INDEX)?;
    let millivolts: Option<u32> = table.number("millivolts", 1..=1_000_000)?;
    Ok(AdcChannel {
        channel,
        label: label(table)?,
        iio: path(table, "iio", String::new())?,
        input: path(table, "input", format!("voltage{channel}"))?,
        bits: table.number("bits", 1..=32)?.unwrap_or(12),
        microvolts: millivolts.map(|millivolts| millivolts * 1000),
        value: table.number("value", 0..=u32::MAX)?.unwrap_or(0),
        broken: table.switch("broken", false)?,
    })
}
