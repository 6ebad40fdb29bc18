//! Flash as hard to please as any: it panics at what real flash would answer with damage, and its power can be cut in the
//! middle of every word and of every sector. `vyomactl`'s tests play a device with it, too.

use std::cell::Cell;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use vyoma_mcu_core::flash::Flash;

/// What every call answers from the moment on at which the power failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PowerFailed;

impl NorFlashError for PowerFailed {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// What became of the word or sector that was being changed when the power failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Some of its bits are changed.
    Some,
    /// All of them, but the chip was not done.
    All,
    /// None of them can be seen to be.
    None,
}

impl Left {
    pub(crate) const ALL: [Self; 3] = [Self::Some, Self::All, Self::None];
}

/// Words of `WORD` bytes that are written once, sectors of `SECTOR` bytes that are erased as a whole.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedFlash<const WORD: usize, const SECTOR: usize> {
    bytes: Vec<u8>,
    /// What is read instead every other time, where that differs: see `torn`.
    others: Vec<u8>,
    /// By word: its last change was cut short in the midst of its bits, so that error correction gives it up and each reading of it
    /// another value.
    torn: Vec<bool>,
    /// How often such a word was read.
    unreadable: Cell<u64>,
    /// By word: written, or begun to be, since its sector was erased.
    written: Vec<bool>,
    /// By sector: its last erase was cut short, so it must not be written, whatever it reads as.
    weak: Vec<bool>,
    /// Changes of words and sectors so far.
    changes: u64,
    /// The change at which the power fails.
    cut: Cell<Option<(u64, Left)>>,
    failed: bool,
    random: u64,
}

/// An STM32L4's: double words with error correction, pages of 2 KiB.
pub(crate) type Stm32l4 = SimulatedFlash<8, 2048>;

impl<const WORD: usize, const SECTOR: usize> SimulatedFlash<WORD, SECTOR> {
    /// A new chip.
    pub(crate) fn new(size: usize) -> Self {
        Self::holding(vec![0xff; size])
    }

    /// A chip with something in it, of which nobody knows how it came there.
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        Self {
            written: vec![true; bytes.len() / WORD],
            weak: vec![true; bytes.len() / SECTOR],
            torn: vec![false; bytes.len() / WORD],
            unreadable: Cell::new(0),
            others: bytes.clone(),
            bytes,
            changes: 0,
            cut: Cell::new(None),
            failed: false,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// How many words were written and sectors erased so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// How often a word was read that error correction gives up: so many NMIs an STM32L4 would have had.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.get()
    }

    /// The power fails at the change that is `after` changes away: 0 is the next one.
    pub(crate) fn fail(&self, after: u64, left: Left) {
        self.cut.set(Some((self.changes + after, left)));
    }

    /// Whether the power has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// The power is back.
    pub(crate) fn restored(mut self) -> Self {
        self.cut.set(None);
        self.failed = false;
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Counts a change. The power fails in it, if anything is said.
    fn change(&mut self) -> Option<Left> {
        let number = self.changes;
        self.changes += 1;
        let left = self.cut.get().filter(|(at, _)| *at == number)?.1;
        self.failed = true;
        Some(left)
    }

    /// xorshift64: the same damage in every run.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

impl<const WORD: usize, const SECTOR: usize> ErrorType for SimulatedFlash<WORD, SECTOR> {
    type Error = PowerFailed;
}

impl<const WORD: usize, const SECTOR: usize> ReadNorFlash for SimulatedFlash<WORD, SECTOR> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerFailed> {
        check_read(self, offset, bytes.len()).unwrap();
        if self.failed {
            return Err(PowerFailed);
        }
        let at = offset as usize;
        bytes.copy_from_slice(&self.bytes[at..at + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WORD: usize, const SECTOR: usize> NorFlash for SimulatedFlash<WORD, SECTOR> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerFailed> {
        check_erase(self, from, to).unwrap();
        for sector in from as usize / SECTOR..to as usize / SECTOR {
            if self.failed {
                return Err(PowerFailed);
            }
            let cut = self.change();
            let bytes = sector * SECTOR..(sector + 1) * SECTOR;
            match cut {
                None => {
                    self.bytes[bytes.clone()].fill(0xff);
                    self.others[bytes].fill(0xff);
                    self.torn[sector * SECTOR / WORD..(sector + 1) * SECTOR / WORD].fill(false);
                    self.written[sector * SECTOR / WORD..(sector + 1) * SECTOR / WORD].fill(false);
                    self.weak[sector] = false;
                    continue;
                }
                Some(Left::Some) => {
                    for at in bytes {
                        let bits = self.random() as u8;
                        self.bytes[at] |= bits;
                        self.others[at] |= !bits;
                        self.torn[at / WORD] = true;
                    }
                }
                Some(Left::All) => {
                    self.bytes[bytes.clone()].fill(0xff);
                    self.others[bytes].fill(0xff);
                }
                Some(Left::None) => {}
            }
            self.weak[sector] = true;
        }
        if self.failed {
            Err(PowerFailed)
        } else {
            Ok(())
        }
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerFailed> {
        check_write(self, offset, bytes.len()).unwrap();
        for (index, new) in bytes.chunks(WORD).enumerate() {
            if self.failed {
                return Err(PowerFailed);
            }
            let at = offset as usize + index * WORD;
            assert!(
                !self.weak[at / SECTOR],
                "a write at {at:#x}, in a sector whose last erase was cut short or is unknown"
            );
            assert!(!self.written[at / WORD], "a second write at {at:#x}");
            self.written[at / WORD] = true;
            let cut = self.change();
            for (place, byte) in (at..).zip(new) {
                let kept = match cut {
                    None | Some(Left::All) => 0,
                    Some(Left::Some) => self.random() as u8,
                    Some(Left::None) => 0xff,
                };
                self.bytes[place] &= byte | kept;
                self.others[place] &= if cut == Some(Left::Some) {
                    byte | !kept
                } else {
                    byte | kept
                };
            }
            self.torn[at / WORD] = cut == Some(Left::Some);
        }
        if self.failed {
            Err(PowerFailed)
        } else {
            Ok(())
        }
    }
}

impl<const WORD: usize, const SECTOR: usize> Flash for SimulatedFlash<WORD, SECTOR> {
    fn view(&self, offset: u32, length: u32) -> Option<&[u8]> {
        let start = offset as usize;
        let bytes = start..start.checked_add(length as usize)?;
        let words = bytes.start / WORD..bytes.end.div_ceil(WORD);
        if self.torn.get(words)?.contains(&true) {
            self.unreadable.set(self.unreadable.get() + 1);
            if self.unreadable.get().is_multiple_of(2) {
                return self.others.get(bytes);
            }
        }
        self.bytes.get(bytes)
    }
}
