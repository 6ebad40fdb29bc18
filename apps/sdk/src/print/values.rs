//! What can be printed, and how the macros choose the smallest way for a value whose type they don't know: a method of
//! [`ByShow`] is found before one of [`ByDisplay`], which takes one more reference.

use core::fmt::{self, Display};

use super::{Line, Number};

/// What can be printed without `core::fmt`.
pub trait Show {
    /// Prints itself.
    fn show(&self, line: &mut Line);
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self, line: &mut Line) {
        (**self).show(line);
    }
}

impl Show for str {
    fn show(&self, line: &mut Line) {
        line.text(self);
    }
}

impl Show for alloc::string::String {
    fn show(&self, line: &mut Line) {
        line.text(self);
    }
}

impl Show for char {
    fn show(&self, line: &mut Line) {
        line.text(self.encode_utf8(&mut [0; 4]));
    }
}

impl Show for bool {
    fn show(&self, line: &mut Line) {
        line.text(if *self { "true" } else { "false" });
    }
}

/// What `core::fmt` prints: `vyoma::log(format_args!(...))`.
impl Show for fmt::Arguments<'_> {
    fn show(&self, line: &mut Line) {
        line.formatted(*self);
    }
}

/// An integer as sign and magnitude.
trait Integer: Copy {
    fn parts(self) -> (u64, bool);
    /// As base 16 shows it: two's complement.
    fn bits(self) -> u64;
}

macro_rules! integers {
    ($($unsigned:ty, $signed:ty;)*) => {$(
        impl Integer for $unsigned {
            #[inline]
            #[allow(clippy::cast_lossless, reason = "the same for each type")]
            fn parts(self) -> (u64, bool) {
                (self as u64, false)
            }
            #[inline]
            #[allow(clippy::cast_lossless, reason = "the same for each type")]
            fn bits(self) -> u64 {
                self as u64
            }
        }
        impl Integer for $signed {
            #[inline]
            #[allow(clippy::cast_lossless, reason = "the same for each type")]
            fn parts(self) -> (u64, bool) {
                (self.unsigned_abs() as u64, self < 0)
            }
            #[inline]
            #[allow(clippy::cast_lossless, reason = "the same for each type")]
            fn bits(self) -> u64 {
                self.cast_unsigned() as u64
            }
        }
        impl Show for $unsigned {
            fn show(&self, line: &mut Line) {
                Number::default().print(line, self.parts().0, false);
            }
        }
        impl Show for $signed {
            fn show(&self, line: &mut Line) {
                let (magnitude, negative) = self.parts();
                Number::default().print(line, magnitude, negative);
            }
        }
    )*};
}
integers! { u8, i8; u16, i16; u32, i32; u64, i64; usize, isize; }

/// An argument of a macro.
#[doc(hidden)]
#[derive(Debug)]
pub struct Value<T>(pub T);

/// `{}` of what implements [`Show`].
#[doc(hidden)]
pub trait ByShow {
    /// Prints it.
    fn show(&self, line: &mut Line);
}

impl<T: Show> ByShow for &Value<T> {
    #[inline]
    fn show(&self, line: &mut Line) {
        self.0.show(line);
    }
}

/// `{}` of what only implements `Display`.
#[doc(hidden)]
pub trait ByDisplay {
    /// Prints it.
    fn show(&self, line: &mut Line);
}

impl<T: Display> ByDisplay for Value<T> {
    fn show(&self, line: &mut Line) {
        line.formatted(format_args!("{}", self.0));
    }
}

/// `{:04}` and such of an integer.
#[doc(hidden)]
pub trait NumberByShow {
    /// Prints it; `_text` is what `core::fmt` would make of it.
    fn number(&self, line: &mut Line, number: Number, _text: fmt::Arguments<'_>);
}

#[allow(private_bounds, reason = "the macros use it for integers only")]
impl<T: Integer> NumberByShow for &Value<&T> {
    #[inline]
    fn number(&self, line: &mut Line, number: Number, _text: fmt::Arguments<'_>) {
        let (magnitude, negative) = if number.hex {
            (self.0.bits(), false)
        } else {
            self.0.parts()
        };
        number.print(line, magnitude, negative);
    }
}

/// `{:04}` and such of something else.
#[doc(hidden)]
pub trait NumberByDisplay {
    /// Prints it: `text`.
    fn number(&self, line: &mut Line, _number: Number, text: fmt::Arguments<'_>);
}

impl<T> NumberByDisplay for Value<T> {
    fn number(&self, line: &mut Line, _number: Number, text: fmt::Arguments<'_>) {
        line.formatted(text);
    }
}
