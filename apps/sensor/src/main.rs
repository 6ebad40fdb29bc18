//! A sensor loop, as small as one gets: reads a value every second and prints it in hundredths. There is no sensor yet: the value
//! is computed from the clock.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::{Duration, Instant, println, sleep_until};

vyoma::main!(main);

const PERIOD: Duration = Duration::from_secs(1);

fn main() {
    let mut next = Instant::now();
    let mut number = 0_u32;
    loop {
        number += 1;
        let celsius = 2000 + (number * 37) % 500;
        println!("reading {number}: {}.{:02} C", celsius / 100, celsius % 100);
        next += PERIOD;
        sleep_until(next);
    }
}
