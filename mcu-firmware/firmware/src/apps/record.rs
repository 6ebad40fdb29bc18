//! What is kept of what happened: lines that apps printed, and events, in two fixed pieces of memory
//! (`vyoma_mcu_core::ring`), for `vyomactl logs` and `events`. Lines go to the console at once, and keep their app waiting
//! until they are there; events go to it out of their ring, so that whoever can't wait can tell them, too.

use alloc::vec::Vec;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use static_cell::ConstStaticCell;
use vyoma_capabilities::control::{DeviceEvent, Stream};
use vyoma_capabilities::lines::sanitize;
use vyoma_mcu_core::ring::{Event, Line, Ring};

use super::{App, Device, now_ms};

/// Bytes of the log: some fifty lines.
const LOG: usize = 2304;
/// Bytes of events: some fifteen.
const EVENTS: usize = 1536;

/// The two rings.
pub(crate) struct Records {
    pub(crate) log: Ring,
    pub(crate) events: Ring,
    /// An event for the console.
    new: Signal<NoopRawMutex, ()>,
    /// Number of the next event for the console.
    printed: u32,
}

impl Records {
    /// Empty ones; made once.
    pub(crate) fn new() -> Self {
        static LOG_BYTES: ConstStaticCell<[u8; LOG]> = ConstStaticCell::new([0; LOG]);
        static EVENT_BYTES: ConstStaticCell<[u8; EVENTS]> = ConstStaticCell::new([0; EVENTS]);
        Self {
            log: Ring::new(LOG_BYTES.take()),
            events: Ring::new(EVENT_BYTES.take()),
            new: Signal::new(),
            printed: 0,
        }
    }

    /// Something that happened. The console has it soon.
    pub(crate) fn event(&mut self, app: Option<&str>, kind: &str, detail: &str) {
        let detail = sanitize(detail);
        self.events.event(&Event {
            time_ms: now_ms(),
            app,
            kind,
            detail: &detail,
        });
        self.new.signal(());
    }
}

impl Device {
    /// A line of an app, or about it. Returns when the console has it.
    pub(super) async fn log(&self, app: &App, stream: Stream, text: &str) {
        let text = sanitize(text);
        let line = Line {
            app: app.name(),
            time_ms: now_ms(),
            stream,
            text: &text,
        };
        self.records.borrow_mut().log.line(&line, |name| {
            if let Some(app) = self.app(name) {
                app.dropped_lines.set(app.dropped_lines.get() + 1);
            }
        });
        self.console.line(&["[", app.name(), "] ", &text]).await;
    }

    /// Something that happened on the device. Returns when the console has it.
    pub(crate) async fn event(&self, app: Option<&str>, kind: &str, detail: &str) {
        self.records.borrow_mut().event(app, kind, detail);
        self.print_events().await;
    }

    /// Prints what the console does not have yet.
    async fn print_events(&self) {
        loop {
            let next: Option<Vec<u8>> = {
                let mut records = self.records.borrow_mut();
                // What made room before it was printed is lost to the console.
                let printed = records.printed;
                let number = if records.events.next().wrapping_sub(printed)
                    > records.events.next().wrapping_sub(records.events.first())
                {
                    records.events.first()
                } else {
                    printed
                };
                let record = records.events.record(number);
                let bytes = record.map(|record| record.bytes().collect());
                if bytes.is_some() {
                    records.printed = number.wrapping_add(1);
                }
                bytes
            };
            let Some(bytes) = next else { return };
            let Ok(DeviceEvent {
                app, kind, detail, ..
            }) = postcard::from_bytes(&bytes)
            else {
                continue;
            };
            let (name, colon) = app.as_deref().map_or(("", ""), |name| (name, ": "));
            let parts = ["vyoma: ", &kind, ": ", name, colon, &detail];
            self.console.line(&parts).await;
        }
    }
}

/// Prints the events that nobody waits for.
#[embassy_executor::task]
pub(super) async fn print(device: &'static Device) {
    loop {
        // Not `wait` of the borrowed signal: others record meanwhile.
        core::future::poll_fn(|context| {
            let records = device.records.borrow();
            core::pin::pin!(records.new.wait()).as_mut().poll(context)
        })
        .await;
        device.print_events().await;
    }
}
