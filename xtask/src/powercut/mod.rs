//! `cargo xtask powercut`: takes a device's power away while an app is being updated, at one write after the other, and looks
//! which version runs afterwards. It has to be the old one or the new one, and the new one once the device had said so.
//!
//! Twice over: the writes of one update are replayed up to each place, with and without what no flush had made safe, and
//! a daemon is started on what is left (quick, so every place can be tried); and real machines are killed in the middle of a
//! write and booted again (slow, so some are).

mod booted;
mod disk;
mod replay;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde::Serialize;
use vyoma_capabilities::control::{InstallOptions, Request, Response};

use self::booted::Booted;
use self::disk::Step;
use self::replay::{Bench, Cut, Dice, disk_after, ps};
use crate::bridge;
use crate::context::{Context, say, write_atomically};
use crate::control::Control;
use crate::image::{self, Image, WhichApps};
use crate::platforms::{self, Arch, Target};
use crate::setup::{self, Need};
use crate::{apps, artefacts, data};

/// The app that is updated.
const APP: &str = "app";
/// Its versions, and whose components they are.
const OLD: (&str, &str) = ("0.1.0", "echo");
const NEW: (&str, &str) = ("0.2.0", "counter");
/// The platform whose image boots fastest.
const PLATFORM: &str = "server-headless";
/// Size of the data disk: enough for both versions, and little to copy.
const DISK: u64 = 48 << 20;
/// For a device or a daemon to come up, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Where the outcome is kept, in the repository.
const PAGE: &str = "docs/power-cuts.md";

/// `cargo xtask powercut`
#[derive(Args)]
pub(crate) struct Options {
    /// Places at which the replay of an update is cut.
    #[arg(long, value_name = "N", default_value_t = 50)]
    cuts: usize,
    /// Machines that are killed in the middle of a write, and booted again.
    #[arg(long, value_name = "N", default_value_t = 3)]
    kills: usize,
    /// How many of the replayed disks are booted as well.
    #[arg(long, value_name = "N", default_value_t = 1)]
    boots: usize,
    /// Decides which places are chosen and what is lost there.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Write the outcome to docs/power-cuts.md.
    #[arg(long)]
    write: bool,
}

/// Which version runs after a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Outcome {
    Old,
    New,
}

impl Outcome {
    fn of(version: &str) -> anyhow::Result<Self> {
        if version == OLD.0 {
            Ok(Self::Old)
        } else if version == NEW.0 {
            Ok(Self::New)
        } else {
            bail!("version {version} runs, which nobody installed")
        }
    }
}

/// What was found of one kind of cut.
#[derive(Debug, Default)]
struct Tally {
    old: usize,
    new: usize,
    faults: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: &str, outcome: anyhow::Result<Outcome>, must_be_new: bool) {
        match outcome {
            Ok(Outcome::Old) if must_be_new => self.faults.push(format!(
                "{what}: the old version runs although the device had said that the new one is installed"
            )),
            Ok(Outcome::Old) => self.old += 1,
            Ok(Outcome::New) => self.new += 1,
            Err(error) => self.faults.push(format!("{what}: {error:#}")),
        }
    }

    fn total(&self) -> usize {
        self.old + self.new + self.faults.len()
    }
}

/// `cargo xtask powercut`
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    setup::ensure(context, Need::Boot)?;
    let lab = Lab::new(context)?;
    let started = Instant::now();
    let update = lab.record()?;
    let writes = update.writes();
    say(format_args!(
        "an update is {writes} writes and {} flushes; the device said that it was done after {} of them",
        update.steps.len() - writes,
        update.done_after
    ));
    let store = lab.machine_code()?;
    let bench = Bench {
        vyomad: &lab.vyomad,
        store: &store,
        platform: PLATFORM,
        scratch: lab.scratch.path(),
    };
    let mut dice = Dice(options.seed);
    let mut replays = Tally::default();
    let mut booted = Tally::default();
    let cuts = places(&update.steps, options.cuts, &mut dice);
    for (number, cut) in cuts.iter().enumerate() {
        let disk = disk_after(&update.base, &update.steps, *cut);
        let must_be_new = cut.after >= update.done_after;
        let what = format!("replay {cut:?}");
        replays.count(&what, bench.look(&disk), must_be_new);
        if number * options.boots / cuts.len().max(1)
            != (number + 1) * options.boots / cuts.len().max(1)
        {
            let outcome = lab.boot_and_look(&disk).map(|(_, outcome)| outcome);
            booted.count(&format!("boot of {what}"), outcome, must_be_new);
        }
        if (number + 1) % 25 == 0 {
            say(format_args!("{} of {} replays", number + 1, cuts.len()));
        }
    }
    let mut kills = Tally::default();
    for number in 0..options.kills {
        let at = kill_at(number, options.kills, writes, &mut dice);
        let what = format!("kill in write {at}");
        kills.count(&what, lab.kill(&update, at), false);
        say(format_args!(
            "{} of {} machines killed",
            number + 1,
            options.kills
        ));
    }
    let rows = [
        ("replayed, then a daemon on the files", replays),
        ("replayed, then booted", booted),
        ("machine killed in a write, then booted", kills),
    ];
    let report = report(&update, &rows);
    println!("{report}");
    say(format_args!(
        "took {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    let faults: Vec<&String> = rows.iter().flat_map(|(_, tally)| &tally.faults).collect();
    for fault in &faults {
        say(format_args!("fault: {fault}"));
    }
    if options.write && faults.is_empty() {
        write_atomically(&context.root.join(PAGE), report.as_bytes())?;
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Chooses places: each boundary between two steps once as it is, then with losses, again and again, until there are enough; fewer
/// are spread over all of it.
fn places(steps: &[Step], wanted: usize, dice: &mut Dice) -> Vec<Cut> {
    let boundaries = steps.len() + 1;
    (0..wanted)
        .map(|number| {
            if wanted <= boundaries {
                Cut {
                    after: number * boundaries / wanted,
                    loses: (number % 2 == 1).then(|| dice.throw()),
                }
            } else {
                Cut {
                    after: number % boundaries,
                    loses: (number >= boundaries).then(|| dice.throw()),
                }
            }
        })
        .collect()
}

/// In which write the machine of that number is killed: one in each part of the update, in each write once there are as many.
fn kill_at(number: usize, kills: usize, writes: usize, dice: &mut Dice) -> u64 {
    let part = |number: usize| (number * writes / kills) as u64;
    let (from, to) = (part(number), part(number + 1));
    from + dice.throw() % (to - from).max(1)
}

/// An update as the disk saw it.
struct Update {
    /// The disk before.
    base: Vec<u8>,
    /// What was done to it, until the new version was known to be healthy.
    steps: Vec<Step>,
    /// Steps after which the device said that the new version is installed.
    done_after: usize,
}

impl Update {
    fn writes(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| matches!(step, Step::Write { .. }))
            .count()
    }
}

/// Everything that is needed for it.
struct Lab {
    scratch: tempfile::TempDir,
    target: Target,
    image: Image,
    vyomad: PathBuf,
    versions: BTreeMap<&'static str, (String, Vec<u8>)>,
}

impl Lab {
    fn new(context: &Context) -> anyhow::Result<Self> {
        // Short: the path of a socket has at most 107 bytes.
        let scratch = tempfile::Builder::new().prefix("vyoma-").tempdir()?;
        let target = platforms::select(context, Some(PLATFORM), Some(Arch::X86_64))?;
        let mut which = WhichApps::only(Vec::new());
        let program = bridge::build(context, target.arch, scratch.path())?;
        which.add.push((bridge::PATH.to_owned(), program));
        let image = image::build(context, &target, &which)?;
        let vyomad = artefacts::program(context, "vyomad", Arch::X86_64)?;
        let mut versions = BTreeMap::new();
        for (version, app) in [OLD, NEW] {
            let app = apps::ready(context, &context.root.join("apps").join(app))?;
            let text = std::fs::read_to_string(app.dir.join("vyoma.toml"))?
                .replacen(
                    &format!("name = \"{}\"", app.name),
                    &format!("name = \"{APP}\""),
                    1,
                )
                .replacen("0.1.0", version, 1)
                .replacen("\n[capabilities]", "health_secs = 1\n\n[capabilities]", 1);
            versions.insert(version, (text, std::fs::read(app.dir.join(&app.wasm))?));
        }
        Ok(Self {
            scratch,
            target,
            image,
            vyomad,
            versions,
        })
    }

    /// Installs a version by that connection.
    fn install(&self, control: &mut Control, version: &str) -> anyhow::Result<()> {
        let (manifest, component) = self.versions.get(version).context("a version")?;
        control.send(&Request::Install {
            manifest: manifest.clone(),
            component_size: component.len() as u64,
            sha256: crate::context::sha256(component),
            ahead_of_time: None,
            options: InstallOptions::default(),
        })?;
        control.upload(component)?;
        match control.next()? {
            Response::Installed { .. } => Ok(()),
            other => bail!("answered {other:?} to install"),
        }
    }

    /// Boots a device on a disk.
    fn boot(&self, disk: Vec<u8>) -> anyhow::Result<Booted> {
        Booted::boot(&self.target, &self.image, disk, self.scratch.path())
    }

    /// Boots a device on a disk, and waits until the app runs: in which version. Once more from the same disk when the kernel says
    /// that its machine stood still: a busy host's emulator does that, and no disk.
    fn boot_and_look(&self, disk: &[u8]) -> anyhow::Result<(Booted, Outcome)> {
        let machine = self.boot(disk.to_vec())?;
        match machine.outcome() {
            Err(_) if machine.stood_still() => say("the emulator stood still; again"),
            outcome => return outcome.map(|outcome| (machine, outcome)),
        }
        drop(machine);
        let machine = self.boot(disk.to_vec())?;
        let outcome = machine.outcome()?;
        Ok((machine, outcome))
    }

    /// A disk with the old version on it; then the update, step by step.
    fn record(&self) -> anyhow::Result<Update> {
        let path = self.scratch.path().join("data.img");
        data::format(&path, DISK)?;
        let first = self.boot(std::fs::read(&path)?)?;
        let mut control = first.control()?;
        self.install(&mut control, OLD.0)?;
        first.outcome()?;
        let base = first.shut_down(control);
        let second = self.boot(base)?;
        second.outcome()?;
        let mut control = second.control()?;
        let base = {
            // Between two writes of the device: nothing of the update is missing in what is noted.
            second.disk.note();
            second.disk.state().bytes.clone()
        };
        self.install(&mut control, NEW.0)?;
        let done_after = second.disk.state().steps.len();
        let deadline = Instant::now() + PATIENCE;
        while ps(&mut control)?.iter().any(|app| {
            app.versions
                .as_ref()
                .is_some_and(|versions| versions.on_trial)
        }) {
            ensure!(Instant::now() < deadline, "the trial does not end");
            std::thread::sleep(LOOK);
        }
        ensure!(
            second.outcome()? == Outcome::New,
            "the update was taken back"
        );
        let steps = second.disk.state().steps.clone();
        Ok(Update {
            base,
            steps,
            done_after,
        })
    }

    /// Kills a device in its write `at` of the update, and boots it again.
    fn kill(&self, update: &Update, at: u64) -> anyhow::Result<Outcome> {
        let (mut first, _) = self.boot_and_look(&update.base)?;
        let mut control = first.control()?;
        first.disk.cut_after(at);
        // It never ends, or it ends before that write comes: then the power goes right after.
        let done = std::thread::scope(|scope| {
            let installing = scope.spawn(|| self.install(&mut control, NEW.0));
            let deadline = Instant::now() + PATIENCE;
            while !first.disk.state().off && !installing.is_finished() && Instant::now() < deadline
            {
                std::thread::sleep(LOOK / 10);
            }
            first.end();
            installing.join().is_ok_and(|installed| installed.is_ok())
        });
        let disk = std::mem::take(&mut first.disk.state().bytes);
        let (_, outcome) = self.boot_and_look(&disk)?;
        ensure!(
            !done || outcome == Outcome::New,
            "the old version runs although the device had said that the new one is installed"
        );
        Ok(outcome)
    }

    /// A store with the machine code of both versions, as the daemon of this machine makes it.
    fn machine_code(&self) -> anyhow::Result<PathBuf> {
        let state = self.scratch.path().join("warm");
        let mut child = Command::new(&self.vyomad)
            .args(["--hosted", "--profile", PLATFORM, "--state"])
            .arg(&state)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start vyomad")?;
        let socket = state.join("control.sock");
        let deadline = Instant::now() + PATIENCE;
        let mut control = loop {
            match Control::connect(&socket) {
                Ok(control) => break control,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(LOOK),
            }
        };
        let store = self.scratch.path().join("store");
        let mut installed = Ok(());
        for version in [OLD.0, NEW.0] {
            installed = installed
                .and_then(|()| self.install(&mut control, version))
                .and_then(|()| copy_files(&state.join("store"), &store));
        }
        crate::control::end(&mut child, Ok(control));
        installed.map(|()| store)
    }
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)?.flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// What was found, as a page of the documentation.
fn report(update: &Update, rows: &[(&str, Tally)]) -> String {
    let writes = update.writes();
    let mut text = format!(
        "# Power cuts\n\n\
        Written by `cargo xtask powercut --write`. A device ({PLATFORM}, ext4 on a virtio disk) is updated from one version of an app to the\n\
        next and loses its power meanwhile: at every boundary between two writes of the update, and in the middle of writes. What no flush\n\
        had made safe is there, in order, or lost in parts, as a disk with a cache loses it. Afterwards the file system has to be sound once\n\
        its journal is replayed, and the app has to run: in the old version or the new one, and in the new one once the device had answered\n\
        that it is installed.\n\n\
        One update was {writes} writes and {} flushes.\n\n\
        | how | cuts | old version runs | new version runs | neither, or the wrong one |\n|---|---|---|---|---|\n",
        update.steps.len() - writes
    );
    for (name, tally) in rows {
        use std::fmt::Write as _;
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} |",
            tally.total(),
            tally.old,
            tally.new,
            tally.faults.len()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_killed_in_every_part_of_an_update_and_in_every_write_when_there_are_enough() {
        let writes = |kills: usize| -> Vec<u64> {
            let mut dice = Dice(1);
            (0..kills)
                .map(|number| kill_at(number, kills, 35, &mut dice))
                .collect()
        };
        assert_eq!(writes(35), (0..35).collect::<Vec<_>>());
        assert!(writes(70).windows(2).all(|pair| pair[0] <= pair[1]));
        let few = writes(3);
        assert!(few[0] < 11 && (11..23).contains(&few[1]) && (23..35).contains(&few[2]));
    }

    #[test]
    fn few_cuts_are_spread_over_the_whole_update_and_many_come_to_every_boundary() {
        let steps = vec![Step::Flush; 9];
        let few = places(&steps, 5, &mut Dice(1));
        let after: Vec<usize> = few.iter().map(|cut| cut.after).collect();
        assert_eq!(after, [0, 2, 4, 6, 8]);
        assert!(few[0].loses.is_none() && few[1].loses.is_some());
        let many = places(&steps, 25, &mut Dice(1));
        for boundary in 0..10 {
            let plain = many
                .iter()
                .filter(|cut| cut.after == boundary && cut.loses.is_none());
            assert_eq!(plain.count(), 1, "{boundary}");
        }
    }
}
