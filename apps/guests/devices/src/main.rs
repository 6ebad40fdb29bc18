//! For tests on the simulated board (boards/simulated.toml). Without an argument: one device of each kind, a line each with what
//! came of it. `hold PIN`: drives a pin low and stays. `watch PIN`: tells every change of a pin. `read BUS ADDRESS REGISTER`: a
//! byte from an I2C device, again and again.

// What is generated, and what is called by nobody.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, dead_code)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../capabilities/wit",
        world: "imports",
        generate_all,
    });
}

use std::time::Duration;

use bindings::vyoma::adc::adc;
use bindings::vyoma::device::{buses, edges, gpio};
use bindings::vyoma::uart::uart;
use bindings::wasi::gpio::digital::DigitalFlags;
use bindings::wasi::spi::spi;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => tour(),
        ["hold", pin] => hold(pin),
        ["watch", pin] => watch(pin),
        ["read", bus, address, register] => read(bus, hex(address), hex(register)),
        _ => {
            println!(
                "found {arguments:?}; expected hold PIN, watch PIN, read BUS ADDRESS REGISTER"
            );
        }
    }
}

fn hex(text: &str) -> u16 {
    u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_default()
}

fn tour() {
    println!("gpio: {}", of(pins().map_err(|error| format!("{error:?}"))));
    println!("i2c: {}", of(sensor("1", 0x76, 0xd0)));
    println!("spi: {}", of(converter()));
    let opened = spi::open("LOOP").map(|_| "opened".to_owned());
    println!(
        "wasi:spi: {}",
        of(opened.map_err(|error| format!("{error:?}")))
    );
    println!("uart: {}", of(sentence()));
    println!("adc: {}", of(light()));
}

/// The outcome either way.
fn of(outcome: Result<String, String>) -> String {
    outcome.unwrap_or_else(|error| error)
}

fn pins() -> Result<String, bindings::wasi::gpio::general::GpioError> {
    let output = gpio::get_digital_out("OUT", DigitalFlags::empty())?;
    let input = gpio::get_digital_in("IN", DigitalFlags::empty())?;
    let rising = input.watch_rising_edge()?;
    output.set_active()?;
    rising.block();
    let edge = edges::next_edge(&input)?;
    Ok(format!(
        "{:?}, {} lost, edge to {:?}",
        input.read()?,
        edges::lost_edges(&input),
        edge.map(|edge| edge.state)
    ))
}

fn sensor(bus: &str, address: u16, register: u16) -> Result<String, String> {
    let bus = buses::open_i2c(bus).map_err(|error| error.name().to_owned())?;
    let bytes = bus
        .write_read(address, &[register as u8], 1)
        .map_err(|error| format!("{error:?}"))?;
    Ok(format!("{bytes:02x?}"))
}

fn converter() -> Result<String, String> {
    let device = buses::open_spi("ADC").map_err(|error| error.name().to_owned())?;
    let bytes = device
        .transfer(&[1, 0xc0, 0])
        .map_err(|error| format!("{error:?}"))?;
    Ok(format!(
        "{}",
        u16::from(bytes[1] & 3) << 8 | u16::from(bytes[2])
    ))
}

fn sentence() -> Result<String, String> {
    let (port, input, _output) =
        uart::open("GPS", None).map_err(|error| error.name().to_owned())?;
    let mut text = Vec::new();
    while !text.ends_with(b"\n") {
        let bytes = input
            .blocking_read(64)
            .map_err(|error| format!("{error:?}"))?;
        text.extend(bytes);
    }
    let text = String::from_utf8_lossy(&text);
    Ok(format!("{} at {}", text.trim(), port.get_config().baud))
}

fn light() -> Result<String, String> {
    let channel = adc::open("LIGHT").map_err(|error| error.name().to_owned())?;
    let value = channel
        .read_microvolts()
        .map_err(|error| error.name().to_owned())?;
    Ok(format!("{value} uV"))
}

fn hold(name: &str) {
    match gpio::get_digital_out(name, DigitalFlags::empty()) {
        Ok(pin) => {
            println!("holds {name}: {:?}", pin.set_inactive());
            loop {
                std::thread::sleep(Duration::from_hours(1));
            }
        }
        Err(error) => println!("holds {name}: {error:?}"),
    }
}

fn watch(name: &str) {
    let input = match gpio::get_digital_in(name, DigitalFlags::empty()) {
        Ok(input) => input,
        Err(error) => return println!("watches {name}: {error:?}"),
    };
    println!("{name} is {:?}", input.read());
    loop {
        let Ok(edge) = edges::next_edge(&input) else {
            return println!("{name} can't be watched");
        };
        if let Some(edge) = edge {
            let lost = edges::lost_edges(&input);
            println!("{name} became {:?}, {lost} lost", edge.state);
            continue;
        }
        let (Ok(rising), Ok(falling)) = (input.watch_rising_edge(), input.watch_falling_edge())
        else {
            return println!("{name} can't be watched");
        };
        bindings::wasi::io::poll::poll(&[&rising, &falling]);
    }
}

fn read(bus: &str, address: u16, register: u16) {
    loop {
        println!("read: {}", of(sensor(bus, address, register)));
        std::thread::sleep(Duration::from_millis(100));
    }
}
