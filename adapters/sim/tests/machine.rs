//! The simulated board by itself: wires, register files, the converter, faults.

use vyoma_capabilities::board::{BUILTIN, Board, Fault, parse};
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
