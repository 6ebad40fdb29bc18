//! Blinks an LED: half a second on, half a second off. Arguments: the pin (a label or number of the board), and milliseconds
//! of each half.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use embedded_hal::digital::StatefulOutputPin;
use vyoma::{Duration, Instant, args, println, sleep_until};
use vyoma_hal::gpio::{Error, Flags, Output};

vyoma::main!(main);

fn main() -> Result<(), Error> {
    let mut room = [0; 128];
    let mut arguments = args(&mut room).skip(1);
    let pin = arguments.next().unwrap_or("LED");
    let half = arguments.next().and_then(|text| text.parse().ok());
    let half = Duration::from_millis(half.unwrap_or(500));
    let mut led = Output::open(pin, Flags::default())?;
    println!("blinking {pin}");
    let mut next = Instant::now();
    loop {
        led.toggle()?;
        next += half;
        sleep_until(next);
    }
}
