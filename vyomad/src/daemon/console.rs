//! What a device shows: `[app] line`, made harmless, and what happens on the device. The writing itself never
//! blocks (see `init::console`); what a slow console loses is counted there.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::Notify;
use vyoma_capabilities::lines::sanitize;

use crate::init::cmdline::LogLevel;
use crate::init::console::Console as Writer;

/// How often a console that was full is tried again: a 115200 baud line drains 200 bytes meanwhile.
const RETRY: Duration = Duration::from_millis(20);
/// Colours of app names, told apart by a hash of the name: the six of ANSI that are readable on black and white.
const COLOURS: [u8; 6] = [31, 32, 33, 34, 35, 36];

/// The console; absent when hosted without `--console`.
pub(crate) struct Console {
    writer: Option<RefCell<Writer>>,
    colour: bool,
    level: Cell<LogLevel>,
    waiting: Notify,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("colour", &self.colour)
            .finish_non_exhaustive()
    }
}

impl Console {
    pub(crate) fn new(writer: Option<Writer>, colour: bool, level: LogLevel) -> Self {
        Self {
            writer: writer.map(RefCell::new),
            colour,
            level: Cell::new(level),
            waiting: Notify::new(),
        }
    }

    pub(crate) fn set_level(&self, level: LogLevel) {
        self.level.set(level);
    }

    /// A line of an app.
    pub(crate) fn line(&self, app: &str, text: &str) {
        if self.writer.is_some() {
            let text = sanitize(text);
            if self.colour {
                self.write(&format!("\x1b[{}m[{app}]\x1b[0m {text}", colour_of(app)));
            } else {
                self.write(&format!("[{app}] {text}"));
            }
        }
    }

    /// Something that happened on the device.
    pub(crate) fn event(&self, level: LogLevel, app: Option<&str>, kind: &str, detail: &str) {
        if self.writer.is_some() && level <= self.level.get() {
            let detail = sanitize(detail);
            match app {
                Some(app) => self.write(&format!("vyomad: {kind}: {app}: {detail}")),
                None => self.write(&format!("vyomad: {kind}: {detail}")),
            }
        }
    }

    fn write(&self, line: &str) {
        if let Some(writer) = &self.writer {
            let mut writer = writer.borrow_mut();
            writer.write_line(line);
            if !writer.flush_some() {
                self.waiting.notify_one();
            }
        }
    }

    /// Writes what a full console did not take at once, for ever.
    pub(crate) async fn drain(&self) {
        loop {
            self.waiting.notified().await;
            while !self.flush() {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// True when nothing waits any more.
    pub(crate) fn flush(&self) -> bool {
        self.writer
            .as_ref()
            .is_none_or(|writer| writer.borrow_mut().flush_some())
    }
}

fn colour_of(app: &str) -> u8 {
    let hash = app.bytes().fold(0usize, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    COLOURS[hash % COLOURS.len()]
}
