//! Devices of the kernel on booted images: pins of gpio-sim, and an I2C bus, an SPI controller and converters of the test module
//! `tests/kernel/vyoma-sim`, which the bridge loads; a second serial port of QEMU's; and a thermometer that QEMU emulates on a
//! Raspberry Pi's I2C bus. An app reaches each through /dev, by its manifest and the board's file, and does what it is sent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use vyoma_capabilities::lifecycle::Phase;
use vyoma_system_tests::booted::{Device, Machine};
use vyoma_system_tests::qtest::{self, Pins};
use vyoma_system_tests::turn::Turn;
use vyoma_system_tests::{from_make_test, guest};

/// The app that does what it is told.
const SHELL: &str = "device-shell";
/// Parameters of the module.
const MODULE: &str = "/sys/module/vyoma_sim/parameters";
/// gpio-sim's chip.
const CHIP: &str = "/sys/devices/platform/gpio-sim.0";
/// The slow memory on the I2C bus: 256 bytes take it half a second and more.
const MEMORY: &str = "i2c 0 50 00 250";

/// Has the app do something; what came of it.
fn does(device: &Device, what: &str) -> String {
    came_of(device, &tell(device, what))
}

/// Something that the app was told to do.
struct Told {
    /// How its answer begins.
    beginning: String,
    /// How often it was told the same, and had answered, before.
    before: usize,
}

fn tell(device: &Device, what: &str) -> Told {
    let beginning = format!("{what}: ");
    let before = answers(device, &beginning).len();
    device.ctl_ok(&["send", SHELL, what]);
    Told { beginning, before }
}

/// What came of it.
fn came_of(device: &Device, Told { beginning, before }: &Told) -> String {
    let line = device.until(beginning, || {
        answers(device, beginning).into_iter().nth(*before)
    });
    line[beginning.len()..].to_owned()
}

fn answers(device: &Device, beginning: &str) -> Vec<String> {
    let texts = device.texts(SHELL).into_iter();
    texts.filter(|text| text.starts_with(beginning)).collect()
}

/// The folder of a simulated line.
fn line(device: &Device, number: u32) -> String {
    let chip = device
        .list(CHIP)
        .into_iter()
        .find(|name| name.starts_with("gpiochip"))
        .expect("a chip of gpio-sim");
    format!("{CHIP}/{chip}/sim_gpio{number}")
}

fn pins_are_driven_and_observed(device: &Device) {
    for (level, seen) in [("1", "1"), ("0", "0"), ("1", "1")] {
        assert_eq!(does(device, &format!("set SIM0 {level}")), "done");
        let value = device.read(&format!("{}/value", line(device, 0)));
        assert_eq!(value.trim(), seen);
    }
    let pull = format!("{}/pull", line(device, 1));
    for (pulled, state) in [
        ("pull-up", "PinState::Active"),
        ("pull-down", "PinState::Inactive"),
    ] {
        device.write(&pull, pulled);
        assert_eq!(does(device, "get 1"), state);
    }
    // An edge wakes who waits for it.
    let told = tell(device, "wait 1");
    device.wait_for_log(SHELL, "waits");
    device.write(&pull, "pull-up");
    assert_eq!(came_of(device, &told), "PinState::Active, 0 lost");
}

fn i2c_devices_answer(device: &Device) {
    // Chip id, then what is written to a register.
    assert_eq!(does(device, "i2c 0 76 d0 1"), "[60]");
    assert_eq!(does(device, "i2c 0 76 20abcd 0"), "[]");
    assert_eq!(does(device, "i2c 0 76 20 3"), "[ab, cd, 00]");
    device.write(&format!("{MODULE}/temperature"), &0x1a80.to_string());
    assert_eq!(does(device, "i2c 0 48 00 2"), "[1a, 80]");
    assert_eq!(
        does(device, "i2c 0 33 00 1"),
        "ErrorCode::NoAcknowledge(NoAcknowledgeSource::Address)"
    );
}

fn spi_devices_answer(device: &Device) {
    assert_eq!(does(device, "spi 0.0 c0ffee"), "[c0, ff, ee]");
    device.write(&format!("{MODULE}/converter"), "0,0,0,0,0,0,777,0");
    assert_eq!(does(device, "spi 0.1 01e000"), "[00, 03, 09]");
}

fn converters_are_read(device: &Device) {
    let iio = "/sys/bus/iio/devices";
    let adc = device
        .list(iio)
        .into_iter()
        .find(|name| device.read(&format!("{iio}/{name}/name")).trim() == "vyoma-adc")
        .expect("the module's converter");
    device.write(&format!("{iio}/{adc}/in_voltage0_raw"), "2048");
    let said = does(device, "adc 0");
    assert!(said.starts_with("2048, 16"), "{said}");
}

fn a_device_that_is_pulled_out_is_an_error_and_nothing_else(device: &Device) {
    let moved = || {
        let text = device.read(&format!("{MODULE}/moved"));
        text.trim().parse::<u64>().expect("a number")
    };
    // In the middle of a transfer.
    let before = moved();
    let told = tell(device, MEMORY);
    device.until("the transfer's first bytes", || {
        (moved() > before + 2).then_some(())
    });
    device.write(&format!("{MODULE}/unplugged"), &0x50.to_string());
    assert_eq!(came_of(device, &told), "ErrorCode::Bus");
    assert!(moved() < before + 250, "it was pulled too late");
    assert_eq!(
        does(device, "i2c 0 50 00 1"),
        "ErrorCode::NoAcknowledge(NoAcknowledgeSource::Address)"
    );
    device.write(&format!("{MODULE}/unplugged"), "0");
    assert_eq!(does(device, "i2c 0 50 00 1"), "[00]");
    // Drivers that lose their device while the app has it open.
    device.write("/sys/bus/spi/drivers/spidev/unbind", "spi0.0");
    let said = does(device, "spi 0.0 c0ffee");
    assert!(said.starts_with("Error::Other(\"spidev: "), "{said}");
    // While the app waits for an edge.
    let pull = format!("{}/pull", line(device, 1));
    device.write(&pull, "pull-down");
    let waits = || {
        device
            .texts(SHELL)
            .iter()
            .filter(|line| *line == "waits")
            .count()
    };
    let before = waits();
    let told = tell(device, "wait 1");
    device.until("the app to wait", || (waits() > before).then_some(()));
    device.write("/config/gpio-sim/vyoma/live", "0");
    assert_eq!(came_of(device, &told), "GpioError::HardwareFault");
    for what in ["get 1", "set SIM0 1"] {
        assert_eq!(does(device, what), "GpioError::HardwareFault");
    }
    let app = device.app(SHELL);
    assert_eq!((app.phase, app.restarts), (Phase::Running, 0), "{app:?}");
    // What has nothing to do with them goes on.
    assert_eq!(does(device, "i2c 0 76 d0 1"), "[60]");
    assert_eq!(does(device, "spi 0.1 01e000"), "[00, 03, 09]");
}

/// A machine with simulated devices.
fn machine(platform: &str) -> Machine {
    Machine::new(platform, "aarch64")
        .arg(&["--devices"])
        .app(SHELL)
}

#[test]
fn an_app_on_iot_edge_uses_pins_i2c_and_spi_of_the_kernel_and_has_no_more_than_the_table_says() {
    let machine = machine("iot-edge");
    let device = machine.start();
    device.wait_for_log(SHELL, "ready");
    pins_are_driven_and_observed(&device);
    i2c_devices_answer(&device);
    spi_devices_answer(&device);
    for lacking in ["adc 0", "say 1 hello"] {
        assert_eq!(does(&device, lacking), "not-supported");
    }
    for (capability, has) in [
        ("gpio", true),
        ("i2c", true),
        ("spi", true),
        ("uart", false),
        ("adc", false),
    ] {
        let warning = format!("declares {capability}, which iot-edge does not have");
        let texts = device.texts(SHELL);
        let count = texts.iter().filter(|text| text.contains(&warning)).count();
        assert_eq!(count, usize::from(!has), "{capability}: {texts:#?}");
    }
    a_device_that_is_pulled_out_is_an_error_and_nothing_else(&device);
}

#[test]
fn an_app_on_robotics_rt_uses_every_kind_of_device_of_the_kernel() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let socket = scratch.path().join("uart");
    let port = UnixListener::bind(&socket).expect("a socket");
    let chardev = format!("socket,id=uart,path={}", socket.display());
    let machine = machine("robotics-rt")
        .arg(&["--qemu=-chardev", &format!("--qemu={chardev}")])
        .arg(&["--qemu=-serial", "--qemu=chardev:uart"]);
    let device = machine.start();
    device.wait_for_log(SHELL, "ready");
    pins_are_driven_and_observed(&device);
    i2c_devices_answer(&device);
    spi_devices_answer(&device);
    converters_are_read(&device);
    a_serial_port_carries_lines_both_ways(&device, &port);
    a_device_that_is_pulled_out_is_an_error_and_nothing_else(&device);
}

fn a_serial_port_carries_lines_both_ways(device: &Device, port: &UnixListener) {
    let (mut line, _) = port.accept().expect("QEMU connects when it starts");
    assert_eq!(does(device, "say 1 over-to-you"), "done");
    let mut said = String::new();
    BufReader::new(line.try_clone().expect("a second handle"))
        .read_line(&mut said)
        .expect("a line from the device");
    assert_eq!(said, "over-to-you\n");
    let told = tell(device, "hear 1 10");
    line.write_all(b"and-to-you").expect("the port takes it");
    assert_eq!(came_of(device, &told), "and-to-you");
}

/// For an emulated board whose image may have to be built first.
const PATIENCE: Duration = Duration::from_mins(20);

/// A board that prints on its console and is ended with this value.
struct Board {
    xtask: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Board {
    /// Boots iot-edge's image on QEMU's Raspberry Pi, which has neither network nor disk.
    fn start(app: &str, qemu: &[String]) -> Self {
        let mut xtask = Command::new(from_make_test("VYOMA_XTASK_BIN"));
        xtask.args(["boot", "--platform", "iot-edge", "--on", "raspi3b"]);
        xtask.args(["--data", "none", "--timeout", "1500", "--app"]);
        xtask.arg(guest(app));
        xtask.args(qemu.iter().map(|word| format!("--qemu={word}")));
        let mut xtask = xtask
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start xtask");
        let output = xtask.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            xtask,
            lines,
            seen: Vec::new(),
        }
    }

    fn wait_for(&mut self, needle: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line {needle:?} in\n{}", self.seen.join("\n"));
            };
            let found = line.contains(needle);
            self.seen.push(line);
            if found {
                return;
            }
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // QEMU dies with xtask.
        let _ = self.xtask.kill();
        let _ = self.xtask.wait();
    }
}

#[test]
fn the_thermometer_reads_a_sensor_on_the_i2c_bus_of_a_raspberry_pi_as_it_is_set_from_outside() {
    let _turn = Turn::shared();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (qtest, qmp) = (scratch.path().join("qtest"), scratch.path().join("qmp"));
    let mut qemu = qtest::arguments(&qtest, &qmp);
    let sensor = "tmp105,id=sensor,bus=i2c-bus.1,address=0x48";
    qemu.extend(["-device".to_owned(), sensor.to_owned()]);
    let mut board = Board::start("thermometer", &qemu);
    // QEMU makes it once xtask has what it boots.
    let end = Instant::now() + PATIENCE;
    while !(qtest.exists() && qmp.exists()) {
        assert!(Instant::now() < end, "QEMU does not run");
        thread::sleep(Duration::from_millis(50));
    }
    let mut pins = Pins::connect(&qtest, &qmp);
    // Thousandths of a degree; the sensor tells halves after power-on.
    for (millidegrees, said) in [(21_500, "21.50"), (-7_500, "-7.50"), (63_000, "63.00")] {
        pins.set("/machine/peripheral/sensor", "temperature", millidegrees);
        pins.go();
        board.wait_for(&format!("[thermometer] temperature {said} C"));
    }
    assert!(
        board
            .seen
            .iter()
            .any(|line| line.contains("vyomad: started:") && line.contains("iot-edge (pid1)")),
        "{:#?}",
        board.seen
    );
}
