//! Arm MPS2 with application note 385: a Cortex-M3, as QEMU emulates it (`qemu-system-arm -M mps2-an385`).
//!
//! Console: CMSDK APB UART 0; control: UART 1; for apps: UART 2. Pins: the two LEDs of the FPGA's I/O block; QEMU has no
//! others on this board. No converter, and no source of randomness. The flash with the apps is a part of the PSRAM that
//! behaves like flash. Sources: Arm DAI 0385 (memory map, interrupts), Cortex-M System Design Kit TRM, 4.3 (UART).

use alloc::format;
use alloc::string::String;

use cortex_m::peripheral::NVIC;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use vyoma_component::services::{DeviceError, PinMode, PinSetup, Range, UartConfig};
use vyoma_mcu_core::flash::Flash;

use super::{CONTROL_IN, CONTROL_OUT, UART_RING};
use crate::serial::Line;
use crate::{console, memory, pins};

/// As in Cargo.toml.
pub(crate) const NAME: &str = "mps2-an385";

/// Architecture of the processor, as Rust's targets have it.
pub(crate) const ARCHITECTURE: &str = "thumbv7m";

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
    /// STATE: a byte has come.
    const COME: u32 = 1 << 1;
    /// STATE: a byte came when the one before had not been read.
    const OVERRUN: u32 = 1 << 3;
    /// CONTROL: send, and interrupt when a byte has been sent.
    const SEND: u32 = 1 | 1 << 2;
    /// CONTROL: receive, and interrupt when a byte has come.
    const RECEIVE: u32 = 1 << 1 | 1 << 3;
    /// INTERRUPT: a byte has been sent.
    const SENT: u32 = 1;
    /// INTERRUPT: a byte has come.
    const RECEIVED: u32 = 1 << 1;

    fn read(&self, register: usize) -> u32 {
        // SAFETY: a register of the UART.
        unsafe { self.0.add(register).read_volatile() }
    }

    fn write(&self, register: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.0.add(register).write_volatile(value) }
    }

    fn start(&self, baud: u32, control: u32) {
        self.write(Self::DIVIDER, (CLOCK_HZ / baud).max(16));
        self.write(Self::CONTROL, control);
    }

    fn sent<const IN: usize, const OUT: usize>(&self, line: &Line<IN, OUT>) {
        self.write(Self::INTERRUPT, Self::SENT);
        if let Some(byte) = line.next() {
            self.write(Self::DATA, byte.into());
        }
    }

    /// Whether the first byte of several has come.
    fn received<const IN: usize, const OUT: usize>(&self, line: &Line<IN, OUT>) -> bool {
        self.write(Self::INTERRUPT, Self::RECEIVED);
        if self.read(Self::STATE) & Self::OVERRUN != 0 {
            self.write(Self::STATE, Self::OVERRUN);
            line.lose();
        }
        self.read(Self::STATE) & Self::COME != 0 && line.received(self.read(Self::DATA) as u8)
    }
}

const CONSOLE_UART: Uart = Uart(0x4000_4000 as *mut u32);
const CONTROL_UART: Uart = Uart(0x4000_5000 as *mut u32);
const APP_UART: Uart = Uart(0x4000_6000 as *mut u32);

/// Bits per second of console and control.
const BAUD: u32 = 115_200;

/// The console; nothing is read from it.
pub(crate) static CONSOLE: Line<1, { console::WAITING }> = Line::new();

/// The control line.
pub(crate) static CONTROL: Line<CONTROL_IN, CONTROL_OUT> = Line::new();

/// The serial port for apps.
pub(crate) static UART: Line<UART_RING, UART_RING> = Line::new();

/// Gives the console's UART a byte.
pub(crate) fn console_start(byte: u8) {
    CONSOLE_UART.write(Uart::DATA, byte.into());
}

/// Likewise for the control line.
pub(crate) fn control_start(byte: u8) {
    CONTROL_UART.write(Uart::DATA, byte.into());
}

/// Likewise for the serial port.
pub(crate) fn uart_start(byte: u8) {
    APP_UART.write(Uart::DATA, byte.into());
}

/// Interrupts of the board, by number; the 32 of AN385.
#[derive(Debug, Clone, Copy)]
#[repr(u16)]
enum Interrupt {
    ConsoleSent = 1,
    ControlReceived = 2,
    ControlSent = 3,
    AppReceived = 4,
    AppSent = 5,
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
    table[Interrupt::ControlReceived as usize] = control_received;
    table[Interrupt::ControlSent as usize] = control_sent;
    table[Interrupt::AppReceived as usize] = app_received;
    table[Interrupt::AppSent as usize] = app_sent;
    table
};

unsafe extern "C" fn unexpected() {
    panic!("an interrupt that nobody asked for");
}

/// Brings the board up.
pub(crate) fn init() {
    CONSOLE_UART.start(BAUD, Uart::SEND);
    CONTROL_UART.start(BAUD, Uart::SEND | Uart::RECEIVE);
    for interrupt in [
        Interrupt::ConsoleSent,
        Interrupt::ControlReceived,
        Interrupt::ControlSent,
        Interrupt::AppReceived,
        Interrupt::AppSent,
    ] {
        // SAFETY: the handlers are there, and share data by critical sections only.
        unsafe { NVIC::unmask(interrupt) };
    }
}

extern "C" fn console_sent() {
    CONSOLE_UART.sent(&CONSOLE);
}

extern "C" fn control_received() {
    CONTROL_UART.received(&CONTROL);
}

extern "C" fn control_sent() {
    CONTROL_UART.sent(&CONTROL);
}

extern "C" fn app_received() {
    if APP_UART.received(&UART) {
        pins::HAPPENED.signal(());
    }
}

extern "C" fn app_sent() {
    APP_UART.sent(&UART);
}

/// Sends a byte of the console, with interrupts off.
pub(crate) fn console_send_now(byte: u8) {
    while CONSOLE_UART.read(Uart::STATE) & Uart::FULL != 0 {}
    CONSOLE_UART.write(Uart::DATA, byte.into());
}

/// There is no flash that could say anything.
pub(crate) fn flash_error() -> u32 {
    0
}

/// There is no deeper sleep than that of the processor.
pub(crate) fn prepare_off() {}

/// Fills `bytes`. The board has no source of randomness.
pub(crate) use super::weak_random as random;

/// The part of the PSRAM that stands for flash: an erase sets bits, a write clears them, and nothing else changes one.
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

    fn place(offset: u32, byte: u8) {
        let address = memory::apps().start + offset;
        let place: *mut u8 = core::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: inside of the region (checked by the callers), which is RAM here; whoever looks at it knows that it changes
        // when the store writes.
        unsafe { place.write_volatile(byte) }
    }
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
        (from..to).for_each(|offset| Self::place(offset, 0xff));
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        check_write(self, offset, bytes.len())?;
        for (offset, byte) in (offset..).zip(bytes) {
            let before = memory::flash_bytes()[offset as usize];
            Self::place(offset, before & byte);
        }
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

/// LEDs of the FPGA's I/O block.
const LEDS: u8 = 2;

/// The pin of that label or number, if apps can have it: `LED0`, `LED1`.
pub(crate) fn pin(name: &str) -> Result<u8, DeviceError> {
    let number = name.strip_prefix("LED").unwrap_or(name);
    let pin = number.parse().ok().filter(|pin| *pin < LEDS);
    pin.ok_or(DeviceError::NoSuchDevice)
}

/// As the board labels a pin.
pub(crate) fn pin_label(pin: u8) -> String {
    format!("LED{pin}")
}

/// As the board labels a channel.
pub(crate) fn channel_label(channel: u8) -> String {
    format!("{channel}")
}

/// Sets a pin up; one that is driven is inactive.
pub(crate) fn pin_set_up(pin: u8, setup: PinSetup) -> Result<(), DeviceError> {
    if setup.mode != PinMode::Out || setup.pull.is_some() {
        // An LED can be driven, and that is all.
        return Err(DeviceError::InvalidArgument);
    }
    pin_drive(
        pin,
        setup.active == vyoma_component::services::ActiveLevel::ActiveLow,
    );
    Ok(())
}

/// Gives a pin back: dark.
pub(crate) fn pin_release(pin: u8) {
    pin_drive(pin, false);
}

/// FPGAIO LED0 (Arm DAI 0385, 4.4).
const LED_REGISTER: *mut u32 = 0x4002_8000 as *mut u32;

/// Drives a pin.
pub(crate) fn pin_drive(pin: u8, high: bool) {
    // SAFETY: a register with the LEDs and nothing else; used by the executor only.
    unsafe {
        let others = LED_REGISTER.read_volatile() & !(1 << pin);
        LED_REGISTER.write_volatile(others | u32::from(high) << pin);
    }
}

/// The level of a pin.
pub(crate) fn pin_level(pin: u8) -> bool {
    // SAFETY: a read without effects.
    unsafe { LED_REGISTER.read_volatile() & 1 << pin != 0 }
}

/// Begins to look for edges.
pub(crate) fn pin_watch(_: u8) -> Result<(), DeviceError> {
    // No LED is an input.
    Err(DeviceError::NotSupported)
}

/// The serial port of that number, if apps can have it: 2.
pub(crate) fn uart(name: &str) -> Result<u8, DeviceError> {
    if name == "2" || name == "UART2" {
        return Ok(2);
    }
    Err(DeviceError::NoSuchDevice)
}

/// Opens the port.
pub(crate) fn uart_open(config: UartConfig) -> Result<(), DeviceError> {
    if config != UartConfig::plain(config.baud) || !(300..=1_000_000).contains(&config.baud) {
        return Err(DeviceError::InvalidArgument);
    }
    UART.clear();
    APP_UART.start(config.baud, Uart::SEND | Uart::RECEIVE);
    Ok(())
}

/// Closes it. What was written still goes out.
pub(crate) fn uart_close() {
    APP_UART.write(Uart::CONTROL, Uart::SEND);
}

/// There are no analogue inputs, though the platform has some.
pub(crate) fn channel(_: &str) -> Result<u8, DeviceError> {
    Err(DeviceError::NoSuchDevice)
}

/// What the values of channels mean, if there were any.
pub(crate) const RANGE: Range = Range {
    max: 1,
    microvolts: 0,
};

/// Opens a channel.
pub(crate) fn channel_open(_: u8) -> Result<(), DeviceError> {
    Err(DeviceError::NotSupported)
}

/// Takes a sample.
pub(crate) fn channel_sample(_: u8) -> Result<u32, DeviceError> {
    Err(DeviceError::NotSupported)
}
