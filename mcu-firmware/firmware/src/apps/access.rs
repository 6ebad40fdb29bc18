//! The memory that an app names in a call, looked at only where the app itself may look. The app is parked meanwhile, so
//! what was checked stays as it is.

use core::ops::Range;

use crate::memory;

/// Where an app may read and write.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) arena: Range<u32>,
    /// It also has the loader's stack.
    pub(super) loading: bool,
}

/// An address that is not the app's.
#[derive(Debug)]
pub(super) struct Outside;

impl Access {
    fn in_ram(&self, wanted: &Range<u32>) -> bool {
        within(wanted, &self.arena) || self.loading && within(wanted, &memory::loader())
    }

    /// The bytes there, to be read.
    pub(super) fn read(&self, address: u32, length: u32) -> Result<&[u8], Outside> {
        let wanted = range(address, length)?;
        let readable = self.in_ram(&wanted)
            || within(&wanted, &memory::flash())
            || within(&wanted, &memory::apps());
        if !readable {
            return Err(Outside);
        }
        // SAFETY: memory of the app's, or flash. The app does not run while `self` is borrowed.
        Ok(unsafe {
            core::slice::from_raw_parts(
                core::ptr::with_exposed_provenance(wanted.start as usize),
                length as usize,
            )
        })
    }

    /// The bytes there, to be written.
    pub(super) fn write(&mut self, address: u32, length: u32) -> Result<&mut [u8], Outside> {
        let wanted = range(address, length)?;
        if !self.in_ram(&wanted) {
            return Err(Outside);
        }
        // SAFETY: memory of the app's. The app does not run while `self` is borrowed.
        Ok(unsafe {
            core::slice::from_raw_parts_mut(
                core::ptr::with_exposed_provenance_mut(wanted.start as usize),
                length as usize,
            )
        })
    }

    /// The words there.
    pub(super) fn words<const N: usize>(&self, address: u32) -> Result<[u32; N], Outside> {
        let bytes = self.read(address, N as u32 * 4)?;
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        Ok(words)
    }

    /// Replaces the words there.
    pub(super) fn set_words(&mut self, address: u32, words: &[u32]) -> Result<(), Outside> {
        let bytes = self.write(address, words.len() as u32 * 4)?;
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }
}

fn range(address: u32, length: u32) -> Result<Range<u32>, Outside> {
    let end = address.checked_add(length).ok_or(Outside)?;
    // A pointer of no bytes may be anything; one of a slice may not be null.
    let start = if length == 0 { address.max(4) } else { address };
    Ok(start..end.max(start))
}

/// Nothing lies everywhere.
fn within(wanted: &Range<u32>, whole: &Range<u32>) -> bool {
    wanted.is_empty() || whole.start <= wanted.start && wanted.end <= whole.end
}
