//! Parts behind a chip select, seen byte by byte: what comes back while a byte goes out.

use alloc::vec::Vec;

use vyoma_capabilities::board::SpiPart;

use crate::wire::Operation;

/// A part.
#[derive(Debug)]
pub(crate) struct Slave {
    pub(crate) part: SpiPart,
    pub(crate) broken: bool,
    /// What an MCP4921 was set to.
    pub(crate) output: u16,
}

impl Slave {
    pub(crate) fn new(part: Option<SpiPart>) -> Self {
        let part = part.unwrap_or(SpiPart::Loopback);
        Self {
            broken: part == SpiPart::Broken,
            part,
            output: 0,
        }
    }

    /// One transaction; none when the part is broken.
    pub(crate) fn transfer(&mut self, operations: &[Operation]) -> Option<Vec<Vec<u8>>> {
        if self.broken {
            return None;
        }
        // Everything that goes out while chip select is asserted, in one row.
        let mut sent: Vec<u8> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Read(length) => sent.resize(sent.len() + *length as usize, 0),
                Operation::Write(bytes) | Operation::Transfer(bytes) => sent.extend(bytes),
            }
        }
        let back = match &self.part {
            SpiPart::Loopback => sent,
            SpiPart::Mcp3008(values) => mcp3008(values, &sent),
            SpiPart::Max31855(values) => max31855(*values, sent.len()),
            SpiPart::Mcp4921 { .. } => {
                if let [high, low] = sent[..] {
                    mcp4921(&mut self.output, u16::from_be_bytes([high, low]));
                }
                alloc::vec![0; sent.len()]
            }
            SpiPart::Broken => return None,
        };
        let mut read = Vec::new();
        let mut at = 0;
        for operation in operations {
            let length = match operation {
                Operation::Read(length) => *length as usize,
                Operation::Write(bytes) => {
                    at += bytes.len();
                    continue;
                }
                Operation::Transfer(bytes) => bytes.len(),
            };
            read.push(back[at..at + length].to_vec());
            at += length;
        }
        Some(read)
    }
}

/// MCP3008 data sheet (DS21295), section 5: a start bit, single/differential, three bits of channel; one clock of sampling, a
/// null bit, then ten bits, the largest first.
fn mcp3008(values: &[u16; 8], sent: &[u8]) -> Vec<u8> {
    let mut back = alloc::vec![0_u8; sent.len()];
    let bit = |index: usize| sent[index / 8] >> (7 - index % 8) & 1;
    let bits = sent.len() * 8;
    let Some(start) = (0..bits).find(|index| bit(*index) == 1) else {
        return back;
    };
    if start + 4 >= bits {
        return back;
    }
    let channel = (2..=4).fold(0, |channel, offset| {
        channel << 1 | usize::from(bit(start + offset))
    });
    let single = bit(start + 1) == 1;
    // A differential pair gives the difference, and never less than zero.
    let value = if single {
        values[channel]
    } else {
        values[channel].saturating_sub(values[channel ^ 1])
    };
    for place in 0..10 {
        let index = start + 7 + place;
        if index < bits && value >> (9 - place) & 1 == 1 {
            back[index / 8] |= 1 << (7 - index % 8);
        }
    }
    back
}

/// MAX31855 data sheet (19-5793), table 2: 14 bits of the thermocouple, a reserved bit, a fault bit, 12 bits of the chip itself, a
/// reserved bit and three fault bits; after them zeroes.
fn max31855([thermocouple, internal]: [u16; 2], length: usize) -> Vec<u8> {
    let word = u32::from(thermocouple & 0x3fff) << 18 | u32::from(internal & 0x0fff) << 4;
    let mut back = word.to_be_bytes().to_vec();
    back.resize(length, 0);
    back
}

/// MCP4921 data sheet (DS21897), register 5-1: bit 15 set is no write, bit 12 clear switches the output off; twelve bits of value.
fn mcp4921(output: &mut u16, word: u16) {
    if word & 0x8000 == 0 {
        *output = if word & 0x1000 == 0 { 0 } else { word & 0x0fff };
    }
}
