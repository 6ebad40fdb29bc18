//! Opens a device of each kind that no board has, and says what the answer was: that the platform has none of the kind, or that the
//! board has none of the name. Without `std`, so that it fits a microcontroller.
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

use bindings::vyoma::adc::adc;
use bindings::vyoma::device::{buses, gpio};
use bindings::vyoma::uart::uart;
use bindings::wasi::gpio::digital::DigitalFlags;
use bindings::wasi::gpio::general::GpioError;
use vyoma::{ExitCode, println};

vyoma::main!(main, heap = 1024);

/// A name that no board gives.
const NOWHERE: &str = "NOWHERE";

fn main() -> ExitCode {
    let pin = match gpio::get_digital_in(NOWHERE, DigitalFlags::empty()) {
        Ok(_) => "opened",
        Err(GpioError::OperationNotSupported) => "operation-not-supported",
        Err(GpioError::UndefinedPinLabel) => "undefined-pin-label",
        Err(_) => "another error",
    };
    println!("gpio: {pin}");
    println!("i2c: {}", of(buses::open_i2c(NOWHERE).map(drop)));
    println!("spi: {}", of(buses::open_spi(NOWHERE).map(drop)));
    println!("uart: {}", of(uart::open(NOWHERE, None).map(drop)));
    println!("adc: {}", of(adc::open(NOWHERE).map(drop)));
    ExitCode::SUCCESS
}

fn of(outcome: Result<(), buses::ErrorCode>) -> &'static str {
    match &outcome {
        Ok(()) => "opened",
        Err(error) => error.name(),
    }
}
