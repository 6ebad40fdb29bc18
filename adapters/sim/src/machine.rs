//! The board itself: every device and what was done to it. Pure; called by the server, and by tests.

use alloc::vec::Vec;

use vyoma_capabilities::board::{Board, Fault, SpiPart};

use crate::i2c::{self, Part};
use crate::spi;
use crate::wire::Operation;

/// A simulated board.
#[derive(Debug)]
pub struct Machine {
    chips: Vec<Chip>,
    pub(crate) buses: Vec<Bus>,
    pub(crate) parts: Vec<spi::Slave>,
    pub(crate) channels: Vec<Channel>,
}

#[derive(Debug)]
pub(crate) struct Bus {
    pub(crate) devices: Vec<i2c::Slave>,
    /// Of the bus itself: nobody on it can be reached.
    pub(crate) fault: Option<Fault>,
}

#[derive(Debug)]
struct Chip {
    lines: Vec<Line>,
    wires: Vec<(u32, u32)>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    /// What drives it from outside.
    outside: bool,
    /// What the app drives.
    pub(crate) output: Option<bool>,
    pub(crate) stuck: bool,
    pub(crate) broken: bool,
}

impl Line {
    pub(crate) fn level(&self) -> bool {
        if self.stuck {
            self.outside
        } else {
            self.output.unwrap_or(self.outside)
        }
    }

    /// Has that level from outside.
    pub(crate) fn hold(&mut self, high: bool) {
        self.outside = high;
    }
}

#[derive(Debug)]
pub(crate) struct Channel {
    /// Its number on the board.
    number: u32,
    pub(crate) value: u32,
    /// The largest value.
    pub(crate) max: u32,
    pub(crate) broken: bool,
}

/// A line whose level changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Place of its chip on the board.
    pub chip: usize,
    /// The line.
    pub line: u32,
    /// Whether it is high now.
    pub high: bool,
}

impl Machine {
    /// A board as its file describes it.
    pub fn new(board: &Board) -> Self {
        let chips = board.gpio.iter().map(|chip| {
            let mut lines = alloc::vec![Line::default(); chip.lines as usize];
            let mut mark = |list: &[u32], mark: fn(&mut Line)| {
                for line in list {
                    lines.get_mut(*line as usize).map(mark);
                }
            };
            mark(&chip.high, |line| line.outside = true);
            mark(&chip.stuck, |line| line.stuck = true);
            mark(&chip.broken, |line| line.broken = true);
            let wires = chip.wires.clone();
            Chip { lines, wires }
        });
        let buses = board.i2c.iter().map(|bus| Bus {
            devices: bus.devices.iter().map(i2c::Slave::new).collect(),
            fault: None,
        });
        Self {
            chips: chips.collect(),
            buses: buses.collect(),
            parts: board
                .spi
                .iter()
                .map(|device| spi::Slave::new(device.part.clone()))
                .collect(),
            channels: board
                .adc
                .iter()
                .map(|channel| Channel {
                    number: channel.channel,
                    value: channel.value,
                    max: channel.max(),
                    broken: channel.broken,
                })
                .collect(),
        }
    }

    pub(crate) fn line(&mut self, chip: usize, line: u32) -> Option<&mut Line> {
        self.chips.get_mut(chip)?.lines.get_mut(line as usize)
    }

    /// Whether a line is high; none when it can't be reached.
    pub fn level(&mut self, chip: usize, line: u32) -> Option<bool> {
        self.line(chip, line)
            .filter(|line| !line.broken)
            .map(|line| line.level())
    }

    /// What an app drives a line to; none when it does not.
    pub fn output(&mut self, chip: usize, line: u32) -> Option<bool> {
        self.line(chip, line)?.output
    }

    /// An app drives a line, or lets go of it. The lines that changed by it; none when it can't be reached.
    pub fn set_output(
        &mut self,
        chip: usize,
        line: u32,
        output: Option<bool>,
    ) -> Option<Vec<Change>> {
        if self.line(chip, line)?.broken {
            return None;
        }
        Some(self.change(chip, line, |line| line.output = output))
    }

    /// Something outside drives a line. The lines that changed by it; none when there is no such line.
    pub fn drive(&mut self, chip: usize, line: u32, high: bool) -> Option<Vec<Change>> {
        self.line(chip, line)?;
        Some(self.change(chip, line, |line| {
            if !line.stuck {
                line.outside = high;
            }
        }))
    }

    /// Changes a line and what hangs on it. Wires that go in a circle end where nothing changes any more.
    pub(crate) fn change(
        &mut self,
        chip: usize,
        line: u32,
        change: impl Fn(&mut Line),
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        let Some(target) = self.line(chip, line) else {
            return changes;
        };
        let before = target.level();
        change(target);
        let high = target.level();
        if before == high {
            return changes;
        }
        changes.push(Change { chip, line, high });
        let wired: Vec<u32> = self.chips[chip]
            .wires
            .iter()
            .filter(|(from, _)| *from == line)
            .map(|(_, to)| *to)
            .collect();
        for to in wired {
            if changes.iter().all(|change| change.line != to) {
                changes.extend(self.drive(chip, to, high).unwrap_or_default());
            }
        }
        changes
    }

    /// A transaction on an I2C bus.
    pub fn i2c(
        &mut self,
        bus: usize,
        address: u16,
        operations: &[Operation],
    ) -> Result<Vec<Vec<u8>>, Fault> {
        if let Some(fault) = self.buses.get(bus).and_then(|bus| bus.fault) {
            return Err(fault);
        }
        self.device(bus, address)
            .ok_or(Fault::Nak)?
            .transfer(operations)
    }

    pub(crate) fn device(&mut self, bus: usize, address: u16) -> Option<&mut i2c::Slave> {
        self.buses
            .get_mut(bus)?
            .devices
            .iter_mut()
            .find(|device| u16::from(device.address) == address)
    }

    /// Writes bytes into a device's registers; false when there is no such device, or it has none.
    pub fn set_registers(&mut self, bus: usize, address: u16, register: u8, bytes: &[u8]) -> bool {
        match self.device(bus, address).map(|device| &mut device.part) {
            Some(Part::Registers(file)) => {
                file.put(register, bytes);
                true
            }
            _ => false,
        }
    }

    /// Makes a device fail at once, or work again; false when there is no such device.
    pub fn set_fault(&mut self, bus: usize, address: u16, fault: Option<Fault>) -> bool {
        let device = self.device(bus, address);
        device
            .map(|device| {
                device.fault = fault;
                device.after = 0;
            })
            .is_some()
    }

    /// A transaction on an SPI bus; none when the device does not work.
    pub fn spi(&mut self, device: usize, operations: &[Operation]) -> Option<Vec<Vec<u8>>> {
        let slave = self.parts.get_mut(device)?;
        let read = slave.transfer(operations)?;
        if let SpiPart::Mcp4921 {
            feeds: Some(number),
        } = slave.part
        {
            let output = slave.output;
            let mut channels = self.channels.iter_mut();
            if let Some(channel) = channels.find(|channel| channel.number == number) {
                // Twelve bits of one range are as many of the other.
                let value = u64::from(output) * u64::from(channel.max) / 0xfff;
                channel.value = value as u32;
            }
        }
        Some(read)
    }

    /// A sample of a channel; none when it can't be read.
    pub fn sample(&self, channel: usize) -> Option<u32> {
        let channel = self.channels.get(channel)?;
        (!channel.broken).then_some(channel.value)
    }

    /// Sets what a channel gives; false when there is no such channel.
    pub fn set_channel(&mut self, channel: usize, value: u32) -> bool {
        let channel = self.channels.get_mut(channel);
        channel.map(|channel| channel.value = value).is_some()
    }
}
