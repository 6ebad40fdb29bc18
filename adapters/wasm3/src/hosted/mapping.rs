//! A file, mapped to be read: its pages are shared with other processes that run the same app, and given back when memory
//! is short, since wasm3 hardly looks at a module after it compiled it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// All of a file as it was when it was mapped.
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    /// Maps `file`, which nobody changes: the store replaces files by rename and never writes to one in place.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(Self {
                start: NonNull::dangling(),
                length,
            });
        }
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(|start| Self { start, length })
            .ok_or_else(|| io::Error::other("mapped at address 0"))
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for reading, or empty, until `self` is dropped.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: mapped by `of`, and whoever has the bytes borrows `self`.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_mapped_whole_and_an_empty_one_too() {
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(Mapping::of(&file).unwrap().bytes(), b"");
        file.write_all(b"all of it").unwrap();
        assert_eq!(Mapping::of(&file).unwrap().bytes(), b"all of it");
    }
}
