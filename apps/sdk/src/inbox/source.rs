//! What an inbox reads from.

use crate::sys;
use crate::time::Instant;

/// What reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes; when it is none, reading again may bring some.
    Bytes(usize),
    /// None within the time.
    TimedOut,
    /// Nothing more will come.
    Closed,
    /// It can't be read.
    Failed,
}

/// Something that carries lines.
pub trait Source {
    /// Reads at most as many bytes as `room` has, which is at least one, and waits for the first until `deadline` (absent: as
    /// long as it takes).
    fn read(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Read;
}

/// Standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandardInput;

impl Source for StandardInput {
    fn read(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Read {
        sys::read(room, deadline)
    }
}

/// Whatever `std` reads from a descriptor.
#[cfg(any(feature = "std", not(target_os = "wasi")))]
impl<R: std::io::Read + std::os::fd::AsRawFd> Source for R {
    fn read(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Read {
        if let Some(deadline) = deadline {
            let left = deadline - Instant::now();
            let mut waits = [crate::ready::Wait::to_read(&self.as_raw_fd())];
            match crate::ready::wait(&mut waits, Some(left)) {
                Ok(0) => return Read::TimedOut,
                Ok(_) => {}
                Err(_) => return Read::Failed,
            }
        }
        match std::io::Read::read(self, room) {
            Ok(0) => Read::Closed,
            Ok(count) => Read::Bytes(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Read::Bytes(0),
            Err(_) => Read::Failed,
        }
    }
}
