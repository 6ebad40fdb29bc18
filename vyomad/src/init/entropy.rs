//! Carries randomness over reboots, and waits a little for the kernel's generator.
//!
//! A board without a hardware generator can take long to collect randomness; a seed saved at the last run spares it
//! that. The method is seedrng's: the next seed replaces the old one on the disk *before* the old one is credited, so
//! that a power cut never lets two boots start alike. virtio-rng and the boot loader's seed are the
//! kernel's own business.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Note;

/// A SHA-256 value: as much as the kernel's generator can hold.
const SEED: usize = 32;
/// How long the boot waits: an app that needs randomness before it is there waits in its own process, not here.
const PATIENCE: Duration = Duration::from_millis(250);
/// Between two looks.
const POLL: Duration = Duration::from_millis(5);

/// `struct rand_pool_info` of linux/random.h with room for a seed.
#[repr(C)]
struct PoolInfo {
    entropy_bits: i32,
    size: i32,
    bytes: [u8; SEED],
}

// RNDADDENTROPY: _IOW('R', 0x03, int[2]); the size in its number is that of the header only.
nix::ioctl_write_ptr_bad!(
    rndaddentropy,
    nix::request_code_write!(b'R', 3, 8),
    PoolInfo
);

/// Makes the next seed, credits the saved one, and waits briefly until the generator is ready.
pub(super) fn start(state_dir: &Path) -> Note {
    let was_ready = ready();
    let old = read_seed(state_dir);
    // The new seed takes the old one's place first: only then can no other boot start from the old one.
    let (seed, saved) = match (save_seed(state_dir), old) {
        (Ok(()), None) => (
            "no seed from an earlier run".to_owned(),
            "next seed saved".to_owned(),
        ),
        (Ok(()), Some(old)) => {
            let credited = match credit(&old) {
                Ok(()) => "seed of the last run credited".to_owned(),
                Err(error) => format!("seed of the last run refused by the kernel: {error}"),
            };
            (credited, "next seed saved".to_owned())
        }
        (Err(error), _) => (
            "no seed used".to_owned(),
            format!("next seed not saved: {error}"),
        ),
    };
    let begin = Instant::now();
    while !ready() && begin.elapsed() < PATIENCE {
        std::thread::sleep(POLL);
    }
    let state = match (was_ready, ready()) {
        (true, _) => "generator was ready".to_owned(),
        (false, true) => format!("generator ready after {} ms", begin.elapsed().as_millis()),
        (false, false) => format!(
            "generator not ready after {} ms: apps that need it will wait",
            PATIENCE.as_millis()
        ),
    };
    Note::new("entropy", format!("{state}; {seed}; {saved}"))
}

/// Writes the seed of the next boot: what the kernel gives now, mixed with what is there. Called at start and at the end.
pub(super) fn save_seed(state_dir: &Path) -> io::Result<()> {
    let path = state_dir.join("seed");
    let old = fs::read(&path).unwrap_or_default();
    let mut fresh = [0; SEED];
    if !getrandom_now(&mut fresh) {
        // Not ready: /dev/urandom never blocks, and mixed with the clock below it is better than no seed.
        File::open("/dev/urandom")?.read_exact(&mut fresh)?;
    }
    let mut hash = Sha256::new();
    hash.update(b"vyoma seed 1");
    hash.update(old);
    hash.update(fresh);
    hash.update(
        std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_nanos()
            .to_le_bytes(),
    );
    // In place and synced once: after a power cut in between there is no seed, which is better than the old one twice.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(&hash.finalize())?;
    file.sync_all()
}

/// The seed of the last run; half a seed, or zeros that a power cut left, are none.
fn read_seed(state_dir: &Path) -> Option<[u8; SEED]> {
    let mut seed = [0; SEED];
    File::open(state_dir.join("seed"))
        .ok()?
        .read_exact(&mut seed)
        .ok()?;
    (seed != [0; SEED]).then_some(seed)
}

fn credit(seed: &[u8; SEED]) -> io::Result<()> {
    let info = PoolInfo {
        entropy_bits: (SEED * 8) as i32,
        size: SEED as i32,
        bytes: *seed,
    };
    let device = OpenOptions::new().write(true).open("/dev/urandom")?;
    // SAFETY: `info` is a rand_pool_info whose `size` is the length of what follows the header.
    unsafe { rndaddentropy(device.as_raw_fd(), &raw const info) }?;
    Ok(())
}

fn ready() -> bool {
    getrandom_now(&mut [0])
}

/// Fills `bytes`, unless the generator is not ready.
fn getrandom_now(bytes: &mut [u8]) -> bool {
    // SAFETY: `bytes` is valid for its length.
    let got =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    usize::try_from(got) == Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ_and_only_root_reads_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        save_seed(dir.path()).unwrap();
        let first = fs::read(&path).unwrap();
        save_seed(dir.path()).unwrap();
        assert_eq!(first.len(), SEED);
        assert_ne!(first, fs::read(&path).unwrap());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_saved_seed_reads_back_and_half_a_seed_or_zeros_do_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_seed(dir.path()), None);
        save_seed(dir.path()).unwrap();
        assert!(read_seed(dir.path()).is_some());
        for content in [&b"short"[..], &[0; SEED]] {
            fs::write(dir.path().join("seed"), content).unwrap();
            assert_eq!(read_seed(dir.path()), None);
        }
    }
}
