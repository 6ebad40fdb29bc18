//! The boards, one module each; a build has one of them. A board gives:
//!
//! | item | what |
//! |---|---|
//! | `NAME` | as the feature of Cargo.toml and the linker script have it |
//! | `CLOCK_HZ` | the processor's clock, once `init` is through |
//! | `init` | brings up clocks and the console UART |
//! | `CONSOLE`, `CONTROL` | the lines of the console (out only) and of `vyomactl` |
//! | `console_start`, `control_start`, `uart_start` | give a UART that is idle a byte |
//! | `console_send_now` | sends a byte of the console without interrupts |
//! | `Region` | the flash with the apps, a `NorFlash` of the sectors and words that its linker script names |
//! | `random` | fills bytes |
//! | `flash_error` | what the flash says of a word that can't be read, as `vyoma_mcu_core::ecc` has it; 0: nothing. It is forgotten then |
//! | `prepare_off` | sets up the sleep that takes least; the next `wfi` begins it |
//! | `pin`, `pin_label`, `pin_set_up`, `pin_release`, `pin_drive`, `pin_level`, `pin_watch` | digital pins, by number |
//! | `uart`, `uart_open`, `uart_close`, `UART` | the serial port that apps can have |
//! | `channel`, `channel_open`, `channel_sample`, `RANGE` | analogue inputs |
//!
//! Who may use what, and whether another app has it, is not for the board to say (`apps/devices.rs`).

use core::sync::atomic::{AtomicU32, Ordering};

use embassy_time::Instant;

#[cfg(all(feature = "mps2-an385", feature = "b-l475e-iot01a"))]
compile_error!("two boards; build with one of the features mps2-an385 and b-l475e-iot01a");

#[cfg(not(any(feature = "mps2-an385", feature = "b-l475e-iot01a")))]
compile_error!("no board; build with --features mps2-an385 or --features b-l475e-iot01a");

#[cfg(feature = "b-l475e-iot01a")]
mod b_l475e_iot01a;
#[cfg(feature = "b-l475e-iot01a")]
pub(crate) use b_l475e_iot01a::*;

#[cfg(feature = "mps2-an385")]
mod mps2_an385;
#[cfg(feature = "mps2-an385")]
pub(crate) use mps2_an385::*;

/// Bytes that wait on the control line: a whole frame while the processor erases flash, and what stands around it.
pub(crate) const CONTROL_IN: usize = vyoma_mcu_core::session::LONGEST_FRAME + 16;
/// Bytes that go out on it: the session keeps the rest of a frame.
pub(crate) const CONTROL_OUT: usize = 128;
/// Bytes that wait on an app's own serial port, and bytes that go out: 20 ms at 115200 baud, two slices of another app.
pub(crate) const UART_RING: usize = 256;

/// Fills `bytes` with numbers that differ from boot to boot by nothing but time: not fit for secrets.
pub(crate) fn weak_random(bytes: &mut [u8]) {
    static STATE: AtomicU32 = AtomicU32::new(0);
    let mut state = STATE.load(Ordering::Relaxed) ^ Instant::now().as_ticks() as u32;
    for byte in bytes {
        // Weyl sequence and a mixer of MurmurHash3.
        state = state.wrapping_add(0x9e37_79b9);
        let mixed = (state ^ state >> 16).wrapping_mul(0x85eb_ca6b);
        *byte = (mixed ^ mixed >> 13) as u8;
    }
    STATE.store(state, Ordering::Relaxed);
}
