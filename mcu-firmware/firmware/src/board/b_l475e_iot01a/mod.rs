//! ST B-L475E-IOT01A: an STM32L475VG, a Cortex-M4F. A real board, and in QEMU (`qemu-system-arm -M b-l475e-iot01a`).
//!
//! Console: USART1, which the board's ST-LINK shows as a serial port (PB6, PB7); control: USART2 (PD5 and PD6, on the Pmod
//! connector); for apps: UART4 (D1 and D0 of the Arduino connector). Clock: the internal oscillator at 48 MHz, which is
//! also what the random number generator needs. Of embassy-stm32 the chip's registers and vectors are used, not its drivers: pins
//! and ports are chosen at run time here, and its `init` and its USARTs wait for registers that QEMU lacks (the lock of the
//! backup domain, the flash's latency, data registers by bytes). What QEMU does not have (flash, converter, random numbers)
//! is told by its answers, and refused. Source: ST RM0351.

mod converter;
mod flash;
mod pins;

pub(crate) use converter::{RANGE, channel, channel_label, channel_open, channel_sample};
pub(crate) use flash::{Region, flash_error};
pub(crate) use pins::{pin, pin_drive, pin_label, pin_level, pin_release, pin_set_up, pin_watch};

use cortex_m::peripheral::NVIC;
use embassy_stm32::pac::pwr::vals::Lpms;
use embassy_stm32::pac::rcc::vals::{Clk48sel, Msirange, Msirgsel};
use embassy_stm32::pac::usart;
use embassy_stm32::pac::usart::regs::Dr;
use embassy_stm32::pac::{FLASH, Interrupt, PWR, RCC, RNG, UART4, USART1, USART2};
use vyoma_component::services::{DeviceError, UartConfig};

use super::{CONTROL_IN, CONTROL_OUT, UART_RING};
use crate::console;
use crate::pins::HAPPENED;
use crate::serial::Line;

/// As in Cargo.toml.
pub(crate) const NAME: &str = "b-l475e-iot01a";

/// Architecture of the processor, as Rust's targets have it.
pub(crate) const ARCHITECTURE: &str = "thumbv7em";

/// The processor's clock, and that of all buses.
pub(crate) const CLOCK_HZ: u32 = 48_000_000;

/// Bits per second of console and control.
const BAUD: u32 = 115_200;

/// The console; nothing is read from it.
pub(crate) static CONSOLE: Line<1, { console::WAITING }> = Line::new();

/// The control line.
pub(crate) static CONTROL: Line<CONTROL_IN, CONTROL_OUT> = Line::new();

/// The serial port for apps.
pub(crate) static UART: Line<UART_RING, UART_RING> = Line::new();

/// Reads of a register until what does not come is not there: some milliseconds.
const PATIENCE: u32 = 50_000;

/// Waits until `done`, but not for ever.
fn patiently(mut done: impl FnMut() -> bool) -> Result<(), DeviceError> {
    (0..PATIENCE)
        .any(|_| done())
        .then_some(())
        .ok_or(DeviceError::HardwareFault)
}

/// Brings the board up.
pub(crate) fn init() {
    speed_up();
    RCC.ahb2enr().modify(|w| {
        w.set_gpioaen(true);
        w.set_gpioben(true);
        w.set_gpiocen(true);
        w.set_gpioden(true);
        w.set_gpioeen(true);
    });
    RCC.apb2enr().modify(|w| {
        w.set_usart1en(true);
        w.set_syscfgen(true);
    });
    RCC.apb1enr1().modify(|w| {
        w.set_usart2en(true);
        w.set_uart4en(true);
    });
    // Alternate functions: data sheet of the STM32L475, table 17.
    for (port, number, function) in [
        (b'B', 6, 7),
        (b'B', 7, 7),
        (b'D', 5, 7),
        (b'D', 6, 7),
        (b'A', 0, 8),
        (b'A', 1, 8),
    ] {
        pins::alternate(port, number, function);
    }
    open(USART1, BAUD, false);
    open(USART2, BAUD, true);
    for interrupt in [
        Interrupt::USART1,
        Interrupt::USART2,
        Interrupt::UART4,
        Interrupt::EXTI0,
        Interrupt::EXTI1,
        Interrupt::EXTI2,
        Interrupt::EXTI3,
        Interrupt::EXTI4,
        Interrupt::EXTI9_5,
        Interrupt::EXTI15_10,
    ] {
        // SAFETY: the handlers are there, and share data by critical sections only.
        unsafe { NVIC::unmask(interrupt) };
    }
}

/// From the 4 MHz of a reset to 48 MHz (RM0351, 3.3.3 and 6.2.3).
fn speed_up() {
    FLASH.acr().modify(|w| w.set_latency(2));
    // The write has arrived when it can be read. QEMU has neither this register nor such a flash.
    let _ = patiently(|| FLASH.acr().read().latency() == 2);
    RCC.cr().modify(|w| {
        w.set_msirange(Msirange::RANGE48M);
        w.set_msirgsel(Msirgsel::CR);
    });
    let _ = patiently(|| RCC.cr().read().msirdy());
    RCC.ccipr().modify(|w| w.set_clk48sel(Clk48sel::MSI));
}

fn open(uart: usart::Usart, baud: u32, receives: bool) {
    uart.cr1().write(|_| ());
    uart.brr().write(|w| w.0 = CLOCK_HZ / baud);
    uart.cr1().write(|w| {
        w.set_te(true);
        w.set_re(receives);
        w.set_rxneie(receives);
        w.set_ue(true);
    });
}

/// Gives a UART that is idle a byte: the interrupt that it is through comes at once, and for ever until it is turned off.
fn start(uart: usart::Usart, byte: u8) {
    uart.tdr().write_value(Dr(byte.into()));
    uart.cr1().modify(|w| w.set_txeie(true));
}

/// An interrupt. True: the first byte of several has come.
fn served<const IN: usize, const OUT: usize>(uart: usart::Usart, line: &Line<IN, OUT>) -> bool {
    let status = uart.isr().read();
    if status.ore() {
        uart.icr().write(|w| w.set_ore(true));
        line.lose();
    }
    let first = status.rxne() && line.received(uart.rdr().read().0 as u8);
    if status.txe() && uart.cr1().read().txeie() {
        match line.next() {
            Some(byte) => uart.tdr().write_value(Dr(byte.into())),
            None => uart.cr1().modify(|w| w.set_txeie(false)),
        }
    }
    first
}

#[unsafe(export_name = "USART1")]
extern "C" fn console_interrupt() {
    served(USART1, &CONSOLE);
}

#[unsafe(export_name = "USART2")]
extern "C" fn control_interrupt() {
    served(USART2, &CONTROL);
}

#[unsafe(export_name = "UART4")]
extern "C" fn uart_interrupt() {
    if served(UART4, &UART) {
        HAPPENED.signal(());
    }
}

/// Gives the console's UART a byte.
pub(crate) fn console_start(byte: u8) {
    start(USART1, byte);
}

/// Likewise for the control line.
pub(crate) fn control_start(byte: u8) {
    start(USART2, byte);
}

/// Likewise for the serial port.
pub(crate) fn uart_start(byte: u8) {
    start(UART4, byte);
}

/// Sends a byte of the console, with interrupts off.
pub(crate) fn console_send_now(byte: u8) {
    let _ = patiently(|| USART1.isr().read().txe());
    USART1.tdr().write_value(Dr(byte.into()));
}

/// The serial port of that number, if apps can have it: 4.
pub(crate) fn uart(name: &str) -> Result<u8, DeviceError> {
    if name == "4" || name == "UART4" {
        return Ok(4);
    }
    Err(DeviceError::NoSuchDevice)
}

/// Opens the port.
pub(crate) fn uart_open(config: UartConfig) -> Result<(), DeviceError> {
    if config != UartConfig::plain(config.baud) || !(1_200..=3_000_000).contains(&config.baud) {
        return Err(DeviceError::InvalidArgument);
    }
    UART.clear();
    open(UART4, config.baud, true);
    Ok(())
}

/// Closes it. What was written still goes out.
pub(crate) fn uart_close() {
    UART4.cr1().modify(|w| {
        w.set_re(false);
        w.set_rxneie(false);
    });
}

/// Standby: the RAM is lost, and a reset or a power-up is what ends it (RM0351, 5.3.7). Not run on a board yet: QEMU sleeps
/// like ever.
pub(crate) fn prepare_off() {
    RCC.apb1enr1().modify(|w| w.set_pwren(true));
    PWR.cr1().modify(|w| w.set_lpms(Lpms::STANDBY));
}

/// Fills `bytes` from the generator of true random numbers (RM0351, 27). In QEMU, which has none, they are as weak as on
/// mps2-an385.
pub(crate) fn random(bytes: &mut [u8]) {
    RCC.ahb2enr().modify(|w| w.set_rngen(true));
    RNG.cr().modify(|w| w.set_rngen(true));
    for bytes in bytes.chunks_mut(4) {
        if patiently(|| RNG.sr().read().drdy()).is_err() {
            super::weak_random(bytes);
            continue;
        }
        let word = RNG.dr().read().to_le_bytes();
        bytes.copy_from_slice(&word[..bytes.len()]);
    }
}
