//! What a power cut leaves, and whether a device can live with it: the steps of an installation are replayed up to a place, what
//! no flush had made safe may be lost, the file system is repaired as a kernel would (its journal), and a daemon is
//! started on the files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use vyoma_capabilities::control::{AppStatus, Request, Response};
use vyoma_capabilities::lifecycle::Phase;

use super::disk::Step;
use super::{APP, Outcome, PATIENCE};
use crate::context::which;
use crate::control::{self, Control};

/// Between two looks at a daemon.
const LOOK: Duration = Duration::from_millis(50);

/// A place at which the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Steps that came before it.
    pub(super) after: usize,
    /// How the writes that no flush has followed fare: `None`: all are there, in order; else each may be lost, as this number
    /// decides.
    pub(super) loses: Option<u64>,
}

/// The disk after that cut.
pub(super) fn disk_after(base: &[u8], steps: &[Step], cut: Cut) -> Vec<u8> {
    let mut disk = base.to_vec();
    let steps = &steps[..cut.after];
    let safe = steps
        .iter()
        .rposition(|step| *step == Step::Flush)
        .map_or(0, |flush| flush + 1);
    let mut dice = cut.loses.map(Dice);
    for (number, step) in steps.iter().enumerate() {
        let kept = number < safe || dice.as_mut().is_none_or(Dice::heads);
        if kept {
            step.apply(&mut disk);
        }
    }
    disk
}

/// The same throws for the same seed: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// The next number.
    pub(super) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn heads(&mut self) -> bool {
        self.throw().is_multiple_of(2)
    }
}

/// Starts daemons on what is left of a disk.
pub(super) struct Bench<'a> {
    /// The daemon.
    pub(super) vyomad: &'a Path,
    /// Machine code of both versions, so that no run has to compile.
    pub(super) store: &'a Path,
    /// Its platform.
    pub(super) platform: &'a str,
    /// Where files may be.
    pub(super) scratch: &'a Path,
}

impl Bench<'_> {
    /// Which version runs after all.
    pub(super) fn look(&self, disk: &[u8]) -> anyhow::Result<Outcome> {
        let dir = tempfile::tempdir_in(self.scratch)?;
        let image = dir.path().join("data.img");
        std::fs::write(&image, disk)?;
        // What a kernel does when it mounts: the journal is replayed, and files that nobody has a name for any more go. Any
        // other fault is one that it would not mend, and ends this with another code.
        e2fsprogs("e2fsck", &["-p", "-f"], &image, &[0, 1])
            .context("the file system is damaged after its journal was replayed")?;
        let out = dir.path().join("files");
        std::fs::create_dir(&out)?;
        let dump = format!("rdump /vyoma {}", out.display());
        e2fsprogs("debugfs", &["-R", &dump], &image, &[0])?;
        let state = out.join("vyoma");
        ensure!(state.is_dir(), "the disk holds no state directory");
        self.run_on(&state)
    }

    /// Starts a daemon on a state directory, and waits until the app runs.
    pub(super) fn run_on(&self, state: &Path) -> anyhow::Result<Outcome> {
        let log = state.with_extension("log");
        let output = std::fs::File::create(&log)?;
        let mut child = Command::new(self.vyomad)
            .args([
                "--hosted",
                "--console",
                "--profile",
                self.platform,
                "--state",
            ])
            .arg(state)
            .arg("--store")
            .arg(self.store)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start vyomad")?;
        let socket = state.join("control.sock");
        // Left by the device, of which these are the files: nobody listens behind it.
        let found = wait_for_app(|| Control::connect(&socket));
        control::end(&mut child, Control::connect(&socket));
        found.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())
    }
}

/// Waits until the app runs; which version it is.
pub(super) fn wait_for_app(
    connect: impl Fn() -> anyhow::Result<Control>,
) -> anyhow::Result<Outcome> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let apps = connect().and_then(|mut control| ps(&mut control));
        let running = apps
            .as_ref()
            .ok()
            .and_then(|apps| apps.iter().find(|app| app.name == APP))
            .filter(|app| app.phase == Phase::Running);
        if let Some(app) = running {
            return Outcome::of(&app.version);
        }
        if Instant::now() > deadline {
            bail!("no version of the app runs: {apps:?}");
        }
        std::thread::sleep(LOOK);
    }
}

/// All apps.
pub(super) fn ps(control: &mut Control) -> anyhow::Result<Vec<AppStatus>> {
    match control.ask(&Request::Ps)? {
        Response::Apps(apps) => Ok(apps),
        other => bail!("answered {other:?} to ps"),
    }
}

/// Runs a program of e2fsprogs on an image.
fn e2fsprogs(program: &str, words: &[&str], image: &Path, fine: &[i32]) -> anyhow::Result<()> {
    let path: PathBuf =
        which(program).with_context(|| format!("{program} is not installed; run `make setup`"))?;
    let output = Command::new(path).args(words).arg(image).output()?;
    ensure!(
        output
            .status
            .code()
            .is_some_and(|code| fine.contains(&code)),
        "{program} {words:?}: {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: usize) -> Step {
        Step::Write {
            at,
            bytes: vec![at as u8],
        }
    }

    #[test]
    fn what_was_flushed_is_there_whatever_is_lost_and_the_rest_is_lost_in_parts() {
        let steps = [
            write(1),
            write(2),
            Step::Flush,
            write(3),
            write(4),
            write(5),
        ];
        let all = Cut {
            after: 5,
            loses: None,
        };
        assert_eq!(disk_after(&[0; 6], &steps, all), [0, 1, 2, 3, 4, 0]);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..64 {
            let cut = Cut {
                after: 6,
                loses: Some(seed),
            };
            let disk = disk_after(&[0; 6], &steps, cut);
            assert_eq!(disk[..3], [0, 1, 2]);
            seen.insert(disk);
        }
        assert_eq!(seen.len(), 8, "every part of three writes can be lost");
    }
}
