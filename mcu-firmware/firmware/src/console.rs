//! The console: whole lines, one at a time, over the board's first UART. Whoever prints waits for room, so a slow line slows
//! the app that prints and loses nothing.

use core::fmt::{self, Write};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;

use crate::{board, epitaph};

/// Bytes that wait for the UART: some 45 ms at 115200 baud, so that short bursts of lines wait for nothing.
pub(crate) const WAITING: usize = 512;

/// The console.
pub(crate) struct Console {
    line: Mutex<NoopRawMutex, ()>,
}

impl Console {
    pub(crate) const fn new() -> Self {
        Self {
            line: Mutex::new(()),
        }
    }

    /// Prints one line and its end.
    pub(crate) async fn line(&self, parts: &[&str]) {
        let _one_at_a_time = self.line.lock().await;
        for part in parts {
            board::CONSOLE
                .send(part.as_bytes(), board::console_start)
                .await;
        }
        board::CONSOLE.send(b"\r\n", board::console_start).await;
    }
}

/// Prints all that waits and one line more, without interrupts, and keeps that line for the next start: the firmware is about
/// to end.
pub(crate) fn last_words(text: fmt::Arguments<'_>) {
    cortex_m::interrupt::disable();
    epitaph::leave(text);
    for byte in board::CONSOLE.drain() {
        board::console_send_now(byte);
    }
    // A half line may be there.
    let _ = Now.write_str("\r\nvyoma: ");
    let _ = Now.write_fmt(text);
    let _ = Now.write_str("\r\n");
}

struct Now;

impl Write for Now {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            board::console_send_now(byte);
        }
        Ok(())
    }
}
