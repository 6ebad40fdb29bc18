//! Opens the devices of boards/qemu-virt.toml that are timed: lines 0 to 2 of gpio-sim's chip, the I2C bus, and the SPI
//! converter.

use std::error::Error;
use std::fs::{File, OpenOptions};

use gpiocdev_uapi::v2::{LineConfig, LineFlags, LineRequest, Offsets, get_chip_info, get_line};
use spidev::{SpiModeFlags, Spidev, SpidevOptions};
use vyoma_capabilities::board::{self, Details, Device, Kind};
use vyoma_capabilities::manifest::{Gpio, I2c, Spi};
use vyoma_capabilities::profile::Peripherals;
use vyoma_runtime::RunConfig;
use vyoma_runtime::devices::{Devices, Handle};

/// The board's file, and the label of its first chip.
const BOARD: &str = include_str!("../../../boards/qemu-virt.toml");
const CHIP: &str = "vyoma-gpio";
/// As many edges as the daemon asks for.
const EDGES: u32 = 256;

/// All of them for a guest.
pub(crate) fn give(config: &mut RunConfig) -> Result<(), Box<dyn Error>> {
    config.grants.gpio = Some(Gpio::default());
    config.grants.i2c = Some(I2c::default());
    config.grants.spi = Some(Spi::default());
    let board = board::parse("qemu-virt.toml", BOARD).map_err(|error| error.to_string())?;
    let mut given = Devices {
        peripherals: Peripherals {
            gpio: true,
            i2c: true,
            spi: true,
            ..Peripherals::default()
        },
        ..Devices::default()
    };
    for device in board::devices(&board, &config.grants) {
        if let Some(file) = open(&device)? {
            given.list.push(device);
            given.handles.push(Some(Handle::Kernel(file)));
        }
    }
    config.devices = given;
    Ok(())
}

fn open(device: &Device) -> Result<Option<File>, Box<dyn Error>> {
    Ok(match (device.kind, &device.details) {
        (
            Kind::Gpio,
            Details::Pin {
                line: line @ 0..=2, ..
            },
        ) if device.place == 0 => Some(pin(*line, LineFlags::INPUT)?),
        (Kind::I2c, _) => Some(i2c()?),
        (Kind::Spi, _) if device.number == "0.1" => Some(spi()?.into_inner()),
        _ => None,
    })
}

fn device(path: &str) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// The I2C bus.
pub(crate) fn i2c() -> std::io::Result<File> {
    device("/dev/i2c-0")
}

/// The converter on the SPI bus.
pub(crate) fn spi() -> std::io::Result<Spidev> {
    let mut spidev = Spidev::new(device("/dev/spidev0.1")?);
    let options = SpidevOptions::new()
        .bits_per_word(8)
        .max_speed_hz(1_000_000)
        .mode(SpiModeFlags::SPI_MODE_0)
        .build();
    spidev.configure(&options)?;
    Ok(spidev)
}

/// A line of gpio-sim's chip.
pub(crate) fn pin(line: u32, flags: LineFlags) -> Result<File, Box<dyn Error>> {
    for number in 0..8 {
        let Ok(chip) = device(&format!("/dev/gpiochip{number}")) else {
            continue;
        };
        let info = get_chip_info(&chip).map_err(|error| error.to_string())?;
        if info.label.as_os_str() != CHIP {
            continue;
        }
        let request = LineRequest {
            offsets: Offsets::from_slice(&[line]),
            config: LineConfig {
                flags,
                ..LineConfig::default()
            },
            num_lines: 1,
            event_buffer_size: EDGES,
            ..LineRequest::default()
        };
        return Ok(get_line(&chip, request).map_err(|error| error.to_string())?);
    }
    Err(format!("no chip is called {CHIP}").into())
}
