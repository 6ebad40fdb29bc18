//! Boards: what a file says, and what an app gets of it.

use vyoma_capabilities::board::{
    Answer, BUILTIN, Board, Details, Device, Fault, Kind, Refusal, Safe, devices, parse,
};
use vyoma_capabilities::manifest::{Adc, Direction, Gpio, I2c, Pin, Spi, Uart};
use vyoma_capabilities::profile::Peripherals;
use vyoma_capabilities::resolve::Grants;

const TEXT: &str = r#"
[board]
name = "test"

[[gpio]]
chip = "first"
lines = 8
labels = { LED = 3, BUTTON = 5 }
safe = { LED = "low", 4 = "high" }

[[gpio]]
chip = "second"
lines = 4
labels = { FAR = 1 }

[[i2c]]
bus = 1
label = "SENSORS"

[[spi]]
bus = 0
cs = 1
label = "DISPLAY"
hz = 8000000
mode = 3

[[spi]]
bus = 2

[[uart]]
port = 0
device = "/dev/ttyAMA0"

[[adc]]
channel = 4
label = "LIGHT"
bits = 10
millivolts = 3300
"#;

fn board() -> Board {
    parse("test.toml", TEXT).unwrap()
}

fn gpio(pins: &[Pin], direction: Option<Direction>) -> Grants {
    Grants {
        gpio: Some(Gpio {
            pins: pins.to_vec(),
            direction,
        }),
        ..Grants::default()
    }
}

fn label(name: &str) -> Pin {
    Pin::Label(name.to_owned())
}

fn names(list: &[Device]) -> Vec<(&str, &str)> {
    list.iter()
        .map(|device| {
            (
                device.number.as_str(),
                device.label.as_deref().unwrap_or(""),
            )
        })
        .collect()
}

fn refusal(error: &str) -> String {
    parse("test.toml", error).unwrap_err().to_string()
}

#[test]
fn a_board_has_defaults_for_what_its_file_leaves_out() {
    let board = board();
    assert_eq!(board.i2c[0].device, "/dev/i2c-1");
    assert_eq!(board.spi[0].device, "/dev/spidev0.1");
    assert_eq!((board.spi[0].hz, board.spi[0].mode), (8_000_000, 3));
    assert_eq!(
        (board.spi[1].cs, board.spi[1].hz, board.spi[1].mode),
        (0, 1_000_000, 0)
    );
    assert_eq!(board.uart[0].device, "/dev/ttyAMA0");
    assert_eq!(
        (board.adc[0].max(), board.adc[0].microvolts),
        (1023, Some(3_300_000))
    );
    assert_eq!(board.gpio[0].safe[&3], Safe::Low);
    assert_eq!(board.gpio[0].safe[&4], Safe::High);
}

#[test]
fn every_board_that_comes_with_the_system_is_right_and_is_called_as_its_file() {
    for (name, text) in BUILTIN {
        let board = parse(name, text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(board.name, name);
        assert!(board.has().gpio, "{name}");
    }
    let (_, text) = BUILTIN[4];
    let simulated = parse("simulated.toml", text).unwrap();
    assert_eq!(simulated.i2c[0].devices[2].fault, Some(Fault::NakData));
}

#[test]
fn pins_go_by_number_on_the_first_chip_and_by_label_on_all() {
    let board = board();
    assert_eq!(board.pin("3"), Some((0, 3)));
    assert_eq!(board.pin("LED"), Some((0, 3)));
    assert_eq!(board.pin("FAR"), Some((1, 1)));
    assert_eq!(board.pin("8"), None);
    assert_eq!(board.pin("03"), None, "one way to write a number");
    assert_eq!(board.pin("+3"), None);
    assert_eq!(board.pin(""), None);
}

#[test]
fn an_app_gets_the_pins_that_it_names_with_what_the_board_says_of_them() {
    let pins = [
        label("LED"),
        Pin::Number(5),
        label("FAR"),
        label("NOPE"),
        Pin::Number(77),
    ];
    let list = devices(&board(), &gpio(&pins, Some(Direction::Output)));
    assert_eq!(
        names(&list),
        [
            ("3", "LED"),
            ("5", "BUTTON"),
            ("", "FAR"),
            ("", "NOPE"),
            ("77", "")
        ]
    );
    let refused: Vec<_> = list.iter().map(|device| device.refused).collect();
    let none = Some(Refusal::NoSuchDevice);
    assert_eq!(refused, [None, None, None, none, none]);
    let Details::Pin {
        line,
        direction,
        safe,
        ..
    } = list[0].details
    else {
        panic!("no pin");
    };
    assert_eq!(
        (line, direction, safe),
        (3, Some(Direction::Output), Safe::Low)
    );
}

#[test]
fn without_names_an_app_gets_what_the_board_labels_and_every_bus() {
    let grants = Grants {
        i2c: Some(I2c::default()),
        spi: Some(Spi::default()),
        uart: Some(Uart::default()),
        adc: Some(Adc::default()),
        ..gpio(&[], None)
    };
    let list = devices(&board(), &grants);
    assert_eq!(
        names(&list),
        [
            ("5", "BUTTON"),
            ("3", "LED"),
            ("", "FAR"),
            ("1", "SENSORS"),
            ("0.1", "DISPLAY"),
            ("2.0", ""),
            ("0", ""),
            ("4", "LIGHT"),
        ]
    );
    assert!(list.iter().all(|device| device.refused.is_none()));
}

#[test]
fn buses_that_a_manifest_names_are_those_and_no_others() {
    let grants = Grants {
        i2c: Some(I2c {
            bus: Some(1),
            address: Some(0x48),
        }),
        spi: Some(Spi {
            bus: Some(2),
            cs_pin: Some(7),
        }),
        uart: Some(Uart {
            port: Some(9),
            baud: Some(9600),
        }),
        adc: Some(Adc {
            channels: vec![4, 5],
        }),
        ..Grants::default()
    };
    let list = devices(&board(), &grants);
    let found: Vec<_> = list
        .iter()
        .map(|it| (it.number.as_str(), it.refused.is_some()))
        .collect();
    assert_eq!(
        found,
        [
            ("1", false),
            ("2.7", true),
            ("9", true),
            ("4", false),
            ("5", true)
        ]
    );
    assert_eq!(
        list[0].details,
        Details::I2c {
            address: Some(0x48)
        }
    );
    assert_eq!(
        list[3].details,
        Details::Adc {
            max: 1023,
            microvolts: 3_300_000
        }
    );
}

#[test]
fn a_name_is_answered_by_platform_first_then_manifest_then_board() {
    let (all, none) = (board().has(), Peripherals::default());
    let ask = |grants: &Grants, peripherals, name| {
        Answer::of(
            Kind::Gpio,
            name,
            &devices(&board(), grants),
            grants,
            peripherals,
        )
    };
    let refused = Answer::Refused;
    let some = gpio(&[label("LED"), label("NOPE")], None);
    let open = gpio(&[], None);
    let nothing = Grants::default();
    assert_eq!(ask(&some, none, "LED"), refused(Refusal::NotSupported));
    assert_eq!(ask(&nothing, none, "LED"), refused(Refusal::NotSupported));
    assert_eq!(ask(&nothing, all, "LED"), refused(Refusal::NotAllowed));
    assert_eq!(ask(&some, all, "LED"), Answer::Device(0));
    assert_eq!(ask(&some, all, "3"), Answer::Device(0));
    assert_eq!(ask(&some, all, "BUTTON"), refused(Refusal::NotAllowed));
    assert_eq!(ask(&some, all, "NOPE"), refused(Refusal::NoSuchDevice));
    assert_eq!(ask(&some, all, "ELSE"), refused(Refusal::NotAllowed));
    assert_eq!(ask(&some, all, ""), refused(Refusal::NotAllowed));
    assert_eq!(ask(&open, all, "ELSE"), refused(Refusal::NoSuchDevice));
    assert_eq!(ask(&open, all, "FAR"), Answer::Device(2));
}

#[test]
fn an_spi_device_on_the_first_bus_goes_by_its_chip_select_alone() {
    let grants = Grants {
        spi: Some(Spi::default()),
        ..Grants::default()
    };
    let list = devices(&board(), &grants);
    assert!(list[0].is_named(Kind::Spi, "1"));
    assert!(list[0].is_named(Kind::Spi, "0.1"));
    assert!(!list[1].is_named(Kind::Spi, "0"));
    assert!(!list[0].is_named(Kind::I2c, "1"));
}

#[test]
fn what_is_wrong_in_a_board_file_is_said_with_its_place() {
    for (text, word) in [
        ("", "[board]"),
        ("[board]\nname = \"x\"\n[[gpio]]\n", "gpio[0].lines"),
        (
            "[board]\nname = \"x\"\n[[gpio]]\nlines = 2\nlabels = { A = 2 }",
            "from 0 to 1",
        ),
        (
            "[board]\nname = \"x\"\n[[gpio]]\nlines = 2\nlabels = { 7 = 1 }",
            "no number",
        ),
        (
            "[board]\nname = \"x\"\n[[gpio]]\nlines = 2\nlabels = { A = 1, B = 1 }",
            "no other label",
        ),
        (
            "[board]\nname = \"x\"\n[[gpio]]\nlines = 2\nsafe = { A = \"low\" }",
            "label or number",
        ),
        (
            "[board]\nname = \"x\"\n[[i2c]]\nbus = 1\n[[i2c]]\nbus = 1",
            "1 twice",
        ),
        (
            "[board]\nname = \"x\"\n[[i2c]]\nbus = 1\n[[i2c.devices]]\naddress = 200",
            "from 0 to 127",
        ),
        (
            "[board]\nname = \"x\"\n[[spi]]\nbus = 0\nmode = 4",
            "from 0 to 3",
        ),
        (
            "[board]\nname = \"x\"\n[[spi]]\nbus = 0\npart = \"mcp3009\"",
            "mcp3008",
        ),
        (
            "[board]\nname = \"x\"\n[[uart]]\nprot = 0",
            "did you mean port?",
        ),
        (
            "[board]\nname = \"x\"\n[[adc]]\nchannel = 0\nbits = 33",
            "from 1 to 32",
        ),
    ] {
        let error = refusal(text);
        assert!(error.contains(word), "{text:?}: {error}");
        assert!(error.starts_with("test.toml"), "{error}");
    }
}
