//! `cargo xtask run` and `boot` for a board in QEMU.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, ensure};

use super::Board;
use super::image::{self, Image};
use super::machine::{self, Machine};
use crate::artefacts;
use crate::boot::{self, MachineOptions, Plan, Report};
use crate::context::{Context, say, sha256, write_atomically};
use crate::data::Disk;
use crate::image::WhichApps;
use crate::platforms::Arch;
use crate::qemu::Console;
use crate::setup::{self, Need};

/// Runs until the user leaves. What was installed is there again the next time.
pub(crate) fn command(
    context: &Context,
    board: Board,
    apps: &WhichApps,
    options: &MachineOptions,
) -> anyhow::Result<ExitCode> {
    check(options)?;
    setup::ensure(context, Need::Firmware)?;
    let image = image::build(context, board, apps)?;
    let vyomactl = artefacts::program(context, "vyomactl", Arch::X86_64)?;
    let folder = context
        .out
        .join("run")
        .join(format!("mcu-minimal-{}", board.name()));
    let flash = kept_flash(&folder, &image)?;
    let control = folder.join("control");
    let machine = Machine {
        firmware: &image.firmware,
        flash: &flash,
        control: &control,
        console: Console::Terminal,
        qmp: None,
        extra: &options.qemu,
    };
    image.show()?;
    say(format_args!(
        "in another terminal: {} --target serial://{} ps",
        vyomactl.display(),
        control.display()
    ));
    say("starting QEMU; Ctrl-A then X leaves it, Ctrl-A then H lists what else it does");
    let status = machine
        .command()?
        .stdin(Stdio::inherit())
        .status()
        .context("cannot run QEMU")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The flash of the last run, or a new one when there is none or what would go into it has changed.
fn kept_flash(folder: &Path, image: &Image) -> anyhow::Result<PathBuf> {
    let (flash, made_of) = (folder.join("flash.img"), folder.join("made-of"));
    let now = sha256(&image.region.bytes);
    if flash.is_file() && fs::read_to_string(&made_of).is_ok_and(|before| before == now) {
        say(format_args!(
            "flash of the last run, with what was installed: {} (remove it for a new one)",
            flash.display()
        ));
        return Ok(flash);
    }
    machine::write_flash(&image.firmware, &image.region, &flash)?;
    write_atomically(&made_of, now.as_bytes())?;
    Ok(flash)
}

/// Boots a board and watches its console. Its flash is a fresh one with the image's apps, or what lies in the file of
/// `--data`; that is made when it is not there.
pub(crate) fn boot(
    image: &Image,
    options: &MachineOptions,
    plan: &Plan,
    on_match: &dyn Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    check(options)?;
    let scratch = tempfile::tempdir()?;
    let qmp = scratch.path().join("qmp");
    let flash = match &options.data {
        Disk::File(file) => std::path::absolute(file)?,
        _ => scratch.path().join("flash.img"),
    };
    if !flash.is_file() {
        machine::write_flash(&image.firmware, &image.region, &flash)?;
    }
    let control = match &options.control {
        Some(path) => std::path::absolute(path)?,
        None => scratch.path().join("control"),
    };
    let machine = Machine {
        firmware: &image.firmware,
        flash: &flash,
        control: &control,
        console: Console::Pipe,
        qmp: Some(&qmp),
        extra: &options.qemu,
    };
    boot::supervise(machine.command()?, &qmp, plan, on_match)
}

fn check(options: &MachineOptions) -> anyhow::Result<()> {
    let linux = !options.append.is_empty()
        || options.memory.is_some()
        || !options.forward.is_empty()
        || matches!(options.data, Disk::None | Disk::Blank);
    ensure!(
        !linux,
        "--append, --memory, --forward, --data none and --data blank are for machines with Linux; a board has none of them"
    );
    Ok(())
}
