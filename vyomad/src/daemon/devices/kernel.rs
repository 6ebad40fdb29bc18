//! Opens devices of the kernel. Every error is one line and the error that the app gets for it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gpiocdev_uapi::Name;
use gpiocdev_uapi::v2::{
    LineConfig, LineFlags, LineRequest, LineValues, Offsets, get_chip_info, get_line,
    set_line_config,
};
use spidev::{SpiModeFlags, Spidev, SpidevOptions};
use vyoma_capabilities::board::{AdcChannel, Board, Details, Device, Kind, Refusal, Safe};

/// Edges that the kernel keeps of a line until the app reads them; it takes at most 16 a line of its largest request.
const EDGES: u32 = 256;
/// The most chips that are looked at.
const MAX_CHIPS: usize = 64;

type Failure = (Refusal, String);

/// Opens a device that is no pin.
pub(super) fn open(board: &Board, device: &mut Device) -> Result<OwnedFd, Failure> {
    let place = device.place;
    match device.kind {
        Kind::I2c => Ok(file(&board.i2c[place].device, 0)?.into()),
        Kind::Spi => spi(board, place),
        Kind::Uart => {
            let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
            Ok(file(&board.uart[place].device, flags)?.into())
        }
        Kind::Adc => channel(&board.adc[place], &mut device.details),
        Kind::Gpio => Err((Refusal::HardwareFault, "a pin is no device".into())),
    }
}

fn file(path: &str, flags: i32) -> Result<File, Failure> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags | libc::O_CLOEXEC)
        .open(path);
    opened.map_err(|error| failure(path, &error))
}

/// What is in a board file and not in this kernel does not exist; whatever else is wrong is the device's fault.
fn failure(path: &str, error: &io::Error) -> Failure {
    let refusal = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Refusal::NoSuchDevice,
        Some(libc::EBUSY) => Refusal::AlreadyInUse,
        _ => Refusal::HardwareFault,
    };
    (refusal, format!("{path}: {error}"))
}

fn spi(board: &Board, place: usize) -> Result<OwnedFd, Failure> {
    let device = &board.spi[place];
    let mut spidev = Spidev::new(file(&device.device, 0)?);
    let mode = [
        SpiModeFlags::SPI_MODE_0,
        SpiModeFlags::SPI_MODE_1,
        SpiModeFlags::SPI_MODE_2,
        SpiModeFlags::SPI_MODE_3,
    ][usize::from(device.mode & 3)];
    let options = SpidevOptions::new()
        .bits_per_word(8)
        .max_speed_hz(device.hz)
        .mode(mode)
        .build();
    spidev
        .configure(&options)
        .map_err(|error| failure(&device.device, &error))?;
    Ok(spidev.into_inner().into())
}

/// Asks a chip, by its name or label, for a line: in its safe state from the first moment on.
pub(super) fn request(chip: &str, line: u32, safe: Safe) -> Result<File, Failure> {
    let file = find_chip(chip)?;
    let request = LineRequest {
        offsets: Offsets::from_slice(&[line]),
        consumer: Name::from("vyoma"),
        config: safe_config(safe),
        num_lines: 1,
        event_buffer_size: EDGES,
        ..LineRequest::default()
    };
    get_line(&file, request).map_err(|error| {
        let refusal = match &error {
            gpiocdev_uapi::Error::Os(errno) if errno.0 == libc::EBUSY => Refusal::AlreadyInUse,
            gpiocdev_uapi::Error::Os(errno) if errno.0 == libc::EINVAL => Refusal::NoSuchDevice,
            _ => Refusal::HardwareFault,
        };
        (refusal, format!("{chip} line {line}: {error}"))
    })
}

fn safe_config(safe: Safe) -> LineConfig {
    let mut config = LineConfig::default();
    match safe {
        Safe::Input => config.flags = LineFlags::INPUT,
        Safe::Low | Safe::High => {
            config.flags = LineFlags::OUTPUT;
            config.add_values(&LineValues::from_slice(&[safe == Safe::High]));
        }
    }
    config
}

/// Puts a line into its safe state. What the kernel can't reach any more can't be made safe either.
pub(super) fn make_safe(line: &File, safe: Safe) {
    let _ = set_line_config(line, safe_config(safe));
}

fn find_chip(wanted: &str) -> Result<File, Failure> {
    let none = || {
        let why = format!("no GPIO chip is called {wanted}");
        (Refusal::NoSuchDevice, why)
    };
    let entries = fs::read_dir("/dev").map_err(|_| none())?;
    let chips = entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"gpiochip")
        })
        .take(MAX_CHIPS);
    for entry in chips {
        let path = entry.path();
        let name = path.display().to_string();
        let chip = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(chip) => chip,
            // Not ours to look at (a hosted daemon that is not root): an error only if it is the one that is meant.
            Err(error) if path.ends_with(wanted) => return Err(failure(&name, &error)),
            Err(_) => continue,
        };
        let Ok(info) = get_chip_info(&chip) else {
            continue;
        };
        if is(&info.name, wanted) || is(&info.label, wanted) {
            return Ok(chip);
        }
    }
    Err(none())
}

fn is(name: &Name, wanted: &str) -> bool {
    name.as_os_str() == wanted
}

/// A channel of a converter, and what its values mean.
fn channel(channel: &AdcChannel, details: &mut Details) -> Result<OwnedFd, Failure> {
    let folder = find_iio(&channel.iio)?;
    let path = folder.join(format!("in_{}_raw", channel.input));
    let name = path.display().to_string();
    let raw = File::open(&path).map_err(|error| failure(&name, &error))?;
    if let Details::Adc { max, microvolts } = details
        && channel.microvolts.is_none()
    {
        // Millivolts of one step: of the channel, else of all voltages of the device.
        let own = folder.join(format!("in_{}_scale", channel.input));
        let all = folder.join("in_voltage_scale");
        let scale = [own, all].iter().find_map(|path| number(path));
        *microvolts = (scale.unwrap_or(0.0) * 1000.0 * f64::from(*max)) as u32;
    }
    Ok(raw.into())
}

fn number(path: &Path) -> Option<f64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The folder of an IIO device by its name; without a name, the first one's.
fn find_iio(wanted: &str) -> Result<PathBuf, Failure> {
    const FOLDER: &str = "/sys/bus/iio/devices";
    let entries = fs::read_dir(FOLDER).map_err(|error| failure(FOLDER, &error))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
        .into_iter()
        .find(|folder| {
            fs::read_to_string(folder.join("name"))
                .is_ok_and(|name| wanted.is_empty() || name.trim() == wanted)
        })
        .ok_or_else(|| {
            let why = format!("no converter (IIO device) is called {wanted:?}");
            (Refusal::NoSuchDevice, why)
        })
}
