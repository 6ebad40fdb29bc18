//! Numbers with a fixed count of decimal places, without floats: these bring twenty kilobytes of `core::fmt`.

use core::fmt;

use super::{Line, Show};

/// A number in units of ten to the power of minus `PLACES`: `Fixed::<2>(-5)` is printed as `-0.05`. At most 9 places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fixed<const PLACES: usize>(pub i32);

impl<const PLACES: usize> Fixed<PLACES> {
    const ONE: u32 = 10_u32.pow(PLACES as u32);

    /// The nearest to a float; the largest or smallest when it is beyond them, zero when it is no number.
    #[must_use]
    pub fn nearest(value: impl Into<f64>) -> Self {
        let scaled = value.into() * f64::from(Self::ONE);
        // A cast saturates and cuts towards zero.
        Self(
            (if scaled < 0.0 {
                scaled - 0.5
            } else {
                scaled + 0.5
            }) as i32,
        )
    }
}

impl<const PLACES: usize> Show for Fixed<PLACES> {
    fn show(&self, line: &mut Line) {
        if self.0 < 0 {
            line.text("-");
        }
        let magnitude = self.0.unsigned_abs();
        (magnitude / Self::ONE).show(line);
        if PLACES == 0 {
            return;
        }
        line.text(".");
        let mut digit = Self::ONE;
        while digit > 1 {
            digit /= 10;
            (magnitude / digit % 10).show(line);
        }
    }
}

impl<const PLACES: usize> fmt::Display for Fixed<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}", magnitude / Self::ONE)?;
        if PLACES > 0 {
            write!(f, ".{:0PLACES$}", magnitude % Self::ONE)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_so_is_the_sign_of_what_is_less_than_one() {
        let printed = crate::testing::printed(|| {
            crate::print!(
                "{} {} {}",
                Fixed::<2>(2500),
                Fixed::<2>(-5),
                Fixed::<3>(i32::MIN)
            );
            crate::print!(" {} {}", Fixed::<0>(7), Fixed::<4>(12));
        });
        assert_eq!(printed, "25.00 -0.05 -2147483.648 7 0.0012");
        assert_eq!(Fixed::<2>(-5).to_string(), "-0.05");
        assert_eq!(Fixed::<0>(7).to_string(), "7");
    }

    #[test]
    fn floats_are_rounded_to_the_nearest_and_never_beyond_what_there_is() {
        assert_eq!(Fixed::<2>::nearest(-0.0625_f32), Fixed(-6));
        assert_eq!(Fixed::<2>::nearest(127.937_5_f32), Fixed(12_794));
        assert_eq!(Fixed::<2>::nearest(1e30), Fixed(i32::MAX));
        assert_eq!(Fixed::<2>::nearest(f64::NAN), Fixed(0));
    }
}
