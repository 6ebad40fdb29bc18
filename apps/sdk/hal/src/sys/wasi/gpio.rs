//! wasi:gpio/digital, and vyoma:device/gpio and edges.

use super::{Answer, Owned, Pollable};
use crate::gpio::Error;

/// The case of `gpio-error` that has a text.
const OTHER: u8 = 8;

/// A function of a pin's state or change, by its handle.
type Ask = unsafe extern "C" fn(u32, *mut u8);

/// Opens a pin by a function that takes label, flags and a place for the result.
fn open(
    label: &str,
    flags: u32,
    get: unsafe extern "C" fn(*const u8, usize, u32, *mut u8),
) -> Result<u32, Error> {
    // SAFETY: pointer and length are a text's; the result (16 bytes) has room.
    Answer::with_text(OTHER, |answer| unsafe {
        get(label.as_ptr(), label.len(), flags, answer);
    })
    .value(Error::case)
}

/// Asks a pin something whose answer is a `result` with its value, if any, at byte 4.
fn ask(pin: &Owned, function: Ask) -> Result<u32, Error> {
    // SAFETY: the pin is open; the result (16 bytes) has room.
    Answer::with_text(OTHER, |answer| unsafe { function(pin.0, answer) }).value(Error::case)
}

macro_rules! drops {
    ($($drop:ident, $import:ident, $name:literal;)*) => {
        #[link(wasm_import_module = "wasi:gpio/digital@0.2.0")]
        unsafe extern "C" {$(
            #[link_name = $name]
            safe fn $import(pin: u32);
        )*}
        $(extern "C" fn $drop(pin: u32) {
            $import(pin);
        })*
    };
}
drops! {
    drop_output, import_drop_output, "[resource-drop]digital-out-pin";
    drop_input, import_drop_input, "[resource-drop]digital-in-pin";
    drop_in_out, import_drop_in_out, "[resource-drop]digital-in-out-pin";
}

#[derive(Debug)]
pub(crate) struct OutputPin(Owned);

impl OutputPin {
    pub(crate) fn open(label: &str, flags: u32) -> Result<Self, Error> {
        Ok(Self(Owned(
            open(label, flags, get_digital_out)?,
            drop_output,
        )))
    }

    pub(crate) fn set(&self, active: bool) -> Result<(), Error> {
        let function = if active { set_active } else { set_inactive };
        ask(&self.0, function).map(drop)
    }
}

#[derive(Debug)]
pub(crate) struct InputPin(Owned);

impl InputPin {
    pub(crate) fn open(label: &str, flags: u32) -> Result<Self, Error> {
        Ok(Self(Owned(open(label, flags, get_digital_in)?, drop_input)))
    }

    pub(crate) fn is_active(&self) -> Result<bool, Error> {
        Ok(ask(&self.0, input_is_active)? & 1 == 1)
    }

    pub(crate) fn watch(&self, rising: bool) -> Result<Pollable, Error> {
        let function = if rising {
            watch_rising_edge
        } else {
            watch_falling_edge
        };
        ask(&self.0, function).map(Pollable::new)
    }

    /// Whether it became active, and when.
    pub(crate) fn next_edge(&self) -> Result<Option<(bool, u64)>, Error> {
        let mut answer = Answer::default();
        let mut text = [0; super::TEXT];
        // The payload begins at byte 8 here, since an edge has 64-bit numbers.
        vyoma::__private::received(&mut text, || {
            // SAFETY: the pin is open; the result (32 bytes) has room.
            unsafe { next_edge(self.0.0, answer.0.as_mut_ptr()) };
            (answer.is_err() && answer.byte(8) == OTHER).then(|| answer.list(12))
        });
        if answer.is_err() {
            return Err(Error::case(answer.byte(8)));
        }
        Ok((answer.byte(8) == 1).then(|| (answer.byte(16) == 0, answer.long(24))))
    }

    pub(crate) fn lost_edges(&self) -> u64 {
        lost_edges(self.0.0)
    }
}

#[derive(Debug)]
pub(crate) struct InOutPin(Owned);

impl InOutPin {
    pub(crate) fn open(label: &str, flags: u32) -> Result<Self, Error> {
        Ok(Self(Owned(
            open(label, flags, get_digital_in_out)?,
            drop_in_out,
        )))
    }

    pub(crate) fn is_active(&self) -> Result<bool, Error> {
        Ok(ask(&self.0, in_out_is_active)? & 1 == 1)
    }

    pub(crate) fn set(&self, active: bool) -> Result<(), Error> {
        let function = if active {
            in_out_set_active
        } else {
            in_out_set_inactive
        };
        ask(&self.0, function).map(drop)
    }
}

#[link(wasm_import_module = "vyoma:device/gpio@0.1.0")]
unsafe extern "C" {
    #[link_name = "get-digital-out"]
    fn get_digital_out(label: *const u8, length: usize, flags: u32, answer: *mut u8);
    #[link_name = "get-digital-in"]
    fn get_digital_in(label: *const u8, length: usize, flags: u32, answer: *mut u8);
    #[link_name = "get-digital-in-out"]
    fn get_digital_in_out(label: *const u8, length: usize, flags: u32, answer: *mut u8);
}

#[link(wasm_import_module = "vyoma:device/edges@0.1.0")]
unsafe extern "C" {
    #[link_name = "next-edge"]
    fn next_edge(pin: u32, answer: *mut u8);
    #[link_name = "lost-edges"]
    safe fn lost_edges(pin: u32) -> u64;
}

#[link(wasm_import_module = "wasi:gpio/digital@0.2.0")]
unsafe extern "C" {
    #[link_name = "[method]digital-out-pin.set-active"]
    fn set_active(pin: u32, answer: *mut u8);
    #[link_name = "[method]digital-out-pin.set-inactive"]
    fn set_inactive(pin: u32, answer: *mut u8);
    #[link_name = "[method]digital-in-pin.is-active"]
    fn input_is_active(pin: u32, answer: *mut u8);
    #[link_name = "[method]digital-in-pin.watch-rising-edge"]
    fn watch_rising_edge(pin: u32, answer: *mut u8);
    #[link_name = "[method]digital-in-pin.watch-falling-edge"]
    fn watch_falling_edge(pin: u32, answer: *mut u8);
    #[link_name = "[method]digital-in-out-pin.is-active"]
    fn in_out_is_active(pin: u32, answer: *mut u8);
    #[link_name = "[method]digital-in-out-pin.set-active"]
    fn in_out_set_active(pin: u32, answer: *mut u8);
    #[link_name = "[method]digital-in-out-pin.set-inactive"]
    fn in_out_set_inactive(pin: u32, answer: *mut u8);
}
