//! What apps print: a ring in memory per app, bounded files that survive a reboot, and followers.
//!
//! Nothing here decides what is a log line (see `output`) or throttles anyone (see `output` too).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use vyoma_capabilities::control::{LogLine, Stream};

use super::feed::{Feed, Item};
use super::files::BoundedFile;

/// Most bytes of lines in one app's ring: a screenful many times over.
const RING_MOST: usize = 64 * 1024;
/// Fewest, however many apps a platform allows: the last words before an ending must fit.
const RING_LEAST: usize = 8 * 1024;
/// All rings together when `max_apps` apps filled theirs. Older lines are still in the files.
const RINGS_TOTAL: usize = 4 * 1024 * 1024;
/// Most lines in a ring: short lines cost more to keep than to say.
const RING_LINES: usize = 1000;
/// What an entry costs besides its text.
const ENTRY_OVERHEAD: usize = 96;
/// One log file; there are two per app.
const FILE_LIMIT: u64 = 256 * 1024;

/// One line, as it is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) app: Rc<str>,
    /// Orders lines of several apps that have the same time.
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) stream: Stream,
    pub(crate) text: Box<str>,
}

impl Entry {
    pub(crate) fn to_line(&self) -> LogLine {
        LogLine {
            app: self.app.to_string(),
            time_ms: self.time_ms,
            stream: self.stream,
            text: self.text.to_string(),
        }
    }
}

impl Item for Entry {
    fn cost(&self) -> usize {
        self.text.len() + ENTRY_OVERHEAD
    }
}

/// What all logs share.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) feed: Feed<Entry>,
    sequence: Cell<u64>,
    ring_bytes: usize,
}

impl Logs {
    pub(crate) fn new(max_apps: u32) -> Self {
        let ring_bytes = (RINGS_TOTAL / max_apps.max(1) as usize).clamp(RING_LEAST, RING_MOST);
        Self {
            feed: Feed::new(),
            sequence: Cell::new(0),
            ring_bytes,
        }
    }
}

/// One app's log.
#[derive(Debug)]
pub(crate) struct AppLog {
    ring: RefCell<VecDeque<Rc<Entry>>>,
    bytes: Cell<usize>,
    /// Lines that left the ring to make room.
    evicted: Cell<u64>,
    file: RefCell<BoundedFile>,
}

impl AppLog {
    pub(crate) fn open(dir: &Path, app: &str) -> Self {
        let file = BoundedFile::open(dir.join(format!("{app}.log")), FILE_LIMIT);
        Self {
            ring: RefCell::default(),
            bytes: Cell::new(0),
            evicted: Cell::new(0),
            file: RefCell::new(file),
        }
    }

    /// Keeps a line and hands it to followers. The error is that of the file; the line is in the ring all the same.
    pub(crate) fn push(
        &self,
        logs: &Logs,
        app: &Rc<str>,
        stream: Stream,
        text: &str,
    ) -> std::io::Result<()> {
        let sequence = logs.sequence.get() + 1;
        logs.sequence.set(sequence);
        let time_ms = super::unix_ms();
        let entry = Rc::new(Entry {
            app: Rc::clone(app),
            sequence,
            time_ms,
            stream,
            text: text.into(),
        });
        logs.feed.publish(&entry);
        let json = serde_json::to_vec(&entry.to_line()).map_err(std::io::Error::other)?;
        let mut ring = self.ring.borrow_mut();
        let mut bytes = self.bytes.get() + entry.cost();
        ring.push_back(entry);
        // The newest line stays, even if it alone is longer than the ring may be.
        while ring.len() > 1 && (bytes > logs.ring_bytes || ring.len() > RING_LINES) {
            let Some(oldest) = ring.pop_front() else {
                break;
            };
            bytes -= oldest.cost();
            self.evicted.set(self.evicted.get() + 1);
        }
        self.bytes.set(bytes);
        self.file.borrow_mut().push(&json)
    }

    /// The lines in the ring, oldest first.
    pub(crate) fn recent(&self) -> Vec<Rc<Entry>> {
        self.ring.borrow().iter().cloned().collect()
    }

    /// The last `count` lines.
    pub(crate) fn last(&self, count: usize) -> Vec<Rc<Entry>> {
        let ring = self.ring.borrow();
        ring.iter()
            .skip(ring.len().saturating_sub(count))
            .cloned()
            .collect()
    }

    /// Lines from before this daemon started, oldest first.
    pub(crate) fn earlier(&self) -> Vec<LogLine> {
        let bytes = self.file.borrow().earlier();
        // A line that power failure cut is no JSON any more: it is left out.
        bytes
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.get()
    }

    pub(crate) fn dirty(&self) -> bool {
        self.file.borrow().dirty()
    }

    pub(crate) fn flush(&self) -> std::io::Result<()> {
        self.file.borrow_mut().flush()
    }

    /// Forgets everything, on disk too.
    pub(crate) fn delete(&self) {
        self.ring.borrow_mut().clear();
        self.bytes.set(0);
        self.file.borrow_mut().delete();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_bounded_in_bytes_and_lines_and_counts_what_left_it() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new(200);
        let log = AppLog::open(dir.path(), "a");
        let app: Rc<str> = "a".into();
        for n in 0..5000 {
            log.push(&logs, &app, Stream::Out, &format!("line {n}"))
                .unwrap();
        }
        let bytes: usize = log.recent().iter().map(|entry| entry.cost()).sum();
        assert!(bytes <= logs.ring_bytes, "{bytes}");
        assert_eq!(log.evicted() as usize + log.recent().len(), 5000);
        assert_eq!(&*log.last(1)[0].text, "line 4999");
    }
}
