//! Switches an LED at each press of a button, and says so. It waits for the edge; between two presses it costs nothing.
//! Arguments: the pin of the button and that of the LED.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use embedded_hal::digital::StatefulOutputPin;
use vyoma::{Any, args, println};
use vyoma_hal::gpio::{Error, Flags, Input, Output};

vyoma::main!(main);

fn main() -> Result<(), Error> {
    let mut room = [0; 128];
    let mut arguments = args(&mut room).skip(1);
    let button = arguments.next().unwrap_or("BUTTON");
    let led = arguments.next().unwrap_or("LED");
    let mut led = Output::open(led, Flags::default())?;
    let button = Input::open(button, Flags::default())?;
    let mut number = 0_u32;
    loop {
        // Asked for before it is waited for: an edge between two of them makes the next one come at once.
        let edge = button.watch_rising_edge()?;
        if number == 0 {
            println!("ready");
        }
        let mut any = Any::<1>::new();
        any.add(&edge);
        any.wait();
        number += 1;
        led.toggle()?;
        println!("edge {number}");
    }
}
