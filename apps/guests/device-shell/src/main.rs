//! For tests on devices of the kernel: does what each line of standard input says, and prints the line with what came of it.
//! A device is opened when it is first named, and stays open.
//!
//! `set PIN 0|1`, `get PIN`, `wait PIN`, `i2c BUS ADDRESS BYTES COUNT`, `spi DEVICE BYTES`, `say PORT TEXT`, `hear PORT COUNT`,
//! `adc CHANNEL`. Addresses and bytes are hexadecimal. `wait` prints `waits` once it does.

// What is generated, and what is called by nobody.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, dead_code)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../capabilities/wit",
        world: "imports",
        generate_all,
    });
}

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::BufRead as _;

use bindings::vyoma::adc::adc;
use bindings::vyoma::device::{buses, edges, gpio};
use bindings::vyoma::uart::uart;
use bindings::wasi::gpio::digital::{DigitalFlags, DigitalInPin, DigitalOutPin, PinState};
use bindings::wasi::i2c::i2c::I2c;
use bindings::wasi::io::streams::{InputStream, OutputStream};
use bindings::wasi::spi::spi::SpiDevice;

/// What came of a line, or why nothing did.
type Outcome = Result<String, String>;

/// Everything that is open.
#[derive(Default)]
struct Open {
    inputs: HashMap<String, DigitalInPin>,
    outputs: HashMap<String, DigitalOutPin>,
    buses: HashMap<String, I2c>,
    devices: HashMap<String, SpiDevice>,
    ports: HashMap<String, (uart::Port, InputStream, OutputStream)>,
    channels: HashMap<String, adc::Channel>,
}

fn main() {
    let mut open = Open::default();
    println!("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = open.does(&words).unwrap_or_else(|error| error);
        println!("{line}: {outcome}");
    }
}

/// An error by its name.
fn name(error: impl Debug) -> String {
    format!("{error:?}")
}

fn hex(text: &str) -> Result<u16, String> {
    u16::from_str_radix(text, 16).map_err(name)
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    (0..text.len() / 2)
        .map(|place| u8::from_str_radix(&text[2 * place..][..2], 16).map_err(name))
        .collect()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(name)
}

/// The device of that name, opened when it is not there yet.
fn get<'a, T>(
    known: &'a mut HashMap<String, T>,
    which: &str,
    open: impl FnOnce(&str) -> Result<T, String>,
) -> Result<&'a T, String> {
    if !known.contains_key(which) {
        known.insert(which.to_owned(), open(which)?);
    }
    Ok(&known[which])
}

impl Open {
    fn does(&mut self, words: &[&str]) -> Outcome {
        match *words {
            ["set", pin, level] => {
                let state = if level == "1" {
                    PinState::Active
                } else {
                    PinState::Inactive
                };
                let pin = get(&mut self.outputs, pin, |pin| {
                    gpio::get_digital_out(pin, DigitalFlags::empty()).map_err(name)
                })?;
                pin.set_state(state)
                    .map(|()| "done".to_owned())
                    .map_err(name)
            }
            ["get", pin] => self.input(pin)?.read().map(name).map_err(name),
            ["wait", pin] => wait(self.input(pin)?),
            ["i2c", bus, address, data, count] => {
                let bus = get(&mut self.buses, bus, |bus| {
                    buses::open_i2c(bus).map_err(|error| error.name().to_owned())
                })?;
                let answer = bus.write_read(hex(address)?, &bytes(data)?, number(count)?);
                answer.map(|read| format!("{read:02x?}")).map_err(name)
            }
            ["spi", device, data] => {
                let device = get(&mut self.devices, device, |device| {
                    buses::open_spi(device).map_err(|error| error.name().to_owned())
                })?;
                let answer = device.transfer(&bytes(data)?);
                answer.map(|read| format!("{read:02x?}")).map_err(name)
            }
            ["say", port, text] => {
                let (_, _, output) = self.port(port)?;
                let said = output.blocking_write_and_flush(format!("{text}\n").as_bytes());
                said.map(|()| "done".to_owned()).map_err(name)
            }
            ["hear", port, count] => {
                let (_, input, _) = self.port(port)?;
                let mut heard = Vec::new();
                while (heard.len() as u64) < number(count)? {
                    heard.extend(input.blocking_read(number(count)?).map_err(name)?);
                }
                Ok(String::from_utf8_lossy(&heard).trim().to_owned())
            }
            ["adc", channel] => {
                let channel = get(&mut self.channels, channel, |channel| {
                    adc::open(channel).map_err(|error| error.name().to_owned())
                })?;
                let of = |error: adc::ErrorCode| error.name().to_owned();
                let raw = channel.read_raw().map_err(of)?;
                let microvolts = channel.read_microvolts().map_err(of)?;
                Ok(format!("{raw}, {microvolts} uV"))
            }
            _ => Err("expected set, get, wait, i2c, spi, say, hear or adc".to_owned()),
        }
    }

    fn input(&mut self, pin: &str) -> Result<&DigitalInPin, String> {
        get(&mut self.inputs, pin, |pin| {
            gpio::get_digital_in(pin, DigitalFlags::empty()).map_err(name)
        })
    }

    fn port(&mut self, port: &str) -> Result<&(uart::Port, InputStream, OutputStream), String> {
        get(&mut self.ports, port, |port| {
            uart::open(port, None).map_err(|error| error.name().to_owned())
        })
    }
}

/// Waits for a rising edge that comes from now on.
fn wait(pin: &DigitalInPin) -> Outcome {
    let rising = pin.watch_rising_edge().map_err(name)?;
    while edges::next_edge(pin).map_err(name)?.is_some() {}
    println!("waits");
    rising.block();
    let edge = edges::next_edge(pin).map_err(name)?;
    let edge = edge
        .map(|edge| edge.state)
        .map_or("no edge".to_owned(), name);
    Ok(format!("{edge}, {} lost", edges::lost_edges(pin)))
}
