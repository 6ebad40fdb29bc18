//! Edges of watched pins: from the interrupt that sees them to the app that has the pin. Fixed memory, since an interrupt
//! can't allocate; the oldest edges are lost and counted when an app does not take them.

use core::cell::RefCell;

use critical_section::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;

/// Pins that can be watched at a time: each takes 160 bytes.
const WATCHED: usize = 4;
/// Edges that wait at most: a contact that bounces makes some ten.
const EDGES: usize = 16;

/// An edge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    /// The level that the pin went to.
    pub(crate) high: bool,
    /// Microseconds since the start.
    pub(crate) at: u64,
}

struct Watch {
    /// The pin and one; 0: none.
    pin: u8,
    /// Levels and times, in two lists without padding.
    high: [u8; EDGES],
    at: [u64; EDGES],
    first: usize,
    count: usize,
    lost: u32,
}

impl Watch {
    /// All zeros, so that it takes no flash.
    const NONE: Self = Self {
        pin: 0,
        high: [0; EDGES],
        at: [0; EDGES],
        first: 0,
        count: 0,
        lost: 0,
    };
}

static WATCHES: Mutex<RefCell<[Watch; WATCHED]>> = Mutex::new(RefCell::new([Watch::NONE; WATCHED]));

/// An app's device has something for it: an edge, bytes.
pub(crate) static HAPPENED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

fn with<T>(pin: u8, function: impl FnOnce(&mut Watch) -> T) -> Option<T> {
    critical_section::with(|token| {
        let mut watches = WATCHES.borrow_ref_mut(token);
        let watch = watches.iter_mut().find(|watch| watch.pin == pin + 1)?;
        Some(function(watch))
    })
}

/// Begins to keep edges of `pin`; false: too many pins are watched.
pub(crate) fn watch(pin: u8) -> bool {
    if with(pin, |_| ()).is_some() {
        return true;
    }
    critical_section::with(|token| {
        let mut watches = WATCHES.borrow_ref_mut(token);
        let Some(place) = watches.iter_mut().find(|watch| watch.pin == 0) else {
            return false;
        };
        *place = Watch {
            pin: pin + 1,
            ..Watch::NONE
        };
        true
    })
}

/// Ends that.
pub(crate) fn forget(pin: u8) {
    critical_section::with(|token| {
        for watch in &mut *WATCHES.borrow_ref_mut(token) {
            if watch.pin == pin + 1 {
                watch.pin = 0;
            }
        }
    });
}

/// An edge came. Called by the board's interrupt.
#[cfg_attr(
    feature = "mps2-an385",
    expect(dead_code, reason = "QEMU has no inputs on this board")
)]
pub(crate) fn edge(pin: u8, edge: Edge) {
    with(pin, |watch| {
        if watch.count == EDGES {
            watch.first = (watch.first + 1) % EDGES;
            watch.count -= 1;
            watch.lost = watch.lost.saturating_add(1);
        }
        let last = (watch.first + watch.count) % EDGES;
        watch.high[last] = edge.high.into();
        watch.at[last] = edge.at;
        watch.count += 1;
    });
    HAPPENED.signal(());
}

/// Takes the oldest edge, and how many were lost before it.
pub(crate) fn take(pin: u8) -> Option<(Edge, u32)> {
    with(pin, |watch| {
        let edge = (watch.count > 0).then(|| Edge {
            high: watch.high[watch.first] != 0,
            at: watch.at[watch.first],
        })?;
        watch.first = (watch.first + 1) % EDGES;
        watch.count -= 1;
        Some((edge, core::mem::take(&mut watch.lost)))
    })
    .flatten()
}

/// Whether an edge waits.
pub(crate) fn waits(pin: u8) -> bool {
    with(pin, |watch| watch.count > 0).unwrap_or(false)
}
