//! Serial lines: bytes in and out of small rings, which the UART's interrupts empty and fill. Whoever sends more than fits
//! waits for room; what comes and does not fit is lost and counted. The board gives the UART, and calls
//! [`Line::received`] and [`Line::next`] from its interrupts.

use core::cell::RefCell;

use critical_section::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;

struct Ring<const N: usize> {
    bytes: [u8; N],
    first: usize,
    count: usize,
}

impl<const N: usize> Ring<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            first: 0,
            count: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(N - self.count);
        for byte in &bytes[..taken] {
            self.bytes[(self.first + self.count) % N] = *byte;
            self.count += 1;
        }
        taken
    }

    fn pop(&mut self) -> Option<u8> {
        let byte = (self.count > 0).then(|| self.bytes[self.first])?;
        self.first = (self.first + 1) % N;
        self.count -= 1;
        Some(byte)
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let places = into.iter_mut();
        places
            .map_while(|place| self.pop().map(|byte| *place = byte))
            .count()
    }
}

struct State<const IN: usize, const OUT: usize> {
    input: Ring<IN>,
    output: Ring<OUT>,
    /// The UART has a byte and will ask for the next one.
    sending: bool,
    lost: u32,
}

/// A line that keeps at most `IN` bytes that came and `OUT` bytes that go.
pub(crate) struct Line<const IN: usize, const OUT: usize> {
    state: Mutex<RefCell<State<IN, OUT>>>,
    /// There is room to send again.
    room: Signal<CriticalSectionRawMutex, ()>,
    /// Bytes have come.
    arrived: Signal<CriticalSectionRawMutex, ()>,
}

impl<const IN: usize, const OUT: usize> Line<IN, OUT> {
    /// A line that nothing has gone over yet.
    pub(crate) const fn new() -> Self {
        Self {
            state: Mutex::new(RefCell::new(State {
                input: Ring::new(),
                output: Ring::new(),
                sending: false,
                lost: 0,
            })),
            room: Signal::new(),
            arrived: Signal::new(),
        }
    }

    fn with<T>(&self, function: impl FnOnce(&mut State<IN, OUT>) -> T) -> T {
        critical_section::with(|token| function(&mut self.state.borrow_ref_mut(token)))
    }

    /// A byte has come. True: it is the first that waits.
    pub(crate) fn received(&self, byte: u8) -> bool {
        let first = self.with(|state| {
            let first = state.input.count == 0;
            if state.input.push(&[byte]) == 0 {
                state.lost = state.lost.saturating_add(1);
            }
            first
        });
        self.arrived.signal(());
        first
    }

    /// The UART lost bytes itself.
    pub(crate) fn lose(&self) {
        self.with(|state| state.lost = state.lost.saturating_add(1));
    }

    /// The next byte for the UART, which has sent the one before.
    pub(crate) fn next(&self) -> Option<u8> {
        self.with(|state| {
            let byte = state.output.pop();
            state.sending = byte.is_some();
            // Not for every byte: whoever waits has more than one.
            if state.output.count == OUT / 2 || state.output.count == 0 {
                self.room.signal(());
            }
            byte
        })
    }

    /// Sends all of `bytes`: returns when the last of them are in the ring. One at a time. `start` gives the UART a byte when
    /// it has none; its interrupt asks for more.
    pub(crate) async fn send(&self, mut bytes: &[u8], start_with: fn(u8)) {
        loop {
            let (taken, start) = self.with(|state| {
                let taken = state.output.push(bytes);
                let start = if state.sending {
                    None
                } else {
                    state.output.pop()
                };
                state.sending |= start.is_some();
                (taken, start)
            });
            if let Some(byte) = start {
                start_with(byte);
            }
            bytes = &bytes[taken..];
            if bytes.is_empty() {
                return;
            }
            self.room.wait().await;
        }
    }

    /// Takes what has come; waits for the first byte. One at a time.
    pub(crate) async fn receive(&self, into: &mut [u8]) -> usize {
        loop {
            self.arrived.reset();
            let count = self.read(into);
            if count > 0 {
                return count;
            }
            self.arrived.wait().await;
        }
    }

    /// Takes what has come, without waiting.
    pub(crate) fn read(&self, into: &mut [u8]) -> usize {
        self.with(|state| state.input.take(into))
    }

    /// Bytes that have come and were not taken.
    pub(crate) fn available(&self) -> usize {
        self.with(|state| state.input.count)
    }

    /// Bytes that were lost since [`Line::clear`].
    pub(crate) fn lost(&self) -> u32 {
        self.with(|state| state.lost)
    }

    /// Forgets what has come.
    pub(crate) fn clear(&self) {
        self.with(|state| {
            state.input = Ring::new();
            state.lost = 0;
        });
    }

    /// What is still to be sent, for whoever has turned interrupts off for good.
    pub(crate) fn drain(&self) -> impl Iterator<Item = u8> {
        core::iter::from_fn(|| self.with(|state| state.output.pop()))
    }
}
