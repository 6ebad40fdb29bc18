//! What the app was started with: its arguments and its environment, as the manifest has them (`args = [...]`, `env = {...}`).
//!
//! They are put into memory that the app gives: the texts, and eight bytes for each. When that is not enough they go on in the
//! app's heap; an app without one ends.

use crate::sys;

/// Arguments. See [`args`].
#[derive(Debug, Clone)]
pub struct Args<'a>(sys::Words<'a>);

impl<'a> Iterator for Args<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }
}

/// Variables. See [`vars`].
#[derive(Debug, Clone)]
pub struct Vars<'a>(sys::Words<'a>);

impl<'a> Iterator for Vars<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// The arguments, the app's name first.
///
/// ```no_run
/// let mut room = [0; 256];
/// for argument in vyoma::args(&mut room).skip(1) {
///     vyoma::println!("{argument}");
/// }
/// ```
pub fn args(room: &mut [u8]) -> Args<'_> {
    Args(sys::arguments(room))
}

/// The variables: name and value.
pub fn vars(room: &mut [u8]) -> Vars<'_> {
    Vars(sys::variables(room))
}
