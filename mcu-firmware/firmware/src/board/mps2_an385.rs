//! Arm MPS2 with application note 385: a Cortex-M3, as QEMU emulates it (`qemu-system-arm -M mps2-an385`).
//!
//! Console: CMSDK APB UART 0. Sources: Arm DAI 0385 (memory map, interrupts), Cortex-M System Design Kit TRM, 4.3 (UART).

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::NVIC;
use embassy_time::Instant;

use crate::console;

/// As in Cargo.toml.
pub(crate) const NAME: &str = "mps2-an385";

/// The board's one clock.
pub(crate) const CLOCK_HZ: u32 = 25_000_000;

/// A CMSDK APB UART.
struct Uart(*mut u32);

impl Uart {
    const DATA: usize = 0;
    const STATE: usize = 1;
    const CONTROL: usize = 2;
    const INTERRUPT: usize = 3;
    const DIVIDER: usize = 4;

    /// STATE: the byte before has not been sent.
    const FULL: u32 = 1;
    /// CONTROL: send, and interrupt when a byte has been sent.
    const SEND: u32 = 1 | 1 << 2;
    /// INTERRUPT: a byte has been sent.
    const SENT: u32 = 1;

    fn read(&self, register: usize) -> u32 {
        // SAFETY: a register of the UART.
        unsafe { self.0.add(register).read_volatile() }
    }

    fn write(&self, register: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.0.add(register).write_volatile(value) }
    }
}

const CONSOLE: Uart = Uart(0x4000_4000 as *mut u32);

/// Bits per second of the console.
const BAUD: u32 = 115_200;

/// Interrupts of the board, by number; the 32 of AN385.
#[derive(Debug, Clone, Copy)]
#[repr(u16)]
enum Interrupt {
    ConsoleSent = 1,
}

// SAFETY: the numbers are below the number of vectors.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// The part of the vector table that is the board's.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 32] = {
    let mut table: [unsafe extern "C" fn(); 32] = [unexpected; 32];
    table[Interrupt::ConsoleSent as usize] = console_sent;
    table
};

unsafe extern "C" fn unexpected() {
    panic!("an interrupt that nobody asked for");
}

/// Brings the board up.
pub(crate) fn init() {
    CONSOLE.write(Uart::DIVIDER, CLOCK_HZ / BAUD);
    CONSOLE.write(Uart::CONTROL, Uart::SEND);
    // SAFETY: the handler is there, and shares data by critical sections only.
    unsafe { NVIC::unmask(Interrupt::ConsoleSent) };
}

extern "C" fn console_sent() {
    CONSOLE.write(Uart::INTERRUPT, Uart::SENT);
    if let Some(byte) = console::next_byte() {
        CONSOLE.write(Uart::DATA, byte.into());
    }
}

/// Sends the first byte of many.
pub(crate) fn console_send(byte: u8) {
    CONSOLE.write(Uart::DATA, byte.into());
}

/// Sends a byte, with interrupts off.
pub(crate) fn console_send_now(byte: u8) {
    while CONSOLE.read(Uart::STATE) & Uart::FULL != 0 {}
    CONSOLE.write(Uart::DATA, byte.into());
}

/// Fills `bytes`. The board has no source of randomness: these numbers differ from boot to boot by nothing but time, and are
/// not fit for secrets.
pub(crate) fn random(bytes: &mut [u8]) {
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
