//! A disk whose power can be cut at any write: an NBD server (the protocol of the Linux kernel's `nbd`, as QEMU speaks it:
//! <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>) over bytes in memory, which notes every write and flush
//! in their order and, when it is told to, takes no more after a certain one.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context as _;

/// What reached the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// These bytes, there.
    Write {
        /// Byte on the disk.
        at: usize,
        /// What was written.
        bytes: Vec<u8>,
    },
    /// Everything before is to be kept from here on.
    Flush,
}

impl Step {
    /// Does it to a disk.
    pub(super) fn apply(&self, disk: &mut [u8]) {
        if let Self::Write { at, bytes } = self {
            disk[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// A disk, and what has been done to it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Every step since [`Disk::note`].
    pub(super) steps: Vec<Step>,
    noting: bool,
    /// Writes that are still taken; absent: all.
    left: Option<u64>,
    /// The power is gone: nothing is taken any more.
    pub(super) off: bool,
}

/// A disk that QEMU can use. It is served as long as the program runs.
#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// Serves a disk with these bytes on the socket `path`.
    pub(super) fn serve(bytes: Vec<u8>, path: &Path) -> anyhow::Result<Self> {
        let disk = Self(Arc::new(Mutex::new(State {
            bytes,
            ..State::default()
        })));
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot make {}", path.display()))?;
        let served = disk.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A machine that is killed breaks the connection: that is its end, and no fault.
                let _ = served.session(stream);
            }
        });
        Ok(disk)
    }

    /// What there is of it.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves bytes as they were, whole.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes every step from now on.
    pub(super) fn note(&self) {
        let mut state = self.state();
        state.noting = true;
        state.steps.clear();
    }

    /// Cuts the power in the middle of the write after `writes` further ones.
    pub(super) fn cut_after(&self, writes: u64) {
        self.state().left = Some(writes);
    }

    fn write(&self, at: usize, bytes: &[u8]) -> bool {
        let mut state = self.state();
        if state.off {
            return false;
        }
        let mut taken = bytes.len();
        if let Some(left) = &mut state.left {
            if *left == 0 {
                state.off = true;
                // A disk keeps whole sectors of a write that is cut: half of them, say.
                taken = bytes.len() / SECTOR / 2 * SECTOR;
            } else {
                *left -= 1;
            }
        }
        let step = Step::Write {
            at,
            bytes: bytes[..taken].to_vec(),
        };
        step.apply(&mut state.bytes);
        if state.noting {
            state.steps.push(step);
        }
        !state.off
    }

    fn flush(&self) -> bool {
        let mut state = self.state();
        if state.noting {
            state.steps.push(Step::Flush);
        }
        !state.off
    }

    fn session(&self, mut stream: UnixStream) -> io::Result<()> {
        let size = self.state().bytes.len() as u64;
        stream.write_all(b"NBDMAGICIHAVEOPT")?;
        stream.write_all(&(FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes())?;
        let mut flags = [0; 4];
        stream.read_exact(&mut flags)?;
        if !negotiate(&mut stream, size)? {
            return Ok(());
        }
        loop {
            let mut head = [0; 28];
            stream.read_exact(&mut head)?;
            let kind = head[7];
            let cookie = &head[8..16];
            let at = usize::try_from(number(&head[16..24])).unwrap_or(usize::MAX);
            let length = number(&head[24..28]) as usize;
            let inside = at.checked_add(length).is_some_and(|end| end as u64 <= size);
            let mut data = Vec::new();
            if kind == WRITE {
                data.resize(length, 0);
                stream.read_exact(&mut data)?;
            }
            let mut reply = Vec::from(REPLY.to_be_bytes());
            let error: u32 = match kind {
                DISCONNECT => return Ok(()),
                READ | WRITE if !inside => EINVAL,
                READ | WRITE | FLUSH => 0,
                _ => EINVAL,
            };
            reply.extend(error.to_be_bytes());
            reply.extend(cookie);
            let alive = match kind {
                READ if error == 0 => {
                    reply.extend_from_slice(&self.state().bytes[at..at + length]);
                    true
                }
                WRITE if error == 0 => self.write(at, &data),
                FLUSH => self.flush(),
                _ => true,
            };
            if !alive {
                // No answer: without power nobody gives one.
                return Ok(());
            }
            stream.write_all(&reply)?;
        }
    }
}

/// What is kept whole of a write that is cut, in bytes.
const SECTOR: usize = 512;
const FIXED_NEWSTYLE: u16 = 1;
const NO_ZEROES: u16 = 2;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REPLY: u32 = 0x6744_6698;
/// The export has flags, and wants flushes.
const EXPORT_FLAGS: u16 = 1 | 4;
const EXPORT_NAME: u32 = 1;
const ABORT: u32 = 2;
const GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_UNSUPPORTED: u32 = 0x8000_0001;
const READ: u8 = 0;
const WRITE: u8 = 1;
const DISCONNECT: u8 = 2;
const FLUSH: u8 = 3;
const EINVAL: u32 = 22;

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Agrees on the export; false when the client leaves.
fn negotiate(stream: &mut UnixStream, size: u64) -> io::Result<bool> {
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        let option = number(&head[8..12]) as u32;
        let mut data = vec![0; number(&head[12..16]).min(4096) as usize];
        stream.read_exact(&mut data)?;
        let mut answer = |kind: u32, data: &[u8]| {
            let mut reply = Vec::from(OPTION_REPLY.to_be_bytes());
            reply.extend(option.to_be_bytes());
            reply.extend(kind.to_be_bytes());
            reply.extend((data.len() as u32).to_be_bytes());
            reply.extend(data);
            stream.write_all(&reply)
        };
        let export = [&size.to_be_bytes()[..], &EXPORT_FLAGS.to_be_bytes()].concat();
        match option {
            GO => {
                answer(REP_INFO, &[&[0, 0][..], &export].concat())?;
                answer(REP_ACK, &[])?;
                return Ok(true);
            }
            EXPORT_NAME => {
                stream.write_all(&export)?;
                return Ok(true);
            }
            ABORT => return Ok(false),
            _ => answer(REP_UNSUPPORTED, &[])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for one thing; what comes back after the reply's head.
    fn ask(
        stream: &mut UnixStream,
        kind: u8,
        at: u64,
        data: &[u8],
        length: u32,
    ) -> io::Result<Vec<u8>> {
        let mut request = 0x2560_9513_u32.to_be_bytes().to_vec();
        request.extend([0, 0, 0, kind]);
        request.extend(7_u64.to_be_bytes());
        request.extend(at.to_be_bytes());
        request.extend(length.to_be_bytes());
        request.extend(data);
        stream.write_all(&request)?;
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        assert_eq!(number(&head[..4]), u64::from(REPLY));
        assert_eq!((number(&head[4..8]), number(&head[8..])), (0, 7));
        let mut back = vec![0; if kind == READ { length as usize } else { 0 }];
        stream.read_exact(&mut back)?;
        Ok(back)
    }

    #[test]
    fn every_write_and_flush_is_noted_and_after_the_cut_nothing_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let disk = Disk::serve(vec![0; 8192], &path).unwrap();
        let mut stream = UnixStream::connect(&path).unwrap();
        let mut hello = [0; 18];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(&1_u32.to_be_bytes()).unwrap();
        let mut option = b"IHAVEOPT".to_vec();
        option.extend(EXPORT_NAME.to_be_bytes());
        option.extend(0_u32.to_be_bytes());
        stream.write_all(&option).unwrap();
        let mut export = [0; 10];
        stream.read_exact(&mut export).unwrap();
        assert_eq!(number(&export[..8]), 8192);
        ask(&mut stream, WRITE, 0, &[9; 512], 512).unwrap();
        disk.note();
        ask(&mut stream, WRITE, 512, &[1; 512], 512).unwrap();
        ask(&mut stream, FLUSH, 0, &[], 0).unwrap();
        assert_eq!(
            ask(&mut stream, READ, 0, &[], 1024).unwrap()[511..513],
            [9, 1]
        );
        disk.cut_after(1);
        ask(&mut stream, WRITE, 1024, &[2; 512], 512).unwrap();
        assert!(ask(&mut stream, WRITE, 2048, &[3; 2048], 2048).is_err());
        let state = disk.state();
        assert!(state.off);
        let flushes = state.steps.iter().filter(|step| **step == Step::Flush);
        assert_eq!((state.steps.len(), flushes.count()), (4, 1));
        let mut replayed = vec![0; 8192];
        replayed[..512].fill(9);
        for step in &state.steps {
            step.apply(&mut replayed);
        }
        assert!(replayed == state.bytes);
        assert_eq!((state.bytes[2048 + 1023], state.bytes[2048 + 1024]), (3, 0));
    }
}
