//! Lists of texts.

use core::marker::PhantomData;
use core::{ptr, slice, str};

use super::imports::{self, List};
use super::landing;

/// Texts that the host handed over.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    /// Address of the next one's address and length.
    next: usize,
    left: usize,
    room: PhantomData<&'a [u8]>,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: the host wrote `left` more of these there, each a text in UTF-8 (canonical ABI, string), in memory that was given
        // for `'a` or is never freed.
        unsafe {
            let word = ptr::with_exposed_provenance::<List>(self.next).read();
            self.next += size_of::<List>();
            let start = ptr::with_exposed_provenance(word.start);
            Some(str::from_utf8_unchecked(slice::from_raw_parts(
                start,
                word.length,
            )))
        }
    }
}

/// Calls a function that returns a list of as many texts in `each`.
fn words(room: &mut [u8], each: usize, get: unsafe extern "C" fn(*mut List)) -> Words<'_> {
    landing::open(room);
    let mut list = List::default();
    // SAFETY: the result has room.
    unsafe { get(&raw mut list) };
    landing::close();
    Words {
        next: list.start,
        left: list.length * each,
        room: PhantomData,
    }
}

/// `get-arguments`: list<string>
pub(crate) fn arguments(room: &mut [u8]) -> Words<'_> {
    words(room, 1, imports::get_arguments)
}

/// `get-environment`: list<tuple<string, string>>
pub(crate) fn variables(room: &mut [u8]) -> Words<'_> {
    words(room, 2, imports::get_environment)
}
