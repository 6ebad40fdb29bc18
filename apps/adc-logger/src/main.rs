//! Logs the voltage at a channel of a converter, with the value it was made from. Arguments: the channel, and milliseconds
//! between two samples. With a third one, it tells that app each reading.
//!
//! A converter that fails is a line in the log, and is asked again.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{Duration, Fixed, Instant, args, println, send, sleep_until};
use vyoma_hal::OpenError;
use vyoma_hal::adc::Channel;

vyoma::main!(main);

fn main() -> Result<(), OpenError> {
    let mut room = [0; 128];
    let mut arguments = args(&mut room).skip(1);
    let mut channel = Channel::open(arguments.next().unwrap_or("0"))?;
    let period = arguments.next().and_then(|text| text.parse().ok());
    let period = Duration::from_millis(period.unwrap_or(1000));
    let listener = arguments.next();
    let range = channel.range();
    let mut next = Instant::now();
    loop {
        match channel.read_raw() {
            Ok(raw) => {
                let volts = Fixed::<3>(millivolts(raw, range.max, range.microvolts));
                println!("{volts} V, {raw} of {}", range.max);
                if let Some(app) = listener {
                    send!(app, "voltage {volts} V");
                }
            }
            Err(error) => println!("no sample: {error}"),
        }
        next += period;
        sleep_until(next);
    }
}

/// What `raw` is of a range that ends at `max` with so many microvolts.
fn millivolts(raw: u32, max: u32, microvolts: u32) -> i32 {
    let product = u64::from(raw) * u64::from(microvolts / 1000);
    let value = product.checked_div(max.into()).unwrap_or_default();
    i32::try_from(value).unwrap_or(i32::MAX)
}
