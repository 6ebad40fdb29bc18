//! Analogue inputs: A0 to A5 of the Arduino connector, by converter 1 (RM0351, 18). Not run on a board yet: QEMU has no
//! converter.

use alloc::format;
use alloc::string::String;

use embassy_stm32::pac::adc::vals::{Res, SampleTime};
use embassy_stm32::pac::gpio::{Gpio, vals};
use embassy_stm32::pac::{ADC1, ADC123_COMMON, GPIOC, RCC};
use vyoma_component::services::{DeviceError, Range};

use super::patiently;

/// Pin of port C and channel of the converter, for A0 to A5 (UM2153, table 8; data sheet, table 16).
const CHANNELS: [(usize, u8); 6] = [(5, 14), (4, 13), (3, 4), (2, 3), (1, 2), (0, 1)];

/// 12 bits, and the board's supply.
pub(crate) const RANGE: Range = Range {
    max: 4095,
    microvolts: 3_300_000,
};

/// The channel of that label or number: `A0` or 0, to 5.
pub(crate) fn channel(name: &str) -> Result<u8, DeviceError> {
    let number = name.strip_prefix('A').unwrap_or(name);
    let channel = number.parse().ok();
    channel
        .filter(|channel| usize::from(*channel) < CHANNELS.len())
        .ok_or(DeviceError::NoSuchDevice)
}

/// As the board labels a channel.
pub(crate) fn channel_label(channel: u8) -> String {
    format!("A{channel}")
}

/// Opens a channel: connects its pin, and wakes and calibrates the converter if it sleeps.
pub(crate) fn channel_open(channel: u8) -> Result<(), DeviceError> {
    let (pin, _) = CHANNELS[usize::from(channel)];
    let port: Gpio = GPIOC;
    port.moder()
        .modify(|w| w.set_moder(pin, vals::Moder::ANALOG));
    // The switch between pin and converter, which the L47x has.
    port.ascr().modify(|w| w.set_asc(pin, true));
    RCC.ahb2enr().modify(|w| w.set_adcen(true));
    if ADC1.cr().read().aden() {
        return Ok(());
    }
    // Half the bus clock: 24 MHz.
    ADC123_COMMON.ccr().modify(|w| w.set_ckmode(0b10));
    ADC1.cr().modify(|w| w.set_deeppwd(false));
    ADC1.cr().modify(|w| w.set_advregen(true));
    // Its regulator takes 20 us.
    cortex_m::asm::delay(super::CLOCK_HZ / 50_000);
    ADC1.cr().modify(|w| w.set_adcal(true));
    patiently(|| !ADC1.cr().read().adcal())?;
    ADC1.cr().modify(|w| w.set_aden(true));
    patiently(|| ADC1.isr().read().adrdy())?;
    ADC1.cfgr().modify(|w| w.set_res(Res::BITS12));
    Ok(())
}

/// Takes a sample: some 5 us.
pub(crate) fn channel_sample(channel: u8) -> Result<u32, DeviceError> {
    let (_, input) = CHANNELS[usize::from(channel)];
    ADC1.smpr(usize::from(input) / 10).modify(|w| {
        w.set_smp(usize::from(input) % 10, SampleTime::CYCLES47_5);
    });
    ADC1.sqr1().write(|w| {
        w.set_l(0);
        w.set_sq(0, input);
    });
    ADC1.cr().modify(|w| w.set_adstart(true));
    patiently(|| ADC1.isr().read().eoc())?;
    Ok(ADC1.dr().read().0 & 0xfff)
}
