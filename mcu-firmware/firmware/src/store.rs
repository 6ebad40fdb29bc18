//! The apps in flash. For now an image as the host packs it.

use alloc::vec::Vec;

use vyoma_capabilities::manifest::Manifest;

use crate::memory;

/// An app as it lies in flash.
pub(crate) struct Slot {
    pub(crate) manifest: Manifest,
    pub(crate) component: &'static [u8],
    pub(crate) sha256: [u8; 32],
}

/// All apps.
pub(crate) fn slots() -> Vec<Slot> {
    let range = memory::apps();
    // SAFETY: flash, which nobody writes to.
    let bytes: &'static [u8] = unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance(range.start as usize),
            (range.end - range.start) as usize,
        )
    };
    read(bytes).unwrap_or_default()
}

fn read(bytes: &'static [u8]) -> Option<Vec<Slot>> {
    let word =
        |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    if bytes.get(..4)? != b"VAPP" {
        return None;
    }
    let mut slots = Vec::new();
    for n in 0..word(4)? {
        let entry = 8 + n * 48;
        let part = |at: usize| {
            let start = word(entry + at)?;
            bytes.get(start..start + word(entry + at + 4)?)
        };
        slots.push(Slot {
            manifest: postcard::from_bytes(part(0)?).ok()?,
            component: part(8)?,
            sha256: bytes.get(entry + 16..entry + 48)?.try_into().ok()?,
        });
    }
    Some(slots)
}
