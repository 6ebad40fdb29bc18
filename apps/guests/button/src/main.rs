//! Switches the pin LED2 at each rising edge of the pin BUTTON, and says so. Without `std`, so that it fits a microcontroller.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

// What is generated, and what is called by nobody.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, dead_code)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../capabilities/wit",
        inline: "
            package vyoma:button;
            world pins {
                import vyoma:device/gpio@0.1.0;
            }
        ",
        world: "vyoma:button/pins",
        generate_all,
    });
}

use bindings::vyoma::device::gpio;
use bindings::wasi::gpio::digital::DigitalFlags;
use bindings::wasi::gpio::general::GpioError;
use vyoma::{ExitCode, println};

vyoma::main!(main);

fn main() -> ExitCode {
    let Err(error) = switch();
    println!("{}", word(&error));
    ExitCode::FAILURE
}

/// Ends with an error only.
fn switch() -> Result<core::convert::Infallible, GpioError> {
    let led = gpio::get_digital_out("LED2", DigitalFlags::empty())?;
    let button = gpio::get_digital_in("BUTTON", DigitalFlags::empty())?;
    led.set_inactive()?;
    println!("ready");
    let mut number = 0_u32;
    loop {
        let edge = button.watch_rising_edge()?;
        edge.block();
        drop(edge);
        number += 1;
        led.toggle()?;
        println!("edge {number}");
    }
}

/// What an error is called.
fn word(error: &GpioError) -> &'static str {
    match error {
        GpioError::UndefinedPinLabel => "undefined-pin-label",
        GpioError::PinNotAllowed => "pin-not-allowed",
        GpioError::AlreadyInUse => "already-in-use",
        GpioError::OperationNotSupported => "operation-not-supported",
        _ => "another error",
    }
}
