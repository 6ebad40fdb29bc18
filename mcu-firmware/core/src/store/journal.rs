//! The directory: two banks of sectors, of which one holds what is true.
//!
//! A bank is a head and then records, each the last word about its app. A change is one more record, whole or not there: that
//! is the commit of everything that the store does. When a bank is full, what is true is written into the other one,
//! and that one's head last; the head with the higher generation counts.
//!
//! Nothing is appended to a bank that an earlier run of the device wrote: where its last write ended, a power failure may
//! have left a word that reads as erased and is not. So the first change after a boot goes to the other bank, too.

use super::record::{CRC, RECORD, Record};
use super::{StoreError, verified};
use crate::flash::Flash;

/// Least bytes of a bank: 21 records, so that even with every app there a dozen changes come before the next erase.
const BANK: u32 = 2048;
/// Bytes of a head: a multiple of every word that flash is written in.
const HEAD: usize = 32;
/// What a head starts with; the last letter is the version of the format.
const MAGIC: [u8; 8] = *b"VYOMAFS1";
/// Bytes of a head in front of its check sum.
const COVERED: usize = HEAD - 4;

/// Where the directory stands.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    /// Which bank counts: 0 or 1; absent: none, the region is new.
    active: Option<u32>,
    /// Generation of that bank.
    generation: u32,
    /// Offset of the next record in it; `None`: the next change goes to the other bank.
    tail: Option<u32>,
    /// What is in flash may differ from what is known: of an earlier run, or after a write that failed.
    doubtful: bool,
}

impl Journal {
    /// Bytes of one bank: whole sectors.
    pub(super) const fn bank<F: Flash>() -> u32 {
        BANK.next_multiple_of(F::ERASE_SIZE as u32)
    }

    /// Finds the bank that counts.
    pub(super) fn open<F: Flash>(flash: &F) -> Self {
        let [one, two] = [0, 1].map(|bank| generation(flash, bank));
        let newest = match (one, two) {
            // Generations that went past the highest number are compared by their distance.
            (Some(one), Some(two)) if (two.wrapping_sub(one) as i32) > 0 => Some((1, two)),
            (Some(one), _) => Some((0, one)),
            (None, Some(two)) => Some((1, two)),
            (None, None) => None,
        };
        Self {
            active: newest.map(|(bank, _)| bank),
            generation: newest.map_or(0, |(_, generation)| generation),
            tail: None,
            doubtful: newest.is_some(),
        }
    }

    /// How many records a bank holds.
    pub(super) const fn count<F: Flash>() -> u32 {
        (Self::bank::<F>() - HEAD as u32) / RECORD as u32
    }

    /// The `index`-th record of the bank that counts. `None` where none was written, or a power failure left it unfinished.
    pub(super) fn record<F: Flash>(&self, flash: &F, index: u32) -> Option<Record> {
        let offset = self.active? * Self::bank::<F>() + HEAD as u32 + index * RECORD as u32;
        // A copy: a word that a power failure tore may read as another one each time, and what was summed is what is used.
        let bytes: [u8; RECORD] = flash.view(offset, RECORD as u32)?.try_into().ok()?;
        Record::decode(&bytes)
    }

    /// Whether the flash may hold another truth than the one that is known here.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Puts one more record behind the others, if there is room.
    pub(super) fn append<F: Flash>(
        &mut self,
        flash: &mut F,
        record: &Record,
    ) -> Result<bool, StoreError> {
        let (Some(bank), Some(at)) = (self.active, self.tail) else {
            return Ok(false);
        };
        if at + RECORD as u32 > (bank + 1) * Self::bank::<F>() {
            return Ok(false);
        }
        // Should it fail, this place has been used, and nobody knows what is there.
        self.tail = None;
        self.doubtful = true;
        verified(flash, at, &record.encode())?;
        self.tail = Some(at + RECORD as u32);
        self.doubtful = false;
        Ok(true)
    }

    /// Writes the other bank with these records, and makes it the one that counts.
    pub(super) fn rewrite<F: Flash>(
        &mut self,
        flash: &mut F,
        records: impl Iterator<Item = Record>,
    ) -> Result<(), StoreError> {
        let bank = self.active.map_or(0, |bank| 1 - bank);
        let start = bank * Self::bank::<F>();
        let end = start + Self::bank::<F>();
        self.tail = None;
        self.doubtful = true;
        flash.erase(start, end).map_err(|_| StoreError::Flash)?;
        let mut at = start + HEAD as u32;
        for record in records {
            verified(flash, at, &record.encode())?;
            at += RECORD as u32;
        }
        let generation = self.generation.wrapping_add(1);
        verified(flash, start, &head(generation))?;
        *self = Self {
            active: Some(bank),
            generation,
            tail: Some(at),
            doubtful: false,
        };
        Ok(())
    }
}

fn head(generation: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&generation.to_le_bytes());
    let sum = CRC.checksum(&head[..COVERED]);
    head[COVERED..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// The generation of a bank with a good head.
fn generation<F: Flash>(flash: &F, bank: u32) -> Option<u32> {
    let bytes: [u8; HEAD] = flash
        .view(bank * Journal::bank::<F>(), HEAD as u32)?
        .try_into()
        .ok()?;
    let generation = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    (bytes == head(generation)).then_some(generation)
}
