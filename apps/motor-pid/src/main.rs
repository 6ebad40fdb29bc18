//! Keeps a motor's speed: a thousand times a second it reads a converter, computes, and drives a pin or a converter of the other
//! kind. Arguments: channel, `pin:LABEL` or `dac:DEVICE`, the value to be kept, and for how many seconds (absent: for ever).
//!
//! The ticks are moments of the monotonic clock, a millisecond apart, so the loop does not drift; what it was late by, and which
//! ticks it missed, is counted and printed once a second. A tick that was missed is not made up for.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

mod deadlines;
mod drive;
mod pid;

use deadlines::Deadlines;
use drive::Drive;
use pid::Pid;
use vyoma::{Duration, Instant, Show, args, println, sleep_until};
use vyoma_hal::adc::Channel;
use vyoma_hal::{OpenError, gpio, spi};

vyoma::main!(main);

const PERIOD: Duration = Duration::from_millis(1);
const TICKS_A_SECOND: u32 = 1000;

/// Why it ends.
enum Error {
    /// The third argument is no number, or the second one names nothing that drives.
    Argument(&'static str),
    Device(OpenError),
    Pin(gpio::Error),
    Spi(spi::Error),
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Device(error)
    }
}

impl From<gpio::Error> for Error {
    fn from(error: gpio::Error) -> Self {
        Self::Pin(error)
    }
}

impl From<spi::Error> for Error {
    fn from(error: spi::Error) -> Self {
        Self::Spi(error)
    }
}

impl Show for Error {
    fn show(&self, line: &mut vyoma::print::Line) {
        match self {
            Self::Argument(expected) => {
                line.text("arguments: expected ");
                line.text(expected);
            }
            Self::Device(error) => error.show(line),
            Self::Pin(error) => error.show(line),
            Self::Spi(error) => error.show(line),
        }
    }
}

fn main() -> Result<(), Error> {
    let mut room = [0; 256];
    let mut arguments = args(&mut room).skip(1);
    let mut channel = Channel::open(arguments.next().unwrap_or("0"))?;
    let mut drive = Drive::open(arguments.next().unwrap_or("pin:LED"))?;
    let wanted = arguments.next().unwrap_or("2048").parse();
    let wanted: i32 =
        wanted.map_err(|_| Error::Argument("a whole number as the value to be kept"))?;
    let seconds: Option<u32> = arguments.next().and_then(|text| text.parse().ok());
    // A motor that follows within a few ticks: half of the difference at once, the rest by a hundredth a tick.
    let mut pid = Pid::new(128, 3, 0, drive::FULL);
    let mut deadlines = Deadlines::new(PERIOD, Instant::now());
    println!("keeps {wanted}");
    let mut second = 0;
    while seconds.is_none_or(|seconds| second < seconds) {
        let (mut speed, mut output) = (0, 0);
        for _ in 0..TICKS_A_SECOND {
            sleep_until(deadlines.next());
            deadlines.tick(Instant::now());
            speed = i32::try_from(channel.read_raw()?).unwrap_or(i32::MAX);
            output = pid.step(wanted.saturating_sub(speed));
            drive.set(output)?;
        }
        second += 1;
        let (mean, worst, missed) = (deadlines.mean(), deadlines.worst(), deadlines.missed());
        println!(
            "second {second}: at {speed}, drives {output} of {}; late by {mean} us, at worst {worst} us; {missed} ticks missed",
            drive::FULL
        );
    }
    for (below, count) in deadlines.histogram() {
        if below == u32::MAX {
            println!("later: {count}");
        } else {
            println!("late by less than {below} us: {count}");
        }
    }
    Ok(())
}
