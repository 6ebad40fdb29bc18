//! The simulated board by itself: wires, register files, the converter, faults.

use vyoma_capabilities::board::{BUILTIN, Board, Fault, parse};
use vyoma_capabilities::control::sim::{Part, PartFault, SimAnswer, SimRequest};
use vyoma_sim::wire::Operation;
use vyoma_sim::{Change, Machine};

fn board() -> Board {
    let (_, text) = BUILTIN
        .iter()
        .find(|(name, _)| *name == "simulated")
        .unwrap();
    parse("simulated.toml", text).unwrap()
}

fn machine() -> Machine {
    Machine::new(&board())
}

fn changed(line: u32, high: bool) -> Change {
    Change {
        chip: 0,
        line,
        high,
    }
}

#[test]
fn a_wire_carries_what_an_output_drives_and_only_changes_are_told() {
    let mut machine = machine();
    // OUT is line 2 and wired to IN, line 3.
    let changes = machine.set_output(0, 2, Some(true)).unwrap();
    assert_eq!(changes, [changed(2, true), changed(3, true)]);
    assert_eq!(machine.set_output(0, 2, Some(true)).unwrap(), []);
    assert_eq!(machine.level(0, 3), Some(true));
    // Nobody drives it any more: it falls back to what drives it from outside.
    assert_eq!(
        machine.set_output(0, 2, None).unwrap(),
        [changed(2, false), changed(3, false)]
    );
}

#[test]
fn lines_are_driven_from_outside_unless_they_are_stuck_and_none_is_reached_that_is_broken() {
    let mut machine = machine();
    assert_eq!(machine.level(0, 1), Some(true), "BUTTON is high");
    assert_eq!(machine.drive(0, 1, false).unwrap(), [changed(1, false)]);
    assert_eq!(machine.drive(0, 4, true).unwrap(), [], "STUCK");
    assert_eq!(machine.set_output(0, 4, Some(true)).unwrap(), []);
    assert_eq!(machine.level(0, 5), None, "BROKEN");
    assert_eq!(machine.set_output(0, 5, Some(true)), None);
    assert_eq!(machine.drive(0, 99, true), None);
    assert_eq!(machine.level(7, 0), None);
}

#[test]
fn wires_that_go_in_a_circle_end() {
    let text = "[board]\nname = \"ring\"\n[[gpio]]\nlines = 3\nwires = { 0 = \"1\", 1 = \"2\", 2 = \"0\" }";
    let mut machine = Machine::new(&parse("ring.toml", text).unwrap());
    let changes = machine.drive(0, 0, true).unwrap();
    assert_eq!(
        changes,
        [changed(0, true), changed(1, true), changed(2, true)]
    );
}

#[test]
fn a_register_file_reads_on_and_wraps_round() {
    let mut machine = machine();
    let select = |register| Operation::Write(vec![register]);
    let read = machine.i2c(0, 0x76, &[select(0xd0), Operation::Read(1)]);
    assert_eq!(read, Ok(vec![vec![0x60]]));
    assert!(machine.set_registers(0, 0x76, 0xff, &[1, 2]));
    let read = machine.i2c(
        0,
        0x76,
        &[select(0xff), Operation::Read(2), Operation::Read(0)],
    );
    assert_eq!(read, Ok(vec![vec![1, 2], vec![]]));
    assert_eq!(machine.i2c(0, 0x77, &[Operation::Read(1)]), Err(Fault::Nak));
    assert_eq!(machine.i2c(9, 0x76, &[Operation::Read(1)]), Err(Fault::Nak));
}

#[test]
fn faults_come_when_they_are_due_and_can_be_set_and_taken_back() {
    let mut machine = machine();
    let read = [Operation::Read(1)];
    // Two transfers work.
    assert!(machine.i2c(0, 0x14, &read).is_ok());
    assert!(machine.i2c(0, 0x14, &read).is_ok());
    assert_eq!(machine.i2c(0, 0x14, &read), Err(Fault::Nak));
    assert!(machine.set_fault(0, 0x14, None));
    assert!(machine.i2c(0, 0x14, &read).is_ok());
    assert!(machine.set_fault(0, 0x76, Some(Fault::Timeout)));
    assert_eq!(machine.i2c(0, 0x76, &read), Err(Fault::Timeout));
    assert!(!machine.set_fault(0, 0x55, None));
}

#[test]
fn an_mcp3008_gives_every_channel_wherever_its_start_bit_is() {
    let mut machine = machine();
    let values = [0_u16, 128, 256, 512, 640, 768, 896, 1023];
    for (channel, value) in (0_u8..).zip(values) {
        // As the data sheet draws it for controllers of eight bits.
        let sent = vec![1, 0x80 | channel << 4, 0];
        let read = machine.spi(1, &[Operation::Transfer(sent)]).unwrap();
        assert_eq!(
            u16::from(read[0][1] & 3) << 8 | u16::from(read[0][2]),
            value
        );
        // With the start bit at once.
        let sent = vec![0xc0 | channel << 3, 0, 0];
        let read = machine.spi(1, &[Operation::Transfer(sent)]).unwrap();
        let bits = u32::from_be_bytes([0, read[0][0], read[0][1], read[0][2]]);
        assert_eq!(bits >> 7 & 0x3ff, value.into(), "channel {channel}");
    }
    // Channel 3 less channel 2, and never less than zero.
    let pair = |code: u8| vec![Operation::Transfer(vec![1, code << 4, 0])];
    assert_eq!(machine.spi(1, &pair(3)).unwrap()[0][1..], [1, 0]);
    assert_eq!(machine.spi(1, &pair(2)).unwrap()[0][1..], [0, 0]);
    // Nothing that starts, and nothing that ends.
    assert_eq!(
        machine.spi(1, &[Operation::Read(3)]).unwrap(),
        [vec![0, 0, 0]]
    );
    assert_eq!(
        machine.spi(1, &[Operation::Transfer(vec![1])]).unwrap(),
        [vec![0]]
    );
    assert_eq!(machine.spi(2, &pair(0)), None, "DEAD");
}

#[test]
fn channels_give_what_they_were_set_to() {
    let mut machine = machine();
    assert_eq!(machine.sample(0), Some(2048));
    assert!(machine.set_channel(0, 7));
    assert_eq!(machine.sample(0), Some(7));
    assert_eq!(machine.sample(2), None, "broken");
    assert!(!machine.set_channel(9, 0));
}

#[test]
fn a_device_that_goes_away_in_the_middle_has_done_what_came_first() {
    let mut machine = machine();
    let both = [
        Operation::Write(vec![0x02, 0x11, 0x22]),
        Operation::Write(vec![0x03, 0x33, 0x44]),
    ];
    machine.set_fault(0, 0x48, Some(Fault::Timeout));
    assert_eq!(machine.i2c(0, 0x48, &both), Err(Fault::Timeout));
    machine.set_fault(0, 0x48, None);
    let read = |machine: &mut Machine, register| {
        let operations = [Operation::Write(vec![register]), Operation::Read(2)];
        machine.i2c(0, 0x48, &operations).unwrap().remove(0)
    };
    assert_eq!(read(&mut machine, 0x02), [0x11, 0x22]);
    assert_eq!(read(&mut machine, 0x03), [0x50, 0x00], "as it was");
    // One that is not there at all has done nothing.
    machine.set_fault(0, 0x48, Some(Fault::Nak));
    let write = [Operation::Write(vec![0x03, 0x55, 0x66]), Operation::Read(2)];
    assert_eq!(machine.i2c(0, 0x48, &write), Err(Fault::Nak));
    machine.set_fault(0, 0x48, None);
    assert_eq!(read(&mut machine, 0x03), [0x50, 0x00]);
}

#[test]
fn a_thermocouple_and_a_motor_speak_as_their_data_sheets_say() {
    let mut machine = machine();
    // 25.25 degrees in quarters, 22.5 in sixteenths.
    let read = machine.spi(3, &[Operation::Read(4)]).unwrap();
    assert_eq!(read, [[0x01, 0x94, 0x16, 0x80]]);
    // What the motor is told, channel 3 gives; switched off it stands still; a write for another converter is none.
    for (word, speed) in [
        (0x3800_u16, 0x800),
        (0xb123, 0x800),
        (0x2123, 0),
        (0x3fff, 0xfff),
    ] {
        let bytes = word.to_be_bytes().to_vec();
        machine.spi(4, &[Operation::Write(bytes)]).unwrap();
        assert_eq!(machine.sample(3), Some(speed), "{word:#06x}");
    }
}

/// The rows of the display at 0x3c.
fn picture(machine: &mut Machine) -> Vec<String> {
    let part = Part::parse("i2c/1/0x3c").unwrap();
    match machine
        .ask(&board(), &SimRequest::Picture { part })
        .unwrap()
        .answer
    {
        Some(SimAnswer::Picture(picture)) => picture.rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_display_shows_what_its_memory_and_its_settings_say() {
    let mut machine = machine();
    let mut send = |bytes: &[u8]| {
        let write = [Operation::Write(bytes.to_vec())];
        machine.i2c(0, 0x3c, &write).unwrap();
    };
    // Horizontal addressing; columns 126 and 127 of page 1, then on to page 2. As modules are wired: A1h, C8h.
    send(&[0x00, 0x20, 0x00, 0xa1, 0xc8, 0x21, 126, 127, 0x22, 1, 2]);
    send(&[0x40, 0x01, 0x80, 0xff]);
    let dark = ".".repeat(128);
    assert!(
        picture(&mut machine).iter().all(|row| *row == dark),
        "switched off"
    );
    let mut send = |bytes: &[u8]| {
        let write = [Operation::Write(bytes.to_vec())];
        machine.i2c(0, 0x3c, &write).unwrap();
    };
    // One command after the other in one message, each with a control byte of its own.
    send(&[0x80, 0xa4, 0x80, 0xaf]);
    let rows = picture(&mut machine);
    let lit = |row: usize| rows[row].bytes().filter(|dot| *dot == b'#').count();
    assert_eq!(&rows[8][124..], "..#.");
    assert_eq!(&rows[15][124..], "...#");
    assert!((16..24).all(|row| &rows[row][124..] == "..#."), "{rows:?}");
    assert_eq!((0..64).map(lit).sum::<usize>(), 10);
    let mut send = |bytes: &[u8]| {
        let write = [Operation::Write(bytes.to_vec())];
        machine.i2c(0, 0x3c, &write).unwrap();
    };
    // Upside down and the other way round; and dark for lit.
    send(&[0x00, 0xa0, 0xc0, 0xa7]);
    let rows = picture(&mut machine);
    assert_eq!(&rows[55][..4], "#.##");
    assert_eq!(rows[0], "#".repeat(128));
    // What no command is, and data without end, harm nothing.
    let noise: Vec<u8> = (0..=255).cycle().take(8192).collect();
    for control in [0x00, 0x40, 0x80, 0xc0] {
        let bytes = [&[control], &noise[..]].concat();
        machine.i2c(0, 0x3c, &[Operation::Write(bytes)]).unwrap();
    }
    assert_eq!(picture(&mut machine).len(), 64);
}

#[test]
fn an_operator_makes_parts_fail_and_work_again() {
    let (board, mut machine) = (board(), machine());
    let mut ask = |request: &SimRequest| machine.ask(&board, request);
    let part = |name: &str| Part::parse(name).unwrap();
    let fault = |name: &str, fault| SimRequest::Fault {
        part: part(name),
        fault,
        after: 0,
    };
    let set = |name: &str, value: u32| SimRequest::Set {
        part: part(name),
        values: vec![value],
    };
    let get = |name: &str| SimRequest::Get {
        part: part(name),
        count: 1,
    };
    // A line that sticks stays as it is; nobody is told of a change.
    assert!(
        ask(&fault("gpio/BUTTON", PartFault::Stuck))
            .unwrap()
            .changes
            .is_empty()
    );
    let why = ask(&set("gpio/BUTTON", 0)).unwrap_err();
    assert!(why.message.contains("is stuck"), "{why}");
    ask(&fault("gpio/BUTTON", PartFault::None)).unwrap();
    assert_eq!(
        ask(&set("gpio/BUTTON", 0)).unwrap().changes,
        [changed(1, false)]
    );
    ask(&fault("i2c/SENSORS", PartFault::Bus)).unwrap();
    ask(&fault("spi/ADC", PartFault::Broken)).unwrap();
    ask(&fault("adc/LIGHT", PartFault::Broken)).unwrap();
    for (name, wrong) in [
        ("gpio/LED", PartFault::Nak),
        ("i2c/1", PartFault::Nak),
        ("i2c/1/0x48", PartFault::Broken),
        ("spi/ADC", PartFault::Bus),
        ("adc/0", PartFault::Stuck),
        ("i2c/1/0x21", PartFault::Nak),
    ] {
        ask(&fault(name, wrong)).unwrap_err();
    }
    ask(&set("spi/ADC/8", 1)).unwrap_err();
    ask(&set("spi/LOOP", 1)).unwrap_err();
    ask(&get("i2c/1/0x3c")).unwrap_err();
    ask(&set("spi/ADC/7", 12)).unwrap();
    let told = ask(&get("spi/ADC/7")).unwrap().answer;
    assert_eq!(told, Some(SimAnswer::Values(vec![12])));
    assert_eq!(machine.i2c(0, 0x48, &[Operation::Read(1)]), Err(Fault::Bus));
    assert_eq!(machine.i2c(0, 0x20, &[Operation::Read(1)]), Err(Fault::Bus));
    assert_eq!(machine.spi(1, &[Operation::Read(1)]), None);
    assert_eq!(machine.sample(0), None);
}
