//! Counts host calls and uses of capabilities, as the page that vyomad gives to every app does (vyomad/src/roles/heartbeat.rs):
//! what a call costs on a device has that in it.

use std::sync::atomic::{AtomicU64, Ordering};

use vyoma_capabilities::capability::Capability;
use vyoma_runtime::Activity;

/// Counted by the one thread that runs the guest.
#[derive(Default)]
pub(crate) struct Counts {
    calls: AtomicU64,
    in_host: AtomicU64,
    used: [AtomicU64; Capability::ALL.len()],
    refused: [AtomicU64; Capability::ALL.len()],
}

fn count(counter: &AtomicU64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(1), Ordering::Relaxed);
}

impl Activity for Counts {
    fn enter(&self) {
        count(&self.calls);
        self.in_host.store(1, Ordering::Release);
    }

    fn leave(&self) {
        self.in_host.store(0, Ordering::Release);
    }

    fn used(&self, capability: Capability) {
        count(&self.used[capability.index()]);
    }

    fn refused(&self, capability: Capability) {
        count(&self.refused[capability.index()]);
    }
}
