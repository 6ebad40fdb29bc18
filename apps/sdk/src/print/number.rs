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
    /// Prints a number of that magnitude.
    pub fn print(self, line: &mut Line, magnitude: u64, negative: bool) {
        let sign = match (negative, self.plus) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let fill = usize::from(self.width).min(MOST).saturating_sub(sign.len());
        if self.zeros {
            line.text(sign);
            digits(line, magnitude, self.hex, fill, b'0', "");
        } else {
            digits(line, magnitude, self.hex, fill, b' ', sign);
        }
    }
}

/// At least `fill` characters, `sign` right before the digits.
fn digits(line: &mut Line, mut rest: u64, hex: bool, fill: usize, with: u8, sign: &str) {
    let mut text = [with; MOST];
    let mut length = 0;
    for digit in text.iter_mut().rev() {
        let (next, value) = if hex {
            (rest >> 4, rest & 15)
        } else {
            (rest / 10, rest % 10)
        };
        *digit = match value as u8 {
            value @ 0..10 => b'0' + value,
            value => b'a' - 10 + value,
        };
        length += 1;
        rest = next;
        if rest == 0 {
            break;
        }
    }
    for _ in length..fill {
        line.byte(with);
    }
    line.text(sign);
    for &digit in text.iter().skip(MOST - length) {
        line.byte(digit);
    }
}

/// Prints a number as `{}` does.
#[inline(never)]
pub(super) fn plain(line: &mut Line, mut rest: u64) {
    let mut text = [0; MOST];
    let mut length = 0;
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        length += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for &digit in text.iter().skip(MOST - length) {
        line.byte(digit);
    }
}
