//! Reads a temperature sensor once a second and prints what it says; with the name of an app as second argument, it tells that
//! app, too. The driver is `tmp1x2` as the registry has it: it knows `embedded-hal`, and `vyoma-hal` gives it that.
//!
//! A sensor that does not answer is a line in the log, and is asked again: it may be plugged in later.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use tmp1x2::{SlaveAddr, Tmp1x2};
use vyoma::{Duration, Fixed, Instant, args, println, send, sleep_until};
use vyoma_hal::OpenError;
use vyoma_hal::i2c::Bus;

vyoma::main!(main);

const PERIOD: Duration = Duration::from_secs(1);

fn main() -> Result<(), OpenError> {
    let mut room = [0; 128];
    // The first one is the app's own name.
    let mut arguments = args(&mut room).skip(1);
    let bus = Bus::open(arguments.next().unwrap_or("1"))?;
    let listener = arguments.next();
    // 0x48, the address that these sensors have unless they are wired for another.
    let mut sensor = Tmp1x2::new(bus, SlaveAddr::default());
    let mut next = Instant::now();
    loop {
        match sensor.read_temperature() {
            Ok(celsius) => {
                let celsius = Fixed::<2>::nearest(celsius);
                println!("temperature {celsius} C");
                if let Some(app) = listener {
                    send!(app, "temperature {celsius} C");
                }
            }
            Err(tmp1x2::Error::I2C(error)) => println!("no reading: {error}"),
        }
        next += PERIOD;
        sleep_until(next);
    }
}
