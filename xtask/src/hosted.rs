//! `cargo xtask hosted`: the daemon as an ordinary process on this machine, with the shipped apps that need no board. For people
//! who write apps; tests start their own.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use clap::Args;

use crate::Which;
use crate::apps::{self, App};
use crate::artefacts;
use crate::context::{Context, say};
use crate::platforms::Arch;
use crate::setup::{self, Need};

/// `cargo xtask hosted`
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
    /// Simulate a board with every kind of device (boards/simulated.toml), for apps that are installed then.
    #[arg(long)]
    simulate: bool,
    /// Start without the shipped apps.
    #[arg(long)]
    no_apps: bool,
}

/// Runs until it is interrupted.
pub(crate) fn command(context: &Context, options: &Options) -> anyhow::Result<ExitCode> {
    let target = options.which.target(context)?;
    setup::ensure(context, Need::Build)?;
    let vyomad = artefacts::program(context, "vyomad", Arch::X86_64)?;
    let vyomactl = artefacts::program(context, "vyomactl", Arch::X86_64)?;
    let state = context.target.join("hosted");
    let mut daemon = Command::new(vyomad);
    daemon
        .args([
            "--hosted",
            "--console",
            "--profile",
            target.platform,
            "--state",
        ])
        .arg(&state);
    if options.simulate {
        let board = context.root.join("boards/simulated.toml");
        daemon.arg("--simulate").arg(board);
    }
    if !options.no_apps {
        let (shipped, _) = apps::build_all(context)?;
        let folder = context.target.join("hosted-apps");
        // As in an image. With a board some of the others would want the same pin.
        let runs_anywhere = |app: &&App| !app.needs_board;
        link(&folder, shipped.iter().filter(runs_anywhere))?;
        daemon.arg("--apps").arg(folder);
    }
    say(format_args!(
        "in another terminal: export VYOMA_TARGET=unix://{}/control.sock",
        state.display()
    ));
    say(format_args!("then: {} ps", vyomactl.display()));
    let status = daemon
        .stdin(Stdio::null())
        .status()
        .context("cannot run vyomad")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Makes a folder that has these apps and no others.
fn link<'a>(folder: &Path, apps: impl Iterator<Item = &'a App>) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for app in apps {
        symlink(&app.dir, folder.join(&app.name))?;
    }
    Ok(())
}
