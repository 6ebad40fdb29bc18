//! A manifest for a device that reads no TOML: what a microcontroller needs of it, in postcard, checked when it is read.
//!
//! `vyomactl` makes it of a `vyoma.toml`, it travels in [`Request::InstallCompact`](crate::control::Request), and the device keeps it
//! in flash beside the component. Left out are the component's path (what came with it is the component), icon,
//! window and menu (nothing there could show them), and `health_secs` (no earlier version is kept there). Bytes in flash may be anything: every documented property of a
//! [`Manifest`] is checked on reading, and what reading takes of memory is bounded.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::parse::{MAX_INDEX, MAX_PINS, MAX_PRIORITY};
use super::{
    Adc, App, Declared, Direction, Gpio, I2c, Manifest, Pin, Realtime, Resources, RestartPolicy,
    Spi, Uart, is_app_name,
};
use crate::hex;

/// Most bytes of the compact form.
pub const MAX_COMPACT: usize = 1024;
/// Most arguments, and most variables of the environment: what a device with little memory has for them.
const MAX_WORDS: usize = 16;
/// First byte: version of this form.
const FORM: u8 = 1;
/// What stands for the component's path.
const COMPONENT: &str = "app.wasm";

/// Why a manifest has no compact form, or bytes are none. One line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactError(String);

impl fmt::Display for CompactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for CompactError {}

/// What is kept. The order of the fields is the form.
#[derive(Serialize, Deserialize)]
struct Compact<'a> {
    #[serde(borrow)]
    name: &'a str,
    version: &'a str,
    pinned: Option<[u8; 32]>,
    restart: RestartPolicy,
    args: Few<&'a str, MAX_WORDS>,
    env: Few<(&'a str, &'a str), MAX_WORDS>,
    /// Bits of [`Declared`]'s switches, the first one lowest.
    switches: u8,
    network_port: Option<u16>,
    watchdog_secs: Option<u32>,
    gpio: Option<(Few<CompactPin<'a>, MAX_PINS>, Option<Direction>)>,
    i2c: Option<I2c>,
    spi: Option<Spi>,
    uart: Option<Uart>,
    adc: Option<Few<u32, MAX_PINS>>,
    resources: Resources,
    realtime: Option<Realtime>,
}

#[derive(Serialize, Deserialize)]
enum CompactPin<'a> {
    Number(u32),
    Label(&'a str),
}

/// The compact form of a manifest.
pub fn encode(manifest: &Manifest) -> Result<Vec<u8>, CompactError> {
    let Manifest {
        app,
        capabilities: declared,
        ..
    } = manifest;
    for (key, found) in [("app.args", app.args.len()), ("app.env", app.env.len())] {
        if found > MAX_WORDS {
            return Err(CompactError(format!(
                "{key}: found {found}; a microcontroller takes at most {MAX_WORDS}"
            )));
        }
    }
    let compact = Compact {
        name: &app.name,
        version: &app.version,
        pinned: app.wasm_sha256.as_deref().map(pinned).transpose()?,
        restart: app.restart,
        args: Few(app.args.iter().map(String::as_str).collect()),
        env: Few(app
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()),
        switches: switches(declared),
        network_port: declared.network_port,
        watchdog_secs: declared.watchdog_secs,
        gpio: declared.gpio.as_ref().map(|gpio| {
            (
                Few(gpio.pins.iter().map(compact_pin).collect()),
                gpio.direction,
            )
        }),
        i2c: declared.i2c.clone(),
        spi: declared.spi.clone(),
        uart: declared.uart.clone(),
        adc: declared.adc.as_ref().map(|adc| Few(adc.channels.clone())),
        resources: manifest.resources.clone(),
        realtime: manifest.realtime,
    };
    let bytes = postcard::to_extend(&compact, Vec::from([FORM]))
        .map_err(|error| CompactError(format!("the manifest has no compact form: {error}")))?;
    if bytes.len() > MAX_COMPACT {
        return Err(CompactError(format!(
            "the manifest takes {} bytes in compact form; a microcontroller takes at most {MAX_COMPACT}; shorten app.args and app.env",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// Reads the compact form, and checks it as strictly as a `vyoma.toml`.
pub fn decode(bytes: &[u8]) -> Result<Manifest, CompactError> {
    if bytes.len() > MAX_COMPACT {
        return Err(unreadable("more than 1024 bytes"));
    }
    let Some((&FORM, body)) = bytes.split_first() else {
        return Err(unreadable("another form than 1"));
    };
    let compact = match postcard::take_from_bytes::<Compact<'_>>(body) {
        Ok((compact, [])) => compact,
        Ok(_) => return Err(unreadable("bytes after its end")),
        Err(_) => return Err(unreadable("bytes that are no manifest")),
    };
    compact.check().map_err(unreadable)?;
    Ok(compact.into_manifest())
}

fn unreadable(what: &str) -> CompactError {
    CompactError(format!(
        "compact manifest: found {what}; expected what vyomactl of this version makes"
    ))
}

impl Compact<'_> {
    fn check(&self) -> Result<(), &'static str> {
        let printable = |text: &str, most| {
            (1..=most).contains(&text.chars().count())
                && !text.chars().any(crate::lines::is_harmful)
        };
        let index = |number: Option<u32>| number.is_none_or(|number| number <= MAX_INDEX);
        let Resources {
            memory_kb,
            cpu_percent,
            storage_kb,
        } = self.resources;
        let no_nul = |text: &str| !text.contains('\0');
        let fine = [
            (is_app_name(self.name), "a name that no app can have"),
            (printable(self.version, 32), "a version that is no text"),
            (
                self.args.0.iter().all(|arg| no_nul(arg)),
                "an argument with a NUL",
            ),
            (
                self.env.0.iter().all(|(name, value)| {
                    !name.is_empty() && !name.contains('=') && no_nul(name) && no_nul(value)
                }),
                "a variable that can't be set",
            ),
            (self.network_port != Some(0), "port 0"),
            (
                self.gpio
                    .iter()
                    .flat_map(|(pins, _)| &pins.0)
                    .all(|pin| match pin {
                        CompactPin::Number(number) => *number <= MAX_INDEX,
                        CompactPin::Label(label) => printable(label, 32),
                    }),
                "a pin that no board has",
            ),
            (
                self.i2c.as_ref().is_none_or(|i2c| {
                    index(i2c.bus) && i2c.address.is_none_or(|address| address <= 127)
                }),
                "an I2C bus that no board has",
            ),
            (
                self.spi
                    .as_ref()
                    .is_none_or(|spi| index(spi.bus) && index(spi.cs_pin)),
                "an SPI bus that no board has",
            ),
            (
                self.uart.as_ref().is_none_or(|uart| {
                    index(uart.port)
                        && uart
                            .baud
                            .is_none_or(|baud| (50..=4_000_000).contains(&baud))
                }),
                "a serial port that no board has",
            ),
            (
                self.adc
                    .iter()
                    .flat_map(|channels| &channels.0)
                    .all(|channel| *channel <= MAX_INDEX),
                "an analogue input that no board has",
            ),
            (
                memory_kb.is_none_or(|kb| (64..=4_194_304).contains(&kb))
                    && cpu_percent.is_none_or(|percent| (1..=6400).contains(&percent))
                    && storage_kb != Some(0),
                "resources out of their range",
            ),
            (
                self.realtime.is_none_or(|realtime| {
                    (1..=MAX_PRIORITY).contains(&u32::from(realtime.priority))
                }),
                "a priority out of its range",
            ),
        ];
        fine.iter()
            .find(|(fine, _)| !fine)
            .map_or(Ok(()), |(_, what)| Err(*what))
    }

    fn into_manifest(self) -> Manifest {
        // One by one: collecting would bring a sort along, which nothing else on a microcontroller needs.
        let mut env = BTreeMap::new();
        for (name, value) in &self.env.0 {
            env.insert(String::from(*name), String::from(*value));
        }
        let switch = |bit: u8| self.switches & (1 << bit) != 0;
        Manifest {
            app: App {
                name: String::from(self.name),
                version: String::from(self.version),
                wasm: String::from(COMPONENT),
                wasm_sha256: self.pinned.map(|hash| hex::encode(&hash)),
                icon: None,
                restart: self.restart,
                health_secs: None,
                args: self.args.0.iter().map(|arg| String::from(*arg)).collect(),
                env,
            },
            capabilities: Declared {
                stdio: switch(0),
                filesystem: switch(1),
                network: switch(2),
                display: switch(3),
                shell: switch(4),
                mouse: switch(5),
                touch: switch(6),
                audio: switch(7),
                network_port: self.network_port,
                watchdog_secs: self.watchdog_secs,
                gpio: self.gpio.map(|(pins, direction)| Gpio {
                    pins: pins.0.iter().map(pin).collect(),
                    direction,
                }),
                i2c: self.i2c,
                spi: self.spi,
                uart: self.uart,
                adc: self.adc.map(|channels| Adc {
                    channels: channels.0,
                }),
            },
            resources: self.resources,
            realtime: self.realtime,
            window: None,
            menu_items: Vec::new(),
        }
    }
}

fn switches(declared: &Declared) -> u8 {
    let switches = [
        declared.stdio,
        declared.filesystem,
        declared.network,
        declared.display,
        declared.shell,
        declared.mouse,
        declared.touch,
        declared.audio,
    ];
    switches
        .iter()
        .rev()
        .fold(0, |bits, switch| bits << 1 | u8::from(*switch))
}

fn compact_pin(pin: &Pin) -> CompactPin<'_> {
    match pin {
        Pin::Number(number) => CompactPin::Number(*number),
        Pin::Label(label) => CompactPin::Label(label),
    }
}

fn pin(compact: &CompactPin<'_>) -> Pin {
    match compact {
        CompactPin::Number(number) => Pin::Number(*number),
        CompactPin::Label(label) => Pin::Label(String::from(*label)),
    }
}

/// The bytes of a hash that the manifest pins.
fn pinned(text: &str) -> Result<[u8; 32], CompactError> {
    hex::decode(text).ok_or_else(|| {
        CompactError(format!(
            "app.wasm_sha256: found {text:?}; expected 64 hexadecimal digits"
        ))
    })
}

/// A list of at most `MOST` items. serde's own would believe the length that stands before the items, and reserve memory for it.
#[derive(Serialize)]
struct Few<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Items<T, MOST> {
            type Value = Few<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MOST} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut few = Vec::new();
                while let Some(item) = items.next_element()? {
                    if few.len() == MOST {
                        return Err(A::Error::invalid_length(MOST + 1, &self));
                    }
                    few.push(item);
                }
                Ok(Few(few))
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}
