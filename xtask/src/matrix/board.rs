//! The microcontroller in the matrix: which apps fit, in which rounds they run, and how its board is asked. It is asked by
//! `vyomactl` on the serial line, as an operator would; there is no second client.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vyoma_capabilities::control::{AppStatus, DeviceInfo, LogLine};

use super::job::Job;
use crate::artefacts;
use crate::context::{Context, say};
use crate::mcu::{Board, firmware, region};
use crate::platforms::{self, Arch, MICROCONTROLLER};

/// An app that a platform has no room for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Unfit {
    pub(super) app: String,
    pub(super) platform: &'static str,
    /// Of the component, as this machine computes it.
    pub(super) sha256: String,
    /// Why, with the numbers.
    pub(super) reason: String,
}

/// What runs on the board together, and what does not fit there.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) rounds: Vec<Vec<&'a Job>>,
    pub(super) unfit: Vec<Unfit>,
}

/// Plans the rounds for a board with the default firmware.
pub(super) fn plan<'a>(context: &Context, jobs: &'a [Job]) -> anyhow::Result<Plan<'a>> {
    let profile = platforms::microcontroller(context)?;
    let firmware = firmware::build(context, Board::DEFAULT)?;
    let room = firmware.region("pool")?.len() as u64;
    let mut fit = Vec::new();
    let mut unfit = Vec::new();
    for job in jobs {
        let bytes = std::fs::read(&job.component)
            .with_context(|| format!("cannot read {}", job.component.display()))?;
        let needs = region::needs(&profile, &job.component, &bytes);
        match verdict(needs.map_err(|error| format!("{error:#}")), room) {
            Ok(needs) => fit.push((job, needs)),
            Err(reason) => {
                say(format_args!("{MICROCONTROLLER}: {}: {reason}", job.name));
                unfit.push(Unfit {
                    app: job.name.clone(),
                    platform: MICROCONTROLLER,
                    sha256: job.sha256.clone(),
                    reason,
                });
            }
        }
    }
    let rounds = rounds(fit, profile.max_apps as usize, room);
    Ok(Plan { rounds, unfit })
}

/// Bytes that it needs, or why it does not fit.
fn verdict(needs: Result<u64, String>, room: u64) -> Result<u64, String> {
    match needs {
        Ok(needs) if needs <= room => Ok(needs),
        Ok(needs) => Err(format!(
            "does not fit: needs {} KB, {MICROCONTROLLER} has {} KB for apps",
            needs.div_ceil(1024),
            room / 1024
        )),
        Err(error) => Err(format!("does not fit: {error}")),
    }
}

/// As many at a time as run at once and have room together. From the end of the list: what belongs together (ping and pong)
/// stands there, side by side.
fn rounds<T>(mut fit: Vec<(T, u64)>, most: usize, room: u64) -> Vec<Vec<T>> {
    let mut rounds = Vec::new();
    let (mut round, mut taken) = (Vec::new(), 0);
    while let Some((job, needs)) = fit.pop() {
        if round.len() == most || taken + needs > room {
            rounds.push(std::mem::take(&mut round));
            taken = 0;
        }
        round.push(job);
        taken += needs;
    }
    if !round.is_empty() {
        rounds.push(round);
    }
    rounds
}

/// `vyomactl` on a board's serial line.
#[derive(Debug)]
pub(super) struct Operator {
    vyomactl: PathBuf,
    control: PathBuf,
}

impl Operator {
    /// For the board whose control line is linked at `control`.
    pub(super) fn new(context: &Context, control: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            vyomactl: artefacts::program(context, "vyomactl", Arch::X86_64)?,
            control: control.to_owned(),
        })
    }

    fn run(&self, arguments: &[&str], stdin: Stdio) -> anyhow::Result<String> {
        let output = Command::new(&self.vyomactl)
            .arg("--target")
            .arg(format!("serial://{}", self.control.display()))
            .args(["--output", "json"])
            .args(arguments)
            .stdin(stdin)
            .output()
            .with_context(|| format!("cannot run {}", self.vyomactl.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("vyomactl {}: {}", arguments.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn document<T: DeserializeOwned>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let text = self.run(arguments, Stdio::null())?;
        serde_json::from_str(&text)
            .with_context(|| format!("vyomactl {} printed {text:?}", arguments.join(" ")))
    }

    /// The device itself.
    pub(super) fn info(&self) -> anyhow::Result<DeviceInfo> {
        self.document(&["info"])
    }

    /// All apps.
    pub(super) fn ps(&self) -> anyhow::Result<Vec<AppStatus>> {
        self.document(&["ps"])
    }

    /// What an app printed.
    pub(super) fn logs(&self, app: &str) -> anyhow::Result<Vec<LogLine>> {
        self.run(&["logs", app], Stdio::null())?
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("logs: {line:?}")))
            .collect()
    }

    /// Gives an app its standard input, up to the end.
    pub(super) fn send(&self, app: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let mut input = tempfile::tempfile()?;
        std::io::Write::write_all(&mut input, bytes)?;
        std::io::Seek::rewind(&mut input)?;
        self.run(&["send", app, "--end"], Stdio::from(input))
            .map(drop)
    }
}

/// A board's answer comes at once, or the line is not there yet.
pub(super) const LOOK: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_says_the_numbers() {
        assert_eq!(verdict(Ok(90 << 10), 90 << 10), Ok(90 << 10));
        assert_eq!(
            verdict(Ok(1_150_000), 90 << 10).unwrap_err(),
            "does not fit: needs 1124 KB, mcu-minimal has 90 KB for apps"
        );
    }

    #[test]
    fn rounds_hold_as_many_as_run_at_once_and_have_room_and_partners_stay_together() {
        let all = vec![
            ("hello", 20),
            ("counter", 30),
            ("echo", 25),
            ("pong", 25),
            ("ping", 31),
        ];
        assert_eq!(
            rounds(all.clone(), 3, 90),
            [vec!["ping", "pong", "echo"], vec!["counter", "hello"]]
        );
        assert_eq!(
            rounds(all, 3, 60),
            [vec!["ping", "pong"], vec!["echo", "counter"], vec!["hello"]]
        );
    }
}
