//! vyoma:uart/uart, and the streams of its ports.

use vyoma::__private::received;
use vyoma::wait::Handle;

use super::{Answer, Owned, Pollable};
use crate::OpenError;
use crate::uart::{Config, Error, Parity, StopBits};

/// Dropped in this order: a pollable before its stream.
#[derive(Debug)]
pub(crate) struct Port {
    readable: Pollable,
    input: Owned,
    output: Owned,
    handle: Owned,
}

impl Port {
    pub(crate) fn open(name: &str, config: Option<Config>) -> Result<Self, OpenError> {
        let given = config.is_some().into();
        let Config {
            baud,
            data_bits,
            parity,
            stop_bits,
        } = config.unwrap_or(Config {
            baud: 0,
            data_bits: 0,
            parity: Parity::None,
            stop_bits: StopBits::One,
        });
        let parity = match parity {
            Parity::None => 0,
            Parity::Even => 1,
            Parity::Odd => 2,
        };
        let stop_bits = match stop_bits {
            StopBits::One => 0,
            StopBits::Two => 1,
        };
        // SAFETY: pointer and length are a text's; the result (16 bytes) has room.
        let answer = Answer::of(|answer| unsafe {
            let data_bits = data_bits.into();
            open(
                name.as_ptr(),
                name.len(),
                given,
                baud,
                data_bits,
                parity,
                stop_bits,
                answer,
            );
        });
        let port = answer.value(OpenError::case)?;
        let input = answer.word(8);
        Ok(Self {
            readable: Pollable::new(subscribe(input)),
            input: Owned(input, drop_input),
            output: Owned(answer.word(12), drop_output),
            handle: Owned(port, drop_port),
        })
    }

    pub(crate) fn config(&self) -> Config {
        // SAFETY: the port is open; the record (8 bytes) has room.
        let answer = Answer::of(|answer| unsafe { get_config(self.handle.0, answer) });
        Config {
            baud: answer.word(0),
            data_bits: answer.byte(4),
            parity: match answer.byte(5) {
                0 => Parity::None,
                1 => Parity::Even,
                _ => Parity::Odd,
            },
            stop_bits: match answer.byte(6) {
                0 => StopBits::One,
                _ => StopBits::Two,
            },
        }
    }

    pub(crate) fn lost(&self) -> u64 {
        lost(self.handle.0)
    }

    pub(crate) fn readable(&self) -> Handle {
        self.readable.handle()
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.readable.is_ready()
    }

    /// Waits for at least one byte.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let most = buffer.len() as u64;
        let mut answer = Answer::default();
        let count = received(buffer, || {
            // SAFETY: the stream is open; the result (12 bytes) has room.
            unsafe { blocking_read(self.input.0, most, answer.0.as_mut_ptr()) };
            (!answer.is_err()).then(|| answer.list(4))
        });
        count.ok_or_else(|| failed(&answer))
    }

    /// Waits until all bytes, at most 4096, are on their way.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: the stream is open, pointer and length are a slice's; the result (12 bytes) has room.
        let answer = Answer::of(|answer| unsafe {
            write_and_flush(self.output.0, bytes.as_ptr(), bytes.len(), answer);
        });
        if answer.is_err() {
            Err(failed(&answer))
        } else {
            Ok(())
        }
    }
}

/// Drops the error that a stream handed over.
fn failed(answer: &Answer) -> Error {
    // last-operation-failed; the other case, closed, has nothing.
    if answer.byte(4) == 0 {
        drop_error(answer.word(8));
    }
    Error
}

extern "C" fn drop_port(port: u32) {
    import_drop_port(port);
}

extern "C" fn drop_input(stream: u32) {
    import_drop_input(stream);
}

extern "C" fn drop_output(stream: u32) {
    import_drop_output(stream);
}

#[link(wasm_import_module = "vyoma:uart/uart@0.1.0")]
unsafe extern "C" {
    #[link_name = "open"]
    fn open(
        name: *const u8,
        length: usize,
        given: u32,
        baud: u32,
        data_bits: u32,
        parity: u32,
        stop_bits: u32,
        answer: *mut u8,
    );
    #[link_name = "[resource-drop]port"]
    safe fn import_drop_port(port: u32);
    #[link_name = "[method]port.get-config"]
    fn get_config(port: u32, answer: *mut u8);
    #[link_name = "[method]port.lost"]
    safe fn lost(port: u32) -> u64;
}

#[link(wasm_import_module = "wasi:io/streams@0.2.0")]
unsafe extern "C" {
    #[link_name = "[resource-drop]input-stream"]
    safe fn import_drop_input(stream: u32);
    #[link_name = "[resource-drop]output-stream"]
    safe fn import_drop_output(stream: u32);
    #[link_name = "[method]input-stream.subscribe"]
    safe fn subscribe(stream: u32) -> u32;
    #[link_name = "[method]input-stream.blocking-read"]
    fn blocking_read(stream: u32, most: u64, answer: *mut u8);
    #[link_name = "[method]output-stream.blocking-write-and-flush"]
    fn write_and_flush(stream: u32, bytes: *const u8, length: usize, answer: *mut u8);
}

#[link(wasm_import_module = "wasi:io/error@0.2.0")]
unsafe extern "C" {
    #[link_name = "[resource-drop]error"]
    safe fn drop_error(error: u32);
}
