//! The guest's work (apps/guests/device-speed) as a native program does it, over the crates that our host functions stand on.

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd as _;

use gpiocdev_uapi::v2::{LineEdgeEvent, LineFlags, LineValues, get_line_values, set_line_values};
use rustix::event::{PollFd, PollFlags};
use rustix::time::{ClockId, clock_gettime};
use spidev::SpidevTransfer;

use crate::devices;
use crate::waits::{self, Latenesses};

type Outcome<T> = Result<T, Box<dyn Error>>;

pub(crate) fn does(work: &str, rounds: u64) -> Outcome<String> {
    match work {
        "i2c" => {
            let bus = devices::i2c()?;
            waits::timed(rounds, || {
                let mut read = [0; 2];
                write_read(&bus, 0x76, &mut [0xd0], &mut read)?;
                Ok(read[0].into())
            })
        }
        "spi" => {
            let device = devices::spi()?;
            waits::timed(rounds, || {
                let mut read = [0; 3];
                device.transfer(&mut SpidevTransfer::read_write(&[1, 0xf0, 0], &mut read))?;
                Ok(read[2].into())
            })
        }
        "gpio-set" => {
            let pin = devices::pin(0, LineFlags::OUTPUT)?;
            let mut high = false;
            waits::timed(rounds, || {
                high = !high;
                set_line_values(&pin, &LineValues::from_slice(&[high]))
                    .map_err(|error| error.to_string())?;
                Ok(high.into())
            })
        }
        "gpio-read" => {
            let pin = devices::pin(1, LineFlags::INPUT)?;
            waits::timed(rounds, || {
                let mut values = LineValues::from_slice(&[false]);
                get_line_values(&pin, &mut values).map_err(|error| error.to_string())?;
                Ok(values.get(0).unwrap_or_default().into())
            })
        }
        "edges" => late_edges(rounds),
        "ticks" => Ok(waits::ticks(rounds)),
        _ => Err("expected i2c, spi, gpio-set, gpio-read, edges or ticks".into()),
    }
}

/// `struct i2c_msg` and `struct i2c_rdwr_ioctl_data` of linux/i2c.h and linux/i2c-dev.h
#[repr(C)]
struct Part {
    address: u16,
    flags: u16,
    length: u16,
    bytes: *mut u8,
}

#[repr(C)]
struct Parts {
    parts: *mut Part,
    count: u32,
}

const I2C_RDWR: rustix::ioctl::Opcode = 0x0707;
const I2C_M_RD: u16 = 1;

fn write_read(bus: &File, address: u16, out: &mut [u8], into: &mut [u8]) -> Outcome<()> {
    let mut parts = [(out, 0), (into, I2C_M_RD)].map(|(bytes, flags)| Part {
        address,
        flags,
        length: bytes.len() as u16,
        bytes: bytes.as_mut_ptr(),
    });
    let mut list = Parts {
        parts: parts.as_mut_ptr(),
        count: 2,
    };
    // SAFETY: what I2C_RDWR takes: two parts that lie in buffers of the lengths that they say, and outlive the call.
    unsafe {
        let call = rustix::ioctl::Updater::<I2C_RDWR, Parts>::new(&mut list);
        rustix::ioctl::ioctl(bus, call)?;
    }
    Ok(())
}

/// As the guest's: from each edge, as the kernel dated it, to the next look at the clock.
fn late_edges(rounds: u64) -> Outcome<String> {
    let pin = devices::pin(2, LineFlags::INPUT | LineFlags::EDGE_RISING)?;
    let mut late = Latenesses::default();
    println!("edges: waits");
    for _ in 0..rounds {
        rustix::event::poll(
            &mut [PollFd::from_borrowed_fd(pin.as_fd(), PollFlags::IN)],
            None,
        )?;
        let time = clock_gettime(ClockId::Monotonic);
        let now = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        let mut bytes = [0; size_of::<LineEdgeEvent>()];
        rustix::io::read(&pin, &mut bytes)?;
        let words = bytes.as_chunks().0.iter();
        let words: Vec<u64> = words.map(|word| u64::from_ne_bytes(*word)).collect();
        let event = LineEdgeEvent::from_slice(&words).map_err(|error| error.to_string())?;
        late.add(now.saturating_sub(event.timestamp_ns));
    }
    Ok(late.summary(0))
}
