//! The second bank of the chip's flash, which holds the apps (RM0351, 3): it can be erased while code runs from the first.
//! Not run on a board yet. QEMU has the flash as ROM and no registers to it: there an erase fails at once.

use embassy_stm32::pac::FLASH;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use vyoma_mcu_core::ecc;
use vyoma_mcu_core::flash::Flash;

use crate::memory;

/// What opens the control register (RM0351, 3.3.5).
const KEYS: [u32; 2] = [0x4567_0123, 0xcdef_89ab];

/// Errors in the status register: all that an operation can end with.
const ERRORS: u32 = 0xc3fa;

/// Reads of the status until an operation is over: an erase takes 25 ms.
const PATIENCE: u32 = 2_000_000;

/// The region.
#[derive(Debug)]
pub(crate) struct Region(());

impl Region {
    /// The region.
    ///
    /// # Safety
    /// There is one at a time.
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }

    /// Opens the control register for one operation.
    fn operate(
        begin: impl FnOnce() -> Result<(), NorFlashErrorKind>,
    ) -> Result<(), NorFlashErrorKind> {
        // It is closed after a reset, and after each operation.
        if !FLASH.cr().read().lock() {
            return Err(NorFlashErrorKind::Other);
        }
        for key in KEYS {
            FLASH.keyr().write_value(key);
        }
        FLASH.sr().write(|w| w.0 = ERRORS);
        let begun = begin();
        let over = (0..PATIENCE).any(|_| !FLASH.sr().read().bsy());
        let failed = FLASH.sr().read().0 & ERRORS != 0;
        FLASH.cr().write(|w| w.set_lock(true));
        begun?;
        if !over || failed {
            return Err(NorFlashErrorKind::Other);
        }
        Ok(())
    }
}

/// What the flash says of a word that can't be read (RM0351, 3.3.2); it is forgotten then. Not run on a board yet.
pub(crate) fn flash_error() -> u32 {
    let found = FLASH.eccr().read().0;
    if found & ecc::DETECTED != 0 {
        FLASH.eccr().modify(|w| w.set_eccd(true));
    }
    found
}

/// What the caches keep of before is forgotten (RM0351, 3.3.3).
fn forget_caches() {
    FLASH.acr().modify(|w| w.set_dcen(false));
    FLASH.acr().modify(|w| w.set_dcrst(true));
    FLASH.acr().modify(|w| w.set_dcrst(false));
    FLASH.acr().modify(|w| w.set_dcen(true));
}

impl ErrorType for Region {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Region {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(&memory::flash_bytes()[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        memory::flash_bytes().len()
    }
}

impl NorFlash for Region {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = 2048;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        check_erase(self, from, to)?;
        for page in from / Self::ERASE_SIZE as u32..to / Self::ERASE_SIZE as u32 {
            Self::operate(|| {
                FLASH.cr().write(|w| {
                    w.set_per(true);
                    w.set_bker(true);
                    w.set_pnb(page as u8);
                });
                FLASH.cr().modify(|w| w.set_start(true));
                Ok(())
            })?;
        }
        forget_caches();
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        check_write(self, offset, bytes.len())?;
        let start = memory::apps().start;
        for (offset, word) in (offset..).step_by(8).zip(bytes.chunks_exact(8)) {
            let (low, high) = word.split_at(4);
            Self::operate(|| {
                FLASH.cr().write(|w| w.set_pg(true));
                let place: *mut u32 =
                    core::ptr::with_exposed_provenance_mut((start + offset) as usize);
                for (index, half) in [low, high].into_iter().enumerate() {
                    let half = half.try_into().map_err(|_| NorFlashErrorKind::NotAligned)?;
                    // SAFETY: inside of the region (checked above), aligned, and flash that is open for writing: it
                    // changes under nobody but those who know that it changes when the store writes.
                    unsafe { place.add(index).write_volatile(u32::from_le_bytes(half)) };
                }
                Ok(())
            })?;
        }
        forget_caches();
        Ok(())
    }
}

impl Flash for Region {
    fn view(&self, offset: u32, length: u32) -> Option<&[u8]> {
        memory::flash_bytes()
            .get(offset as usize..)?
            .get(..length as usize)
    }
}
