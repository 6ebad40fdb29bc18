//! In a component. The declarations have the signatures that the canonical ABI gives to the functions of capabilities/wit; their
//! types travel in a custom section, from which the component's linker takes those that are used.

use vyoma::__private::{Handle as Raw, received};
use vyoma::wait::Handle;

mod adc;
mod buses;
mod gpio;
mod many;
mod uart;

pub(crate) use adc::Channel;
pub(crate) use buses::{I2c, Spi};
pub(crate) use gpio::{InOutPin, InputPin, OutputPin};
pub(crate) use uart::Port;

/// The world `vyoma:peripherals/imports` of capabilities/wit, encoded (adapters/component/tests/sdk_types.rs writes it and holds it
/// against the WIT). Its name must begin like this for the component's linker.
#[unsafe(link_section = "component-type:vyoma-hal")]
#[allow(
    dead_code,
    reason = "it is a section of its own; `#[used]` would make it data, too"
)]
static TYPES: [u8; include_bytes!("wasi/types.bin").len()] = *include_bytes!("wasi/types.bin");

/// What a function hands over by address, at most 32 bytes: first a tag, then what belongs to it.
#[repr(C, align(8))]
#[derive(Default)]
struct Answer([u8; 32]);

impl Answer {
    /// Calls a function that hands something over.
    fn of(call: impl FnOnce(*mut u8)) -> Self {
        let mut answer = Self::default();
        call(answer.0.as_mut_ptr());
        answer
    }

    /// The same for a `result` whose error is a variant at byte 4, and of whose cases the one of number `other` has a text.
    fn with_text(other: u8, call: impl FnOnce(*mut u8)) -> Self {
        let mut answer = Self::default();
        let mut text = [0; TEXT];
        received(&mut text, || {
            call(answer.0.as_mut_ptr());
            answer.text(other)
        });
        answer
    }

    /// Where the text is, if there is one.
    fn text(&self, other: u8) -> Option<(usize, usize)> {
        (self.is_err() && self.byte(4) == other).then(|| self.list(8))
    }

    fn is_err(&self) -> bool {
        self.byte(0) != 0
    }

    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn word(&self, at: usize) -> u32 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|offset| self.byte(at + offset));
        u32::from_le_bytes([a, b, c, d])
    }

    fn long(&self, at: usize) -> u64 {
        u64::from(self.word(at)) | u64::from(self.word(at + 4)) << 32
    }

    /// Address and length of a list.
    fn list(&self, at: usize) -> (usize, usize) {
        (self.word(at) as usize, self.word(at + 4) as usize)
    }

    /// The result's handle or number at byte 4, or the case of its error there.
    fn value<E>(&self, error: impl FnOnce(u8) -> E) -> Result<u32, E> {
        if self.is_err() {
            Err(error(self.byte(4)))
        } else {
            Ok(self.word(4))
        }
    }
}

/// Room for the text of an error.
const TEXT: usize = 128;

/// Something of the host, and the function that drops it.
#[derive(Debug)]
struct Owned(u32, extern "C" fn(u32));

impl Drop for Owned {
    fn drop(&mut self) {
        (self.1)(self.0);
    }
}

/// What can be waited for.
#[derive(Debug)]
pub(crate) struct Pollable(Owned);

impl Pollable {
    fn new(handle: u32) -> Self {
        Self(Owned(handle, drop_pollable))
    }

    pub(crate) fn handle(&self) -> Handle {
        Raw::of(self.0.0)
    }

    fn is_ready(&self) -> bool {
        ready(self.0.0) != 0
    }
}

extern "C" fn drop_pollable(handle: u32) {
    imported_drop_pollable(handle);
}

#[link(wasm_import_module = "wasi:io/poll@0.2.0")]
unsafe extern "C" {
    #[link_name = "[resource-drop]pollable"]
    safe fn imported_drop_pollable(handle: u32);
    #[link_name = "[method]pollable.ready"]
    safe fn ready(handle: u32) -> u32;
}
