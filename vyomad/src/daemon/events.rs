//! What happened on the device: a ring in memory, a bounded file, and followers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use vyoma_capabilities::control::DeviceEvent;

use super::feed::{Feed, Item};
use super::files::BoundedFile;

/// Most events in memory.
const RING: usize = 256;
/// One event file; there are two.
const FILE_LIMIT: u64 = 128 * 1024;
/// Longest detail: events are for people, and one frame must hold one.
const DETAIL: usize = 2000;

impl Item for DeviceEvent {
    fn cost(&self) -> usize {
        self.detail.len() + self.kind.len() + 96
    }
}

/// All events since the daemon started, as far as the ring goes.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) feed: Feed<DeviceEvent>,
    ring: RefCell<VecDeque<Rc<DeviceEvent>>>,
    file: RefCell<BoundedFile>,
}

impl Events {
    pub(crate) fn open(state: &Path) -> Self {
        let file = BoundedFile::open(state.join("events.log"), FILE_LIMIT);
        Self {
            feed: Feed::new(),
            ring: RefCell::default(),
            file: RefCell::new(file),
        }
    }

    pub(crate) fn push(&self, app: Option<&str>, kind: &str, detail: &str) {
        let mut detail = detail.replace(['\n', '\r'], " ");
        if detail.len() > DETAIL {
            detail.truncate(detail.floor_char_boundary(DETAIL));
        }
        let event = DeviceEvent {
            time_ms: super::unix_ms(),
            app: app.map(str::to_string),
            kind: kind.into(),
            detail,
        };
        if let Ok(json) = serde_json::to_vec(&event) {
            // A full disk loses events on disk; the ring and followers still have them.
            let _ = self.file.borrow_mut().push(&json);
        }
        let event = Rc::new(event);
        self.feed.publish(&event);
        let mut ring = self.ring.borrow_mut();
        if ring.len() == RING {
            ring.pop_front();
        }
        ring.push_back(event);
    }

    pub(crate) fn recent(&self) -> Vec<Rc<DeviceEvent>> {
        self.ring.borrow().iter().cloned().collect()
    }

    pub(crate) fn dirty(&self) -> bool {
        self.file.borrow().dirty()
    }

    pub(crate) fn flush(&self) {
        let _ = self.file.borrow_mut().flush();
    }
}
