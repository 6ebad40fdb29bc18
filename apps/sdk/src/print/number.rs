//! Integers as text, without `core::fmt`.

use super::Line;

/// How an integer is printed: the part of `std`'s format specs that needs no `core::fmt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Number {
    /// Fewest characters, sign included; at most 20 count.
    pub width: u8,
    /// Filled with zeros after the sign, not with spaces before it.
    pub zeros: bool,
    /// `+` before what is not negative.
    pub plus: bool,
    /// In base 16, with small letters.
    pub hex: bool,
}

/// Digits of `u64::MAX` in base 10.
const MOST: usize = 20;

impl Number {
    /// Prints a number of that magnitude. One function for all ways: the compiler leaves out what an app has no use for.
    #[inline(never)]
    pub fn print(self, line: &mut Line, magnitude: u64, negative: bool) {
        let mut text = [0; MOST];
        let mut rest = magnitude;
        let mut from = MOST;
        while let Some(digit) = from.checked_sub(1).and_then(|at| text.get_mut(at)) {
            from -= 1;
            let value = if self.hex { rest % 16 } else { rest % 10 } as u8;
            *digit = value + if value < 10 { b'0' } else { b'a' - 10 };
            rest /= if self.hex { 16 } else { 10 };
            if rest == 0 {
                break;
            }
        }
        let sign = match (negative, self.plus) {
            (true, _) => Some(b'-'),
            (false, true) => Some(b'+'),
            (false, false) => None,
        };
        let first = MOST
            .saturating_sub(usize::from(self.width))
            .saturating_add(sign.is_some().into());
        if self.zeros {
            sign.inspect(|sign| line.byte(*sign));
        }
        for _ in first..from {
            line.byte(if self.zeros { b'0' } else { b' ' });
        }
        if !self.zeros {
            sign.inspect(|sign| line.byte(*sign));
        }
        for digit in text.get(from..).unwrap_or_default() {
            line.byte(*digit);
        }
    }
}
