//! Digital pins: any of the ports A to E that the firmware does not use itself. Numbers count 16 to a port (PB14 is 30);
//! labels are the chip's, and the board's for its LEDs and its button.

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU8, Ordering};

use embassy_stm32::pac::gpio::{Gpio, vals};
use embassy_stm32::pac::{EXTI, SYSCFG};
use embassy_time::Instant;
use vyoma_component::services::{ActiveLevel, DeviceError, PinMode, PinSetup, PullResistor};

use crate::pins::{self, Edge};

/// Ports that the board brings out.
const PORTS: u8 = 5;

/// The firmware's own: console, control, the serial port of apps, and the debugger's.
const TAKEN: [u8; 9] = [
    number(b'A', 0),
    number(b'A', 1),
    number(b'A', 13),
    number(b'A', 14),
    number(b'B', 3),
    number(b'B', 6),
    number(b'B', 7),
    number(b'D', 5),
    number(b'D', 6),
];

/// What the board's manual calls them (UM2153).
const LABELS: [(&str, u8); 3] = [
    ("LED1", number(b'A', 5)),
    ("LED2", number(b'B', 14)),
    ("BUTTON", number(b'C', 13)),
];

/// Which pin, and one, an EXTI line is of: a line has one port at a time.
static LINES: [AtomicU8; 16] = [const { AtomicU8::new(0) }; 16];

const fn number(port: u8, pin: u8) -> u8 {
    (port - b'A') * 16 + pin
}

fn port(pin: u8) -> (Gpio, usize) {
    /// GPIOA, and from each port to the next (RM0351, 2.2.2).
    const FIRST: usize = 0x4800_0000;
    const NEXT: usize = 0x400;
    let address = FIRST + NEXT * usize::from(pin / 16);
    // SAFETY: a port's registers.
    let port = unsafe { Gpio::from_ptr(core::ptr::with_exposed_provenance_mut::<()>(address)) };
    (port, usize::from(pin % 16))
}

/// The pin of that label or number, if apps can have it.
pub(crate) fn pin(name: &str) -> Result<u8, DeviceError> {
    let labelled = LABELS.iter().find(|(label, _)| *label == name);
    let pin = match (labelled, name.as_bytes()) {
        (Some((_, pin)), _) => Some(*pin),
        (None, [b'P', port @ b'A'..=b'E', ..]) => {
            let pin = name[2..].parse().ok().filter(|pin| *pin < 16);
            pin.map(|pin| number(*port, pin))
        }
        (None, _) => name.parse().ok(),
    };
    pin.filter(|pin| *pin < PORTS * 16 && !TAKEN.contains(pin))
        .ok_or(DeviceError::NoSuchDevice)
}

/// As the chip labels a pin.
pub(crate) fn pin_label(pin: u8) -> String {
    format!("P{}{}", char::from(b'A' + pin / 16), pin % 16)
}

/// Gives a pin to a peripheral.
pub(super) fn alternate(letter: u8, pin: u8, function: u8) {
    let (port, pin) = port(number(letter, pin));
    port.afr(pin / 8).modify(|w| w.set_afr(pin % 8, function));
    port.moder()
        .modify(|w| w.set_moder(pin, vals::Moder::ALTERNATE));
}

/// Sets a pin up; one that is driven is inactive.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other boards' pins can't do everything"
)]
pub(crate) fn pin_set_up(pin: u8, setup: PinSetup) -> Result<(), DeviceError> {
    let (port, bit) = port(pin);
    let pull = match setup.pull {
        None => vals::Pupdr::FLOATING,
        Some(PullResistor::PullUp) => vals::Pupdr::PULL_UP,
        Some(PullResistor::PullDown) => vals::Pupdr::PULL_DOWN,
    };
    port.pupdr().modify(|w| w.set_pupdr(bit, pull));
    let (drain, mode) = match setup.mode {
        PinMode::In => (false, vals::Moder::INPUT),
        PinMode::Out => (false, vals::Moder::OUTPUT),
        // Open drain: it reads what somebody else pulls low.
        PinMode::InOut => (true, vals::Moder::OUTPUT),
    };
    port.otyper().modify(|w| {
        let kind = if drain {
            vals::Ot::OPEN_DRAIN
        } else {
            vals::Ot::PUSH_PULL
        };
        w.set_ot(bit, kind);
    });
    pin_drive(pin, drain || setup.active == ActiveLevel::ActiveLow);
    port.moder().modify(|w| w.set_moder(bit, mode));
    Ok(())
}

/// Gives a pin back: as after a reset, connected to nothing.
pub(crate) fn pin_release(pin: u8) {
    let (port, bit) = port(pin);
    port.moder()
        .modify(|w| w.set_moder(bit, vals::Moder::ANALOG));
    port.pupdr()
        .modify(|w| w.set_pupdr(bit, vals::Pupdr::FLOATING));
    if LINES[bit].load(Ordering::Relaxed) == pin + 1 {
        critical_section::with(|_| EXTI.imr(0).modify(|w| w.set_line(bit, false)));
        LINES[bit].store(0, Ordering::Relaxed);
    }
}

/// Drives a pin.
pub(crate) fn pin_drive(pin: u8, high: bool) {
    let (port, bit) = port(pin);
    port.bsrr().write(|w| {
        if high {
            w.set_bs(bit, true);
        } else {
            w.set_br(bit, true);
        }
    });
}

/// The level of a pin.
pub(crate) fn pin_level(pin: u8) -> bool {
    let (port, bit) = port(pin);
    port.idr().read().idr(bit) == vals::Idr::HIGH
}

/// Begins to look for edges.
pub(crate) fn pin_watch(pin: u8) -> Result<(), DeviceError> {
    let (_, line) = port(pin);
    match LINES[line].load(Ordering::Relaxed) {
        0 => {}
        taken if taken == pin + 1 => return Ok(()),
        // The line is another port's.
        _ => return Err(DeviceError::AlreadyInUse),
    }
    LINES[line].store(pin + 1, Ordering::Relaxed);
    critical_section::with(|_| {
        SYSCFG
            .exticr(line / 4)
            .modify(|w| w.set_exti(line % 4, pin / 16));
        EXTI.rtsr(0).modify(|w| w.set_line(line, true));
        EXTI.ftsr(0).modify(|w| w.set_line(line, true));
        EXTI.pr(0).write(|w| w.set_line(line, true));
        EXTI.imr(0).modify(|w| w.set_line(line, true));
    });
    Ok(())
}

/// Edges of all lines. Two that come before the first was seen are one.
fn edges() {
    let pending = EXTI.pr(0).read().0 & EXTI.imr(0).read().0 & 0xffff;
    EXTI.pr(0).write(|w| w.0 = pending);
    for (line, pin) in LINES.iter().enumerate() {
        if pending & 1 << line == 0 {
            continue;
        }
        if let Some(pin) = pin.load(Ordering::Relaxed).checked_sub(1) {
            let edge = Edge {
                high: pin_level(pin),
                at: Instant::now().as_micros(),
            };
            pins::edge(pin, edge);
        }
    }
}

macro_rules! lines {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() {
            edges();
        }
    )*};
}

lines!(EXTI0 EXTI1 EXTI2 EXTI3 EXTI4 EXTI9_5 EXTI15_10);
