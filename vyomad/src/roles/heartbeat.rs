//! The app's side of the heartbeat page: counts host calls where the daemon's watchdog sees them. Called by `app`.

use std::fs::File;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use vyoma_capabilities::capability::Capability;
use vyoma_runtime::Activity;

use crate::spec::Heartbeat;

// The page is defined as little-endian, and the counters are plain atomics.
const _: () = assert!(cfg!(target_endian = "little"));

/// The mapped page. Never unmapped: it lives as long as the process.
pub(super) struct Page(NonNull<u8>);

// SAFETY: the page is only reached through atomics.
unsafe impl Send for Page {}
// SAFETY: the page is only reached through atomics.
unsafe impl Sync for Page {}

impl Page {
    /// Maps the page; the descriptor is not needed any more then.
    pub(super) fn map(memfd: &File) -> Result<Self, String> {
        let size = memfd
            .metadata()
            .map_err(|error| format!("heartbeat page: {error}"))?
            .len();
        if size < Heartbeat::SIZE as u64 {
            return Err(format!(
                "heartbeat page has {size} bytes, expected {}",
                Heartbeat::SIZE
            ));
        }
        let length = NonZeroUsize::new(Heartbeat::SIZE).ok_or("heartbeat page of no size")?;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else in this process uses the file.
        let page = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                memfd,
                0,
            )
        }
        .map_err(|error| format!("heartbeat page: mmap: {error}"))?;
        Ok(Self(page.cast()))
    }

    fn counter(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(
            offset + size_of::<AtomicU64>() <= Heartbeat::SIZE
                && offset.is_multiple_of(align_of::<AtomicU64>())
        );
        // SAFETY: inside the mapped page, aligned (the page is page-aligned), and atomics may be shared between processes.
        unsafe { self.0.add(offset).cast::<AtomicU64>().as_ref() }
    }

    /// One more. Only the thread that runs the guest counts, so that nothing is lost between the two.
    fn count(&self, offset: usize) {
        let counter = self.counter(offset);
        let before = counter.load(Ordering::Relaxed);
        counter.store(before.wrapping_add(1), Ordering::Relaxed);
    }
}

impl Activity for Page {
    fn enter(&self) {
        self.count(Heartbeat::CALLS);
        // Release: a daemon that sees the flag sees the count.
        self.counter(Heartbeat::IN_HOST).store(1, Ordering::Release);
    }

    fn leave(&self) {
        self.counter(Heartbeat::IN_HOST).store(0, Ordering::Release);
    }

    fn used(&self, capability: Capability) {
        self.count(Heartbeat::used(capability.index()));
    }

    fn refused(&self, capability: Capability) {
        self.count(Heartbeat::refused(capability.index()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn memfd(size: usize) -> File {
        let file: File =
            nix::sys::memfd::memfd_create(c"heartbeat", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
                .unwrap()
                .into();
        file.set_len(size as u64).unwrap();
        file
    }

    fn read(file: &File, offset: usize) -> u64 {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, offset as u64).unwrap();
        u64::from_le_bytes(bytes)
    }

    #[test]
    fn the_other_side_sees_calls_and_whether_one_is_under_way() {
        let file = memfd(Heartbeat::SIZE);
        let page = Page::map(&file).unwrap();
        page.enter();
        assert_eq!(
            (
                read(&file, Heartbeat::CALLS),
                read(&file, Heartbeat::IN_HOST)
            ),
            (1, 1)
        );
        page.leave();
        page.enter();
        page.leave();
        assert_eq!(
            (
                read(&file, Heartbeat::CALLS),
                read(&file, Heartbeat::IN_HOST)
            ),
            (2, 0)
        );
    }

    #[test]
    fn uses_and_refusals_of_each_capability_stand_in_the_page() {
        let file = memfd(Heartbeat::SIZE);
        let page = Page::map(&file).unwrap();
        for capability in Capability::ALL {
            for _ in 0..=capability.index() {
                page.used(capability);
            }
            page.refused(capability);
        }
        for capability in Capability::ALL {
            let index = capability.index();
            let (used, refused) = (Heartbeat::used(index), Heartbeat::refused(index));
            assert_eq!(
                (read(&file, used), read(&file, refused)),
                (index as u64 + 1, 1)
            );
        }
        assert_eq!(
            (
                read(&file, Heartbeat::CALLS),
                read(&file, Heartbeat::IN_HOST)
            ),
            (0, 0)
        );
    }

    #[test]
    fn a_page_that_is_too_small_is_refused_before_it_can_fault() {
        assert!(Page::map(&memfd(100)).err().unwrap().contains("100 bytes"));
    }
}
