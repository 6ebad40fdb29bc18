//! For `cargo xtask bench`: `device-speed WORK ROUNDS`. Calls to devices of boards/qemu-virt.toml (`i2c`, `spi`, `gpio-set`,
//! `gpio-read`) are timed on the guest's own clock: nanoseconds and a checksum. `ticks` and `edges` tell how late the guest was.

// What is generated, and what is called by nobody.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, dead_code)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../capabilities/wit",
        world: "imports",
        generate_all,
    });
}
mod waits;

use std::fmt::Debug;

use bindings::vyoma::device::{buses, edges, gpio};
use bindings::wasi::gpio::digital::{DigitalFlags, PinState};
use waits::Latenesses;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, rounds] = arguments.as_slice() else {
        panic!("expected WORK ROUNDS, found {arguments:?}");
    };
    let rounds = rounds.parse().expect("a number of rounds");
    println!(
        "{work}: {}",
        does(work, rounds).unwrap_or_else(|error| error)
    );
}

#[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.0")]
unsafe extern "C" {
    /// Nanoseconds of the clock by which edges are dated; the standard library does not tell its beginning.
    safe fn now() -> u64;
}

fn name(error: impl Debug) -> String {
    format!("{error:?}")
}

fn does(work: &str, rounds: u64) -> Result<String, String> {
    match work {
        "i2c" => {
            let bus = buses::open_i2c("0").map_err(name)?;
            waits::timed(rounds, || {
                let read = bus.write_read(0x76, &[0xd0], 2).map_err(name)?;
                Ok(u64::from(read[0]))
            })
        }
        "spi" => {
            let device = buses::open_spi("0.1").map_err(name)?;
            waits::timed(rounds, || {
                let read = device.transfer(&[1, 0xf0, 0]).map_err(name)?;
                Ok(u64::from(read[2]))
            })
        }
        "gpio-set" => {
            let pin = gpio::get_digital_out("0", DigitalFlags::empty()).map_err(name)?;
            let mut high = false;
            waits::timed(rounds, || {
                high = !high;
                let state = if high {
                    PinState::Active
                } else {
                    PinState::Inactive
                };
                pin.set_state(state).map_err(name)?;
                Ok(u64::from(high))
            })
        }
        "gpio-read" => {
            let pin = gpio::get_digital_in("1", DigitalFlags::empty()).map_err(name)?;
            waits::timed(rounds, || {
                Ok((pin.read().map_err(name)? == PinState::Active).into())
            })
        }
        "edges" => late_edges(rounds),
        "ticks" => Ok(waits::ticks(rounds)),
        _ => Err("expected i2c, spi, gpio-set, gpio-read, edges or ticks".to_owned()),
    }
}

/// From each edge, as the kernel dated it, to the guest's next look at the clock.
fn late_edges(rounds: u64) -> Result<String, String> {
    let pin = gpio::get_digital_in("2", DigitalFlags::empty()).map_err(name)?;
    let mut late = Latenesses::default();
    println!("edges: waits");
    for _ in 0..rounds {
        let rising = pin.watch_rising_edge().map_err(name)?;
        rising.block();
        let now = now();
        drop(rising);
        let mut last = None;
        while let Some(edge) = edges::next_edge(&pin).map_err(name)? {
            if edge.state == PinState::Active {
                last = Some(edge.at);
            }
        }
        if let Some(at) = last {
            late.add(now.saturating_sub(at));
        }
    }
    Ok(late.summary(edges::lost_edges(&pin)))
}
