//! What drives the motor.

use embedded_hal::digital::OutputPin as _;
use embedded_hal::spi::SpiDevice as _;
use vyoma_hal::gpio::{Flags, Output};
use vyoma_hal::spi::Device;

use crate::Error;

/// The largest output: twelve bits, as the converter has.
pub(crate) const FULL: i32 = 4095;

/// A pin, or a converter.
pub(crate) enum Drive {
    /// On for as many ticks out of `FULL` as the output says, spread evenly.
    Pin {
        /// The pin.
        pin: Output,
        /// What was asked for and not given yet.
        owed: i32,
    },
    /// A Microchip MCP4921.
    Dac(Device),
}

impl Drive {
    /// `pin:LABEL` or `dac:DEVICE`.
    pub(crate) fn open(name: &str) -> Result<Self, Error> {
        match name.split_once(':') {
            Some(("pin", label)) => Ok(Self::Pin {
                pin: Output::open(label, Flags::default())?,
                owed: 0,
            }),
            Some(("dac", device)) => Ok(Self::Dac(Device::open(device)?)),
            _ => Err(Error::Argument("pin:LABEL or dac:DEVICE")),
        }
    }

    /// From 0 to [`FULL`].
    pub(crate) fn set(&mut self, output: i32) -> Result<(), Error> {
        match self {
            Self::Pin { pin, owed } => {
                if spread(owed, output) {
                    pin.set_high()?;
                } else {
                    pin.set_low()?;
                }
            }
            // MCP4921 data sheet (DS21897), register 5-1: unbuffered, gain 1, on; then the value.
            Self::Dac(device) => {
                let value = u16::try_from(output.clamp(0, FULL)).unwrap_or_default();
                let word = 0x3000 | value;
                device.write(&word.to_be_bytes())?;
            }
        }
        Ok(())
    }
}

/// Whether the pin is on in this tick.
fn spread(owed: &mut i32, output: i32) -> bool {
    *owed += output.clamp(0, FULL);
    let on = *owed >= FULL;
    if on {
        *owed -= FULL;
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_on_for_its_share_of_ticks_spread_evenly() {
        for (output, expected) in [(0, 0), (FULL / 4, 250), (FULL / 2, 500), (FULL, 1000)] {
            let mut owed = 0;
            let on = (0..1000).filter(|_| spread(&mut owed, output)).count();
            assert!(on.abs_diff(expected) <= 1, "{output}: {on}");
        }
        let mut owed = 0;
        let first: Vec<bool> = (0..8).map(|_| spread(&mut owed, FULL / 2 + 1)).collect();
        assert_eq!(first, [false, true, false, true, false, true, false, true]);
    }
}
