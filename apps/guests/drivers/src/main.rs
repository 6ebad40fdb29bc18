//! For tests on the simulated board: drivers `ads1x1x` and `max31855-rs` as the registry has them, and what no app of its own shows of
//! `vyoma-hal`: transactions of several operations, pins of both directions, edges with their times, a port that is written to. A
//! line each with what came of it.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use ads1x1x::{Ads1x1x, TargetAddr, channel};
use embedded_hal::digital::{InputPin as _, OutputPin as _, StatefulOutputPin as _};
use embedded_hal::i2c::{self, I2c as _};
use embedded_hal::spi::{self, SpiDevice as _};
use embedded_io::{Read as _, ReadReady as _, Write as _};
use max31855_rs::{Max31855, Max31855Error};
use vyoma::print::{Line, Show};
use vyoma::{Fixed, println};
use vyoma_hal::gpio::{self, Flags, InOut, Input, Output};
use vyoma_hal::i2c::Bus;
use vyoma_hal::spi::Device;
use vyoma_hal::uart::{self, Port};
use vyoma_hal::{OpenError, adc};

vyoma::main!(main);

/// Why something did not go as it should.
enum Error {
    Open(OpenError),
    I2c(vyoma_hal::i2c::Error),
    Spi(vyoma_hal::spi::Error),
    Pin(gpio::Error),
    Port(uart::Error),
    Driver,
}

macro_rules! from {
    ($($from:ty => $case:ident,)*) => {
        $(impl From<$from> for Error {
            fn from(error: $from) -> Self {
                Self::$case(error)
            }
        })*
    };
}
from! {
    OpenError => Open,
    vyoma_hal::i2c::Error => I2c,
    vyoma_hal::spi::Error => Spi,
    gpio::Error => Pin,
    uart::Error => Port,
}

impl Show for Error {
    fn show(&self, line: &mut Line) {
        match self {
            Self::Open(error) => error.show(line),
            Self::I2c(error) => error.show(line),
            Self::Spi(error) => error.show(line),
            Self::Pin(error) => error.show(line),
            Self::Port(error) => error.show(line),
            Self::Driver => line.text("the driver found an error"),
        }
    }
}

/// One device, or one thing of it.
type Attempt = fn() -> Result<(), Error>;

fn main() {
    let tries: [(&str, Attempt); 9] = [
        ("ads1015", converter),
        ("max31855", thermocouple),
        ("i2c transaction", registers),
        ("spi transaction", loopback),
        ("stateful output", output),
        ("in-out", both_ways),
        ("edges", edges),
        ("port", modem),
        ("channel", channel_of_light),
    ];
    for (name, attempt) in tries {
        if let Err(error) = attempt() {
            println!("{name}: {error}");
        }
    }
}

fn converter() -> Result<(), Error> {
    let mut driver = Ads1x1x::new_ads1015(Bus::open("SENSORS")?, TargetAddr::Vdd);
    let value = nb::block!(driver.read(channel::SingleA0)).map_err(|error| match error {
        ads1x1x::Error::I2C(error) => Error::I2c(error),
        ads1x1x::Error::InvalidInputData => Error::Driver,
    })?;
    println!("ads1015: {value}");
    Ok(())
}

fn thermocouple() -> Result<(), Error> {
    let mut driver = Max31855::new(Device::open("THERMO")?);
    let read = driver.read();
    let read = read.map_err(|Max31855Error::Read(error)| Error::Spi(error))?;
    let (hot, cold) = (read.thermo_temperature(), read.ambient_temperature());
    let (hot, cold) = (Fixed::<2>::nearest(hot), Fixed::<2>::nearest(cold));
    println!("max31855: {hot} C, {cold} C itself");
    Ok(())
}

/// Two registers of the device at 0x76, whose values the board's file says, in one transaction.
fn registers() -> Result<(), Error> {
    let mut bus = Bus::open("1")?;
    let (mut id, mut status) = ([0], [0xff]);
    bus.transaction(
        0x76,
        &mut [
            i2c::Operation::Write(&[0xd0]),
            i2c::Operation::Read(&mut id),
            i2c::Operation::Write(&[0xf3]),
            i2c::Operation::Read(&mut status),
        ],
    )?;
    println!("i2c transaction: {:x} {:x}", id[0], status[0]);
    // More than the traits' caller can know of, and an address where nobody is.
    let many = [const { i2c::Operation::Write(&[0]) }; Bus::MOST_OPERATIONS + 1];
    let mut many = many;
    match bus.transaction(0x76, &mut many) {
        Ok(()) => println!("i2c: too many operations were done"),
        Err(error) => println!("i2c: too many operations: {error}"),
    }
    match bus.write(0x77, &[0]) {
        Ok(()) => println!("i2c: somebody is there"),
        Err(error) => println!("i2c: {error}"),
    }
    Ok(())
}

fn loopback() -> Result<(), Error> {
    let mut device = Device::open("LOOP")?;
    let (mut read, mut longer, mut place) = ([0; 2], [9; 3], [5, 6]);
    device.transaction(&mut [
        spi::Operation::Write(&[1, 2]),
        spi::Operation::Transfer(&mut read, &[3, 4]),
        spi::Operation::DelayNs(1000),
        spi::Operation::TransferInPlace(&mut place),
        spi::Operation::Transfer(&mut longer, &[7]),
    ])?;
    println!("spi transaction: {read:?} {place:?} {longer:?}");
    Ok(())
}

fn output() -> Result<(), Error> {
    let mut led = Output::open("LED", Flags::default())?;
    led.toggle()?;
    let (high, low) = (led.is_set_high()?, led.is_set_low()?);
    println!("stateful output: high {high}, low {low}");
    match Output::open("LED", Flags::default()) {
        Ok(_) => println!("stateful output: opened twice"),
        Err(error) => println!("stateful output: {error}"),
    }
    Ok(())
}

fn both_ways() -> Result<(), Error> {
    let mut pin = InOut::open("BUTTON", Flags::default())?;
    let before = pin.is_high()?;
    pin.set_low()?;
    println!("in-out: {before}, then {}", pin.is_high()?);
    Ok(())
}

fn edges() -> Result<(), Error> {
    let mut output = Output::open("OUT", Flags::default())?;
    let mut input = Input::open("IN", Flags::default().active_low())?;
    let none = input.next_edge()?.is_none();
    let falling = input.watch_falling_edge()?;
    output.set_high()?;
    let mut any = vyoma::Any::<1>::new();
    any.add(&falling);
    any.wait();
    output.set_low()?;
    let (first, second) = (input.next_edge()?, input.next_edge()?);
    let in_order = first
        .zip(second)
        .is_some_and(|(first, second)| !first.active && second.active && second.at >= first.at);
    let lost = input.lost_edges();
    println!("edges: none before {none}, in order {in_order}, {lost} lost");
    Ok(())
}

fn modem() -> Result<(), Error> {
    let mut port = Port::open("MODEM", None)?;
    let config = port.config();
    let before = port.read_ready()?;
    port.write_all(b"AT\r")?;
    port.flush()?;
    let mut bytes = [0; 8];
    let mut used = 0;
    while used < 4 {
        used += port.read(bytes.get_mut(used..).unwrap_or_default())?;
    }
    let text = bytes
        .get(..used)
        .and_then(|bytes| core::str::from_utf8(bytes).ok());
    let text = text.unwrap_or_default().trim_ascii();
    let (baud, lost) = (config.baud, port.lost());
    println!("port: {text} at {baud}, ready before {before}, {lost} lost");
    Ok(())
}

fn channel_of_light() -> Result<(), Error> {
    let mut channel = adc::Channel::open("LIGHT")?;
    let adc::Range { max, microvolts } = channel.range();
    let (raw, voltage) = (channel.read_raw()?, channel.read_microvolts()?);
    println!("channel: {raw} of {max}, {voltage} of {microvolts} uV");
    Ok(())
}
