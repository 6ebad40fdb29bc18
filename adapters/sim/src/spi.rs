//! Parts behind a chip select, seen byte by byte: what comes back while a byte goes out.

use alloc::vec::Vec;

use vyoma_capabilities::board::SpiPart;

use crate::wire::Operation;

/// One transaction; none when the part is broken.
pub(crate) fn transfer(part: &SpiPart, operations: &[Operation]) -> Option<Vec<Vec<u8>>> {
    // Everything that goes out while chip select is asserted, in one row.
    let mut sent: Vec<u8> = Vec::new();
    for operation in operations {
        match operation {
            Operation::Read(length) => sent.resize(sent.len() + *length as usize, 0),
            Operation::Write(bytes) | Operation::Transfer(bytes) => sent.extend(bytes),
        }
    }
    let back = match part {
        SpiPart::Loopback => sent,
        SpiPart::Mcp3008(values) => mcp3008(values, &sent),
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
