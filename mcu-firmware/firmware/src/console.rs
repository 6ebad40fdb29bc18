//! The console: lines out of a small ring, sent by the UART's interrupt. Whoever prints waits for room, so a slow line
//! slows the app that prints and loses nothing. Lines are whole: one at a time goes in.

use core::cell::RefCell;
use core::fmt::{self, Write};

use critical_section::Mutex;
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::mutex;
use embassy_sync::signal::Signal;

use crate::board;

/// Bytes that wait for the UART: some 90 ms at 115200 baud, so that short bursts of lines wait for nothing.
const RING: usize = 1024;

struct Ring {
    bytes: [u8; RING],
    first: usize,
    count: usize,
    /// The UART has a byte and will ask for the next one.
    sending: bool,
}

static WAITING: Mutex<RefCell<Ring>> = Mutex::new(RefCell::new(Ring {
    bytes: [0; RING],
    first: 0,
    count: 0,
    sending: false,
}));

/// There is room again.
static ROOM: Signal<CriticalSectionRawMutex, ()> = Signal::new();

impl Ring {
    fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(RING - self.count);
        for byte in &bytes[..taken] {
            self.bytes[(self.first + self.count) % RING] = *byte;
            self.count += 1;
        }
        taken
    }

    fn pop(&mut self) -> Option<u8> {
        let byte = (self.count > 0).then(|| self.bytes[self.first])?;
        self.first = (self.first + 1) % RING;
        self.count -= 1;
        Some(byte)
    }
}

/// The next byte for the UART, which has sent the one before. Called by its interrupt.
pub(crate) fn next_byte() -> Option<u8> {
    critical_section::with(|token| {
        let mut ring = WAITING.borrow_ref_mut(token);
        let byte = ring.pop();
        ring.sending = byte.is_some();
        // Not for every byte: whoever waits has more than one.
        if ring.count == RING / 2 || ring.count == 0 {
            ROOM.signal(());
        }
        byte
    })
}

/// The console.
pub(crate) struct Console {
    line: mutex::Mutex<NoopRawMutex, ()>,
}

impl Console {
    pub(crate) const fn new() -> Self {
        Self {
            line: mutex::Mutex::new(()),
        }
    }

    /// Prints one line and its end.
    pub(crate) async fn line(&self, parts: &[&str]) {
        let _one_at_a_time = self.line.lock().await;
        for part in parts {
            send(part.as_bytes()).await;
        }
        send(b"\r\n").await;
    }
}

async fn send(mut bytes: &[u8]) {
    loop {
        let (taken, start) = critical_section::with(|token| {
            let mut ring = WAITING.borrow_ref_mut(token);
            let taken = ring.push(bytes);
            let start = if ring.sending { None } else { ring.pop() };
            ring.sending |= start.is_some();
            (taken, start)
        });
        if let Some(byte) = start {
            board::console_send(byte);
        }
        bytes = &bytes[taken..];
        if bytes.is_empty() {
            return;
        }
        ROOM.wait().await;
    }
}

/// Prints all that waits and one line more, without interrupts: the firmware is about to end.
pub(crate) fn last_words(text: fmt::Arguments<'_>) {
    cortex_m::interrupt::disable();
    // SAFETY: interrupts are off and stay off; if a borrow was under way, its owner never runs again.
    let ring = unsafe {
        &mut *WAITING
            .borrow(critical_section::CriticalSection::new())
            .as_ptr()
    };
    while let Some(byte) = ring.pop() {
        board::console_send_now(byte);
    }
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
