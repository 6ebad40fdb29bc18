//! Devices over descriptors of this kernel, as far as every machine has them: a serial port is a terminal, a channel of a
//! converter is a file.

use std::fs::File;
use std::io::{Read, Write};

use nix::pty::openpty;
use nix::sys::termios::{ControlFlags, LocalFlags, tcgetattr};
use vyoma_capabilities::board::{Details, Device, Kind, Safe};
use vyoma_capabilities::manifest::{Adc, Gpio, Uart};
use vyoma_capabilities::profile::Peripherals;
use vyoma_component::services::{
    ActiveLevel, Converters, DeviceError, GpioError, OpenPort, Parity, PinEvent, PinMode, PinSetup,
    PinState, Pins, Services, StopBits, UartConfig, Uarts,
};
use vyoma_runtime::RunConfig;
use vyoma_runtime::devices::{Devices, Handle};
use vyoma_services::Linux;
use vyoma_sim::wire::{Message, Request};

fn linux(devices: Vec<(Device, File)>) -> Linux {
    let (list, files): (Vec<_>, Vec<_>) = devices.into_iter().unzip();
    let handles = files.into_iter().map(Handle::Kernel).collect();
    over(list, handles)
}

fn over(list: Vec<Device>, handles: Vec<Handle>) -> Linux {
    let mut config = RunConfig::stdio_only("test", &[]);
    config.grants.uart = Some(Uart::default());
    config.grants.adc = Some(Adc::default());
    config.grants.gpio = Some(Gpio::default());
    config.devices = Devices {
        peripherals: Peripherals {
            gpio: true,
            uart: true,
            adc: true,
            ..Peripherals::default()
        },
        list,
        handles: handles.into_iter().map(Some).collect(),
    };
    Linux::new(config).unwrap()
}

fn device(kind: Kind, number: &str, details: Details) -> Device {
    Device {
        kind,
        number: number.to_owned(),
        label: None,
        place: 0,
        details,
        refused: None,
    }
}

/// The far end of a serial line, its near end's second descriptor, and the services that have it as port 0.
fn terminal(baud: Option<u32>) -> (File, File, Linux) {
    let pair = openpty(None, None).unwrap();
    let near = File::from(pair.slave);
    let second = near.try_clone().unwrap();
    let port = device(Kind::Uart, "0", Details::Uart { baud });
    (File::from(pair.master), second, linux(vec![(port, near)]))
}

fn opened(linux: &mut Linux, config: Option<UartConfig>) -> OpenPort<Linux> {
    linux
        .open_uart("0", config)
        .unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn a_terminal_carries_raw_bytes_both_ways() {
    let (mut far, _, mut linux) = terminal(None);
    let (mut port, mut input, mut output) = opened(&mut linux, None);
    // Whatever a line discipline would change or answer.
    let bytes = b"\x03\x04\r\n\x7f\xff\x00\x11";
    assert!(linux.check_write(&mut output).unwrap() >= bytes.len() as u64);
    linux.write(&mut output, bytes).unwrap();
    let mut received = [0; 8];
    far.read_exact(&mut received).unwrap();
    assert_eq!(&received, bytes);

    assert_eq!(linux.read(&mut input, 100).unwrap(), b"");
    let ready = linux.input_ready(&input);
    assert!(!linux.is_ready(&ready));
    far.write_all(bytes).unwrap();
    assert_eq!(linux.poll(&[ready]), [0]);
    assert_eq!(linux.read(&mut input, 3).unwrap(), bytes[..3]);
    assert_eq!(linux.read(&mut input, 100).unwrap(), bytes[3..]);
    assert_eq!(linux.uart_lost(&mut port), 0);
}

#[test]
fn a_terminal_is_set_up_as_the_app_asks() {
    let (_far, near, mut linux) = terminal(None);
    let config = UartConfig {
        baud: 19200,
        data_bits: 7,
        parity: Parity::Odd,
        stop_bits: StopBits::Two,
    };
    let (port, _input, _output) = opened(&mut linux, Some(config));
    assert_eq!(linux.uart_config(&port), config);
    let termios = tcgetattr(&near).unwrap();
    let (control, local) = (termios.control_flags, termios.local_flags);
    assert!(control.contains(ControlFlags::PARODD | ControlFlags::CSTOPB));
    assert!(!local.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG));
    assert_eq!(
        nix::sys::termios::cfgetospeed(&termios) as u32,
        nix::sys::termios::BaudRate::B19200 as u32
    );
}

#[test]
fn a_port_is_open_until_all_of_it_is_dropped() {
    let (_far, _near, mut linux) = terminal(Some(9600));
    let (port, input, output) = opened(&mut linux, None);
    assert_eq!(linux.uart_config(&port).baud, 9600);
    drop((port, output));
    assert_eq!(
        linux.open_uart("0", None).err(),
        Some(DeviceError::AlreadyInUse)
    );
    drop(input);
    let other = UartConfig::plain(19200);
    assert_eq!(
        linux.open_uart("0", Some(other)).err(),
        Some(DeviceError::NotAllowed)
    );
    drop(opened(&mut linux, None));
    assert_eq!(
        linux.open_uart("1", None).err(),
        Some(DeviceError::NoSuchDevice)
    );
}

#[test]
fn a_line_whose_far_end_is_gone_is_an_error_of_the_stream_and_nothing_else() {
    let (far, _, mut linux) = terminal(None);
    let (_port, mut input, _output) = opened(&mut linux, None);
    drop(far);
    let ready = linux.input_ready(&input);
    linux.poll(&[ready]);
    assert!(linux.read(&mut input, 10).is_err());
}

#[test]
fn a_channel_is_read_anew_for_each_sample() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in_voltage0_raw");
    let set = |text: &str| std::fs::write(&path, text).unwrap();
    set("1234\n");
    let details = Details::Adc {
        max: 4095,
        microvolts: 3_300_000,
    };
    let channel = device(Kind::Adc, "0", details);
    let mut linux = linux(vec![(channel, File::open(&path).unwrap())]);
    let mut channel = linux
        .open_channel("0")
        .unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(linux.channel_range(&channel).max, 4095);
    assert_eq!(linux.sample(&mut channel), Ok(1234));
    set("7\n");
    assert_eq!(linux.sample(&mut channel), Ok(7));
    set("-5\n");
    assert_eq!(linux.sample(&mut channel), Ok(0));
    set("none\n");
    assert_eq!(linux.sample(&mut channel), Err(DeviceError::HardwareFault));
}

#[test]
fn whoever_waits_for_an_edge_of_a_pin_that_is_pulled_out_is_woken_and_told() {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::CLOEXEC;
    let (board, app) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let details = Details::Pin {
        line: 0,
        direction: None,
        safe: Safe::default(),
        shared: false,
    };
    let pin = device(Kind::Gpio, "0", details);
    let mut linux = over(vec![pin], vec![Handle::Simulated(app)]);
    let simulated = std::thread::spawn(move || {
        // It is made an input, and watched; then the board is gone.
        for expected in [Request::Set(None), Request::Watch] {
            let mut bytes = [0; 64];
            let length = rustix::io::read(&board, &mut bytes).unwrap();
            assert_eq!(
                postcard::from_bytes::<Request>(&bytes[..length]).unwrap(),
                expected
            );
            let done = postcard::to_allocvec(&Message::Done).unwrap();
            rustix::io::write(&board, &done).unwrap();
        }
    });
    let setup = PinSetup {
        mode: PinMode::In,
        active: ActiveLevel::ActiveHigh,
        pull: None,
    };
    let mut pin = linux
        .open_pin("0", setup)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let edge = linux
        .watch_pin(&mut pin, PinEvent::Edge(PinState::Active))
        .unwrap_or_else(|error| panic!("{error:?}"));
    simulated.join().unwrap();
    linux.poll(&[edge]);
    assert_eq!(linux.next_edge(&mut pin), Err(GpioError::HardwareFault));
}
