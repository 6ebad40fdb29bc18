//! Carries randomness over reboots, and waits a little for the kernel's generator.
//!
//! A board without a hardware generator can take long to collect randomness; a seed saved at the last run spares it
//! that. The method is seedrng's: a seed is made unusable on the disk *before* it is credited, so that a power cut
//! never lets two boots start alike, and a new one is written at once. virtio-rng and the boot loader's seed are the
//! kernel's own business.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Note, files};

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
nix::ioctl_write_ptr_bad!(rndaddentropy, nix::request_code_write!(b'R', 3, 8), PoolInfo);

/// Credits the saved seed, makes the next one, and waits briefly until the generator is ready.
pub(super) fn start(state_dir: &Path) -> Note {
    let was_ready = ready();
    let seed = match take_seed(state_dir) {
        Ok(None) => "no seed from an earlier run".to_owned(),
        Ok(Some(seed)) => match credit(&seed) {
            Ok(()) => "seed of the last run credited".to_owned(),
            Err(error) => format!("seed of the last run refused by the kernel: {error}"),
        },
        Err(error) => format!("seed file can't be used: {error}"),
    };
    let begin = Instant::now();
    while !ready() && begin.elapsed() < PATIENCE {
        std::thread::sleep(POLL);
    }
    let is_ready = ready();
    let saved = match save_seed(state_dir) {
        Ok(()) => "next seed saved".to_owned(),
        Err(error) => format!("next seed not saved: {error}"),
    };
    let state = match (was_ready, is_ready) {
        (true, _) => "generator was ready".to_owned(),
        (false, true) => format!("generator ready after {} ms", begin.elapsed().as_millis()),
        (false, false) => format!("generator not ready after {} ms: apps that need it will wait", PATIENCE.as_millis()),
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
    hash.update(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos().to_le_bytes());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(&hash.finalize())?;
    file.sync_all()?;
    files::sync_dir_of(&path)
}

/// Reads the seed and removes it durably.
fn take_seed(state_dir: &Path) -> io::Result<Option<[u8; SEED]>> {
    let path = state_dir.join("seed");
    let mut seed = [0; SEED];
    let whole = match File::open(&path) {
        Ok(mut file) => file.read_exact(&mut seed).is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    fs::remove_file(&path)?;
    files::sync_dir_of(&path)?;
    // Half a seed, or zeros that a power cut left, are none.
    Ok((whole && seed != [0; SEED]).then_some(seed))
}

fn credit(seed: &[u8; SEED]) -> io::Result<()> {
    let info = PoolInfo { entropy_bits: (SEED * 8) as i32, size: SEED as i32, bytes: *seed };
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
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    usize::try_from(got) == Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_given_out_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(take_seed(dir.path()).unwrap(), None);
        save_seed(dir.path()).unwrap();
        assert!(take_seed(dir.path()).unwrap().is_some());
        assert_eq!(take_seed(dir.path()).unwrap(), None);
    }

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
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn half_a_seed_and_zeros_are_no_seed() {
        let dir = tempfile::tempdir().unwrap();
        for content in [&b"short"[..], &[0; SEED]] {
            fs::write(dir.path().join("seed"), content).unwrap();
            assert_eq!(take_seed(dir.path()).unwrap(), None);
            assert!(!dir.path().join("seed").exists());
        }
    }
}
