//! What flash with error correction says of a word that can't be read, and what that means (STM32L4: RM0351, 3.3.2 and 3.7.8).
//!
//! Power that fails while a double word is written can leave one in which two bits are wrong. Reading it gives some value, a
//! note in the register ECCR, and an NMI, which nothing can mask. Among the apps' bytes that is no fault of the firmware's: whoever
//! reads them checks them (records and manifests have a CRC-32, components their SHA-256) and finds them wrong. But an app that runs
//! reads its component unchecked, where it was right at boot; so it ends.

use core::ops::Range;

/// Where the flash begins, and each of its two banks' bytes (STM32L475VG).
const FLASH: u32 = 0x0800_0000;
const BANK: u32 = 512 * 1024;

/// ECCR: address in its bank.
const ADDRESS: u32 = 0x0007_ffff;
/// ECCR: in the second bank.
const SECOND_BANK: u32 = 1 << 19;
/// ECCR: in system memory, which is not ours.
const SYSTEM: u32 = 1 << 20;
/// ECCR: two errors were detected, and nothing was corrected. Writing it clears it.
pub const DETECTED: u32 = 1 << 31;

/// What an NMI means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A word of the apps' flash, read by the firmware, which checks what it reads: go on.
    GoOn,
    /// Such a word, while an app runs: end the app.
    EndApp,
    /// A word of the firmware itself, or no word at all: it can't go on.
    Crash,
}

/// Judges the register as it is after an NMI. `apps` are the addresses of the apps' flash; `in_app`: an app was running.
pub fn judge(eccr: u32, apps: &Range<u32>, in_app: bool) -> Verdict {
    if eccr & DETECTED == 0 || eccr & SYSTEM != 0 {
        return Verdict::Crash;
    }
    let bank = if eccr & SECOND_BANK == 0 { 0 } else { BANK };
    let address = FLASH + bank + (eccr & ADDRESS);
    match (apps.contains(&address), in_app) {
        (true, true) => Verdict::EndApp,
        (true, false) => Verdict::GoOn,
        (false, _) => Verdict::Crash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the linker script of b-l475e-iot01a has it.
    const APPS: Range<u32> = 0x0808_0000..0x0810_0000;

    #[test]
    fn a_torn_word_among_the_apps_bytes_is_survived() {
        for offset in [0, 8, 0x1008, 0x7_fff8] {
            let eccr = DETECTED | SECOND_BANK | offset;
            assert_eq!(judge(eccr, &APPS, false), Verdict::GoOn);
            assert_eq!(judge(eccr, &APPS, true), Verdict::EndApp);
        }
    }

    #[test]
    fn a_word_of_the_firmware_that_cannot_be_read_is_the_end_whoever_runs() {
        for in_app in [false, true] {
            assert_eq!(judge(DETECTED | 0x1000, &APPS, in_app), Verdict::Crash);
            // Apps' flash that is only a part of the second bank.
            let upper = 0x080c_0000..0x0810_0000;
            let eccr = DETECTED | SECOND_BANK | 0x1000;
            assert_eq!(judge(eccr, &upper, in_app), Verdict::Crash);
        }
    }

    #[test]
    fn an_nmi_that_the_flash_knows_nothing_of_is_the_end() {
        /// An error that was corrected: no reason for an NMI.
        const CORRECTED: u32 = 1 << 30;
        for eccr in [0, SECOND_BANK | 8, CORRECTED | SECOND_BANK | 8] {
            assert_eq!(judge(eccr, &APPS, false), Verdict::Crash);
        }
        let system = DETECTED | SYSTEM | SECOND_BANK;
        assert_eq!(judge(system, &APPS, false), Verdict::Crash);
    }
}
