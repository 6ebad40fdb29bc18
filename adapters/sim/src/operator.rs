//! What an operator asks of the board from outside (`vyomactl sim`): names to places, values within what a part can have. Serial
//! lines are the server's, since the board has no memory of them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vyoma_capabilities::board::{Board, Fault, SpiPart};
use vyoma_capabilities::control::sim::{
    MAX_VALUES, Part, PartFault, PartState, SimAnswer, SimRequest,
};
use vyoma_capabilities::control::{ControlError, ErrorKind};

use crate::i2c;
use crate::machine::{Change, Machine};

/// What came of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Absent: it is done, and there is nothing to tell.
    pub answer: Option<SimAnswer>,
    /// Lines that changed by it.
    pub changes: Vec<Change>,
}

impl Told {
    fn answer(answer: SimAnswer) -> Self {
        Self {
            answer: Some(answer),
            changes: Vec::new(),
        }
    }
}

/// What was asked can't be: wrong names and values.
pub(crate) fn invalid(message: String) -> ControlError {
    let kind = ErrorKind::Invalid;
    ControlError { kind, message }
}

/// What was asked can't be now.
pub(crate) fn state(message: String) -> ControlError {
    let kind = ErrorKind::State;
    ControlError { kind, message }
}

/// Those that there are, for whoever named one that there isn't.
fn no_such(part: &Part, names: &[String]) -> ControlError {
    let there = if names.is_empty() {
        String::from("the board has none of its kind")
    } else {
        format!("expected one of {}", names.join(", "))
    };
    invalid(format!("found {part}; {there}"))
}

/// The place of the thing that has this label or number.
pub(crate) fn place<'a>(
    names: impl Iterator<Item = (String, &'a Option<String>)>,
    wanted: &str,
    part: &Part,
) -> Result<usize, ControlError> {
    let mut known = Vec::new();
    for (place, (number, label)) in names.enumerate() {
        if number == wanted || label.as_deref() == Some(wanted) {
            return Ok(place);
        }
        known.push(label.clone().unwrap_or(number));
    }
    Err(no_such(part, &known))
}

fn bus(board: &Board, name: &str, part: &Part) -> Result<usize, ControlError> {
    let names = board.i2c.iter().map(|it| (it.bus.to_string(), &it.label));
    place(names, name, part)
}

fn spi(board: &Board, name: &str, part: &Part) -> Result<usize, ControlError> {
    let names = board.spi.iter();
    let names = names.map(|it| (format!("{}.{}", it.bus, it.cs), &it.label));
    place(names, name, part)
}

fn channel(board: &Board, name: &str, part: &Part) -> Result<usize, ControlError> {
    let names = board.adc.iter();
    place(
        names.map(|it| (it.channel.to_string(), &it.label)),
        name,
        part,
    )
}

fn pin(board: &Board, name: &str, part: &Part) -> Result<(usize, u32), ControlError> {
    board.pin(name).ok_or_else(|| {
        let labels = board.gpio.iter().flat_map(|chip| chip.labels.keys());
        no_such(part, &labels.cloned().collect::<Vec<_>>())
    })
}

impl Machine {
    fn slave(
        &mut self,
        board: &Board,
        part: &Part,
        name: &str,
        address: u8,
    ) -> Result<&mut i2c::Slave, ControlError> {
        let place = bus(board, name, part)?;
        let known = &self.buses[place].devices;
        let known: Vec<String> = known
            .iter()
            .map(|it| format!("{:#04x}", it.address))
            .collect();
        self.device(place, address.into())
            .ok_or_else(|| no_such(part, &known))
    }

    /// Does what is asked of everything but serial lines.
    pub fn ask(&mut self, board: &Board, request: &SimRequest) -> Result<Told, ControlError> {
        match request {
            SimRequest::List => Ok(Told::answer(SimAnswer::Parts(self.list(board)))),
            SimRequest::Get { part, count } => {
                let values = self.get(board, part, *count)?;
                Ok(Told::answer(SimAnswer::Values(values)))
            }
            SimRequest::Set { part, values } => self.set(board, part, values),
            SimRequest::Fault { part, fault, after } => self.fail(board, part, *fault, *after),
            SimRequest::Picture { part } => match part {
                Part::I2c { bus, address, .. } => {
                    match &self.slave(board, part, bus, *address)?.part {
                        i2c::Part::Display(display) => {
                            Ok(Told::answer(SimAnswer::Picture(display.picture())))
                        }
                        i2c::Part::Registers(_) => Err(no_picture(part)),
                    }
                }
                other => Err(no_picture(other)),
            },
            SimRequest::Say { part, .. } | SimRequest::Hear { part } => Err(invalid(format!(
                "found {part}; expected a serial port, such as uart/0"
            ))),
        }
    }

    fn get(&mut self, board: &Board, part: &Part, count: u32) -> Result<Vec<u32>, ControlError> {
        let count = count as usize;
        if !(1..=MAX_VALUES).contains(&count) {
            let expected = format!("found {count} values; expected 1 to {MAX_VALUES}");
            return Err(invalid(expected));
        }
        match part {
            Part::Pin { name } => {
                let (chip, line) = pin(board, name, part)?;
                let level = self.line(chip, line).is_some_and(|line| line.level());
                Ok(alloc::vec![level.into()])
            }
            Part::I2c {
                bus,
                address,
                register,
            } => match &self.slave(board, part, bus, *address)?.part {
                i2c::Part::Registers(file) => {
                    let bytes = file.get(*register, count).into_iter();
                    Ok(bytes.map(u32::from).collect())
                }
                i2c::Part::Display(_) => Err(invalid(format!(
                    "{part} is a display; expected sim picture {part}"
                ))),
            },
            Part::Spi { device, value } => {
                let slave = &self.parts[spi(board, device, part)?];
                let all: &[u16] = match &slave.part {
                    SpiPart::Mcp3008(values) => values,
                    SpiPart::Max31855(values) => values,
                    SpiPart::Mcp4921 { .. } => &[slave.output],
                    SpiPart::Loopback | SpiPart::Broken => &[],
                };
                let from = all.get(usize::from(*value)..).unwrap_or_default();
                if from.is_empty() {
                    return Err(invalid(format!("{part}: found none; {}", has(all.len()))));
                }
                Ok(from.iter().take(count).copied().map(u32::from).collect())
            }
            Part::Adc { channel: name } => Ok(alloc::vec![
                self.channels[channel(board, name, part)?].value
            ]),
            Part::Bus { .. } | Part::Uart { .. } => Err(no_values(part)),
        }
    }

    fn set(&mut self, board: &Board, part: &Part, values: &[u32]) -> Result<Told, ControlError> {
        if !(1..=MAX_VALUES).contains(&values.len()) {
            let found = values.len();
            let expected = format!("found {found} values; expected 1 to {MAX_VALUES}");
            return Err(invalid(expected));
        }
        // At most this many, each at most so large.
        let check = |count: usize, most: u32| {
            if values.len() > count {
                let found = values.len();
                return Err(invalid(format!(
                    "{part}: found {found} values; {}",
                    has(count)
                )));
            }
            match values.iter().find(|value| **value > most) {
                Some(value) => Err(invalid(format!(
                    "{part}: found {value}; expected 0 to {most}"
                ))),
                None => Ok(()),
            }
        };
        match part {
            Part::Pin { name } => {
                check(1, 1)?;
                let (chip, line) = pin(board, name, part)?;
                let state_of = self.line(chip, line).cloned().unwrap_or_default();
                if state_of.output.is_some() {
                    return Err(state(format!(
                        "{part} is driven, by an app or to its safe state; expected an input, or sim get"
                    )));
                }
                if state_of.stuck || state_of.broken {
                    let fault = if state_of.broken { "broken" } else { "stuck" };
                    return Err(state(format!("{part} is {fault}; see sim fault")));
                }
                let changes = self.drive(chip, line, values == [1]);
                Ok(Told {
                    answer: None,
                    changes: changes.unwrap_or_default(),
                })
            }
            Part::I2c {
                bus,
                address,
                register,
            } => {
                check(MAX_VALUES, 0xff)?;
                let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
                match &mut self.slave(board, part, bus, *address)?.part {
                    i2c::Part::Registers(file) => file.put(*register, &bytes),
                    i2c::Part::Display(_) => return Err(no_values(part)),
                }
                Ok(Told::default())
            }
            Part::Spi { device, value } => {
                let (all, most): (&mut [u16], _) =
                    match &mut self.parts[spi(board, device, part)?].part {
                        SpiPart::Mcp3008(values) => (values, 0x3ff),
                        SpiPart::Max31855(values) => (values, 0x3fff),
                        SpiPart::Mcp4921 { .. } => {
                            return Err(state(format!(
                                "{part} is driven by an app; expected sim get"
                            )));
                        }
                        SpiPart::Loopback | SpiPart::Broken => return Err(no_values(part)),
                    };
                let from = all.get_mut(usize::from(*value)..).unwrap_or_default();
                check(from.len(), most)?;
                for (place, value) in from.iter_mut().zip(values) {
                    *place = *value as u16;
                }
                Ok(Told::default())
            }
            Part::Adc { channel: name } => {
                let channel = &mut self.channels[channel(board, name, part)?];
                check(1, channel.max)?;
                channel.value = values[0];
                Ok(Told::default())
            }
            Part::Bus { .. } | Part::Uart { .. } => Err(no_values(part)),
        }
    }

    fn fail(
        &mut self,
        board: &Board,
        part: &Part,
        fault: PartFault,
        after: u32,
    ) -> Result<Told, ControlError> {
        let wrong = |expected: &str| {
            let found = fault.name();
            invalid(format!(
                "{part}: found {found}; expected none or {expected}"
            ))
        };
        if after > 0 && !matches!(part, Part::I2c { .. }) {
            return Err(invalid(format!(
                "{part}: found a fault after {after} transfers; expected a device on an I2C bus"
            )));
        }
        match part {
            Part::Pin { name } => {
                if !matches!(
                    fault,
                    PartFault::None | PartFault::Stuck | PartFault::Broken
                ) {
                    return Err(wrong("stuck or broken"));
                }
                let (chip, line) = pin(board, name, part)?;
                let changes = self.change(chip, line, |line| {
                    // A line that sticks stays as it is; one that doesn't any more is as it is driven.
                    let level = line.level();
                    line.stuck = fault == PartFault::Stuck;
                    line.broken = fault == PartFault::Broken;
                    if line.stuck {
                        line.hold(level);
                    }
                });
                return Ok(Told {
                    answer: None,
                    changes,
                });
            }
            Part::Bus { name } => {
                let place = bus(board, name, part)?;
                self.buses[place].fault = match fault {
                    PartFault::None => None,
                    PartFault::Bus => Some(Fault::Bus),
                    PartFault::Timeout => Some(Fault::Timeout),
                    PartFault::Arbitration => Some(Fault::Arbitration),
                    _ => return Err(wrong("bus, timeout or arbitration")),
                };
            }
            Part::I2c { bus, address, .. } => {
                let slave = self.slave(board, part, bus, *address)?;
                slave.fault = match fault {
                    PartFault::None => None,
                    PartFault::Nak => Some(Fault::Nak),
                    PartFault::NakData => Some(Fault::NakData),
                    PartFault::Bus => Some(Fault::Bus),
                    PartFault::Timeout => Some(Fault::Timeout),
                    PartFault::Arbitration => Some(Fault::Arbitration),
                    PartFault::Stuck | PartFault::Broken => {
                        return Err(wrong("nak, nak-data, bus, timeout or arbitration"));
                    }
                };
                slave.after = after;
            }
            Part::Spi { device, .. } => {
                self.parts[spi(board, device, part)?].broken =
                    broken(fault).ok_or_else(|| wrong("broken"))?;
            }
            Part::Adc { channel: name } => {
                self.channels[channel(board, name, part)?].broken =
                    broken(fault).ok_or_else(|| wrong("broken"))?;
            }
            // The server's.
            Part::Uart { .. } => return Err(no_values(part)),
        }
        Ok(Told::default())
    }

    /// Everything that has a name.
    fn list(&mut self, board: &Board) -> Vec<PartState> {
        let mut list = Vec::new();
        let mut add = |part: String, kind: &str, value: String, fault: PartFault| {
            list.push(PartState {
                part,
                kind: kind.to_string(),
                value,
                fault,
            });
        };
        for (place, chip) in board.gpio.iter().enumerate() {
            for (label, line) in &chip.labels {
                let Some(line) = self.line(place, *line) else {
                    continue;
                };
                let level = if line.level() { "high" } else { "low" };
                let driven = line.output.map_or("", |_| ", driven");
                let fault = match (line.broken, line.stuck) {
                    (true, _) => PartFault::Broken,
                    (false, true) => PartFault::Stuck,
                    (false, false) => PartFault::None,
                };
                let name = label.clone();
                let part = Part::Pin { name }.to_string();
                add(part, "pin", format!("{level}{driven}"), fault);
            }
        }
        for (bus, state) in board.i2c.iter().zip(&self.buses) {
            let name = bus.label.clone().unwrap_or_else(|| bus.bus.to_string());
            for slave in &state.devices {
                let part = Part::I2c {
                    bus: name.clone(),
                    address: slave.address,
                    register: 0,
                };
                let (kind, value) = match &slave.part {
                    i2c::Part::Registers(_) => ("registers", ""),
                    i2c::Part::Display(display) if display.status() == 0 => ("display", "on"),
                    i2c::Part::Display(_) => ("display", "off"),
                };
                let value = match slave.after {
                    0 => value.to_string(),
                    after if slave.fault.is_some() => format!("{after} transfers still work"),
                    _ => value.to_string(),
                };
                let fault = named(slave.fault);
                add(part.to_string(), kind, value, fault);
            }
            let value = format!("{} devices", state.devices.len());
            let part = Part::Bus { name }.to_string();
            add(part, "bus", value, named(state.fault));
        }
        for (device, slave) in board.spi.iter().zip(&self.parts) {
            let number = format!("{}.{}", device.bus, device.cs);
            let part = Part::Spi {
                device: device.label.clone().unwrap_or(number),
                value: 0,
            };
            let join = |values: &[u16]| {
                let words: Vec<String> = values.iter().map(ToString::to_string).collect();
                words.join(" ")
            };
            let (kind, value) = match &slave.part {
                SpiPart::Loopback => ("loopback", String::new()),
                SpiPart::Mcp3008(values) => ("mcp3008", join(values)),
                SpiPart::Max31855(values) => ("max31855", join(values)),
                SpiPart::Mcp4921 { .. } => ("mcp4921", slave.output.to_string()),
                SpiPart::Broken => ("nothing", String::new()),
            };
            add(part.to_string(), kind, value, broken_as(slave.broken));
        }
        for (channel, state) in board.adc.iter().zip(&self.channels) {
            let number = channel.channel.to_string();
            let part = Part::Adc {
                channel: channel.label.clone().unwrap_or(number),
            };
            let value = format!("{} of {}", state.value, state.max);
            add(part.to_string(), "channel", value, broken_as(state.broken));
        }
        list
    }
}

fn no_values(part: &Part) -> ControlError {
    invalid(format!(
        "{part} has no values; expected a pin, registers, a converter or a channel: see sim list"
    ))
}

fn no_picture(part: &Part) -> ControlError {
    invalid(format!(
        "{part} shows nothing; expected a display: see sim list"
    ))
}

fn has(count: usize) -> String {
    match count {
        0 => String::from("it has none"),
        1 => String::from("expected 1"),
        more => format!("expected at most {more}"),
    }
}

/// None: it can't have this fault.
pub(crate) fn broken(fault: PartFault) -> Option<bool> {
    match fault {
        PartFault::None => Some(false),
        PartFault::Broken => Some(true),
        _ => None,
    }
}

pub(crate) fn broken_as(broken: bool) -> PartFault {
    if broken {
        PartFault::Broken
    } else {
        PartFault::None
    }
}

fn named(fault: Option<Fault>) -> PartFault {
    match fault {
        None => PartFault::None,
        Some(Fault::Nak) => PartFault::Nak,
        Some(Fault::NakData) => PartFault::NakData,
        Some(Fault::Bus) => PartFault::Bus,
        Some(Fault::Timeout) => PartFault::Timeout,
        Some(Fault::Arbitration) => PartFault::Arbitration,
    }
}
