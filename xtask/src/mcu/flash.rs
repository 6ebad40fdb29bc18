//! `cargo xtask flash`: puts the firmware onto a real board with probe-rs, and apps when they are named. What is installed
//! on the board stays, unless apps are named: they are written as a region of their own, in place of the old one.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use super::{Board, image};
use crate::context::{Context, call, capture, say, which};
use crate::image::WhichApps;
use crate::setup::{self, Need};

/// The tool.
const PROBE_RS: &str = "probe-rs";

/// `cargo xtask flash`
#[derive(Args)]
pub(crate) struct Options {
    /// The board.
    #[arg(long, value_name = "BOARD")]
    board: Board,
    /// Also write this app, in place of everything that is installed (may be repeated): a source folder under apps/, or any
    /// folder with a vyoma.toml and its component.
    #[arg(long = "app", value_name = "DIR")]
    apps: Vec<PathBuf>,
    /// Which probe, when there are several: VID:PID:SERIAL, as `probe-rs list` shows it.
    #[arg(long, value_name = "PROBE")]
    probe: Option<String>,
}

/// Flashes the board and starts it.
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    let board = options.board;
    let chip = board.chip().with_context(|| {
        format!(
            "{} is a board of QEMU only; expected --board b-l475e-iot01a",
            board.name()
        )
    })?;
    // Before anything is built: it is what may be missing.
    check_probe()?;
    setup::ensure(context, Need::Firmware)?;
    let image = image::build(context, board, &WhichApps::only(options.apps.clone()))?;
    let probe_rs = |verb: &str| {
        let mut command = Command::new(PROBE_RS);
        command.args([verb, "--chip", chip]);
        if let Some(probe) = &options.probe {
            command.args(["--probe", probe]);
        }
        command
    };
    say(format_args!("writing the firmware to {}", board.name()));
    call(probe_rs("download").arg(&image.firmware.elf))?;
    if !options.apps.is_empty() {
        let start = image.firmware.region("apps")?.start;
        say(format_args!(
            "writing {} apps at {start:#010x}",
            options.apps.len()
        ));
        call(
            probe_rs("download")
                .args(["--binary-format", "bin", "--base-address"])
                .arg(format!("{start:#x}"))
                .arg(&image.region_file),
        )?;
    }
    call(&mut probe_rs("reset"))?;
    println!(
        "{} runs; its console and control lines are UARTs: see docs/microcontroller.md",
        board.name()
    );
    Ok(ExitCode::SUCCESS)
}

/// The tool is there, and so is a probe.
fn check_probe() -> anyhow::Result<()> {
    if which(PROBE_RS).is_none() {
        bail!(
            "{PROBE_RS} is not installed; it writes to real boards; install it with `cargo install probe-rs-tools --locked` and try again"
        );
    }
    found(&capture(Command::new(PROBE_RS).arg("list"))?)
}

/// Whether `probe-rs list` lists a probe.
fn found(listed: &str) -> anyhow::Result<()> {
    // One a line, numbered: `[0]: STLink V2-1 -- 0483:374b:... (ST-LINK)`.
    ensure!(
        listed
            .lines()
            .any(|line| line.trim_start().starts_with('[')),
        "no debug probe is connected; expected the board's ST-LINK on USB, as `{PROBE_RS} list` shows it; on Linux, udev rules may be missing"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_probe_it_is_said_what_is_missing_and_what_to_look_at() {
        for none in ["", "No debug probes were found.\n"] {
            let error = found(none).unwrap_err().to_string();
            assert!(error.contains("no debug probe is connected"), "{error}");
            assert!(
                error.contains("ST-LINK") && error.contains("udev"),
                "{error}"
            );
        }
        let one = "The following debug probes were found:\n[0]: STLink V2-1 -- 0483:374b:0669FF (ST-LINK)\n";
        assert!(found(one).is_ok());
    }
}
