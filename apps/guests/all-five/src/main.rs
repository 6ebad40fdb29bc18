//! Opens a device of each kind, and says what the answer was: that the platform has none of the kind, that the board has none of the
//! name, or that it is open. Its arguments name a pin, an I2C bus, an SPI device, a serial port and a channel; without them it asks
//! for what no board has. Without `std`, so that it fits a microcontroller.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

// What is generated, and what is called by nobody.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, dead_code)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../capabilities/wit",
        inline: "
            package vyoma:all-five;
            world devices {
                import vyoma:device/gpio@0.1.0;
                import vyoma:device/buses@0.1.0;
                import vyoma:uart/uart@0.1.0;
                import vyoma:adc/adc@0.1.0;
            }
        ",
        world: "vyoma:all-five/devices",
        generate_all,
    });
}

use core::iter;

use bindings::vyoma::adc::adc;
use bindings::vyoma::device::{buses, gpio};
use bindings::vyoma::uart::uart;
use bindings::wasi::gpio::digital::DigitalFlags;
use bindings::wasi::gpio::general::GpioError;
use vyoma::{ExitCode, args, println};

vyoma::main!(main, heap = 1024);

/// A name that no board gives.
const NOWHERE: &str = "NOWHERE";

fn main() -> ExitCode {
    let mut room = [0; 128];
    let mut names = args(&mut room).skip(1).chain(iter::repeat(NOWHERE));
    let mut name = || names.next().unwrap_or(NOWHERE);
    let pin = match gpio::get_digital_out(name(), DigitalFlags::empty()) {
        Ok(_) => "opened",
        Err(GpioError::OperationNotSupported) => "operation-not-supported",
        Err(GpioError::UndefinedPinLabel) => "undefined-pin-label",
        Err(_) => "another error",
    };
    println!("gpio: {pin}");
    println!("i2c: {}", of(buses::open_i2c(name()).map(drop)));
    println!("spi: {}", of(buses::open_spi(name()).map(drop)));
    println!("uart: {}", of(uart::open(name(), None).map(drop)));
    println!("adc: {}", of(adc::open(name()).map(drop)));
    ExitCode::SUCCESS
}

fn of(outcome: Result<(), buses::ErrorCode>) -> &'static str {
    match &outcome {
        Ok(()) => "opened",
        Err(error) => error.name(),
    }
}
