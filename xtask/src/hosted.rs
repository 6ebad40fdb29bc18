//! `cargo xtask hosted`: the daemon as an ordinary process on this machine, with the shipped apps. For people who write
//! apps; tests start their own.

use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use clap::Args;

use crate::Which;
use crate::apps;
use crate::artefacts;
use crate::context::{Context, say};
use crate::platforms::Arch;
use crate::setup::{self, Need};

/// `cargo xtask hosted`
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
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
    if !options.no_apps {
        apps::build_all(context)?;
        daemon.arg("--apps").arg(context.out.join("apps"));
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
