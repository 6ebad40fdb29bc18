//! Reads a BME280 once a second and shows temperature, pressure and humidity on an SSD1306 display, both on one I2C bus, through the
//! drivers `bme280` and `ssd1306` as the registry has them; `embedded-hal-bus` shares the bus between the two. Arguments: the bus,
//! and an app that is told, too.
//!
//! A sensor that does not answer is set up anew until it does. Without a display the readings are still logged.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use core::cell::RefCell;
use core::fmt::{self, Write};

use bme280::i2c::BME280;
use embedded_hal_bus::i2c::RefCellDevice;
use ssd1306::mode::{DisplayConfig as _, TerminalMode};
use ssd1306::prelude::{DisplayRotation, DisplaySize128x64, WriteOnlyDataCommand};
use ssd1306::{I2CDisplayInterface, Ssd1306};
use vyoma::{Duration, Fixed, Instant, args, println, send, sleep_until};
use vyoma_hal::i2c::Bus;
use vyoma_hal::{Delay, OpenError};

vyoma::main!(main);

const PERIOD: Duration = Duration::from_secs(1);

fn main() -> Result<(), OpenError> {
    let mut room = [0; 128];
    let mut arguments = args(&mut room).skip(1);
    let bus = RefCell::new(Bus::open(arguments.next().unwrap_or("1"))?);
    let listener = arguments.next();
    let mut sensor = BME280::new_primary(RefCellDevice::new(&bus));
    let interface = I2CDisplayInterface::new(RefCellDevice::new(&bus));
    let mut display =
        Ssd1306::new(interface, DisplaySize128x64, DisplayRotation::Rotate0).into_terminal_mode();
    let mut shows = display.init().is_ok() && display.clear().is_ok();
    if !shows {
        println!("no display");
    }
    let mut works = false;
    let mut next = Instant::now();
    loop {
        let measured = if works {
            sensor.measure(&mut Delay)
        } else {
            sensor
                .init(&mut Delay)
                .and_then(|()| sensor.measure(&mut Delay))
        };
        works = measured.is_ok();
        match measured {
            Ok(now) => {
                let celsius = Fixed::<2>::nearest(now.temperature);
                let hectopascals = Fixed::<1>::nearest(now.pressure / 100.0);
                let percent = Fixed::<1>::nearest(now.humidity);
                println!("weather {celsius} C, {hectopascals} hPa, {percent} %");
                if let Some(app) = listener {
                    send!(app, "weather {celsius} C, {hectopascals} hPa, {percent} %");
                }
                shows = shows
                    && display.set_position(0, 0).is_ok()
                    && writeln!(
                        Letters(&mut display),
                        "{celsius} C   \n{hectopascals} hPa   \n{percent} %   "
                    )
                    .is_ok();
            }
            Err(error) => println!("no reading: {}", word(&error)),
        }
        next += PERIOD;
        sleep_until(next);
    }
}

/// A display that is written on. What the driver (0.10.0) has itself for `write!` shows the last letter of each piece only.
struct Letters<'a, I>(&'a mut Ssd1306<I, DisplaySize128x64, TerminalMode>);

impl<I: WriteOnlyDataCommand> Write for Letters<'_, I> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars()
            .try_for_each(|letter| self.0.print_char(letter))
            .map_err(|_| fmt::Error)
    }
}

fn word<E: vyoma::Show>(error: &bme280::Error<E>) -> &'static str {
    match error {
        bme280::Error::CompensationFailed => "its calibration makes no sense",
        bme280::Error::Bus(_) => "the bus has an error",
        bme280::Error::InvalidData => "its data make no sense",
        bme280::Error::NoCalibrationData => "it gave no calibration",
        bme280::Error::UnsupportedChip => "it is no BME280",
        bme280::Error::Delay => "waiting failed",
    }
}
