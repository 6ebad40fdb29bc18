//! `vyomactl`: what an operator does to a Vyoma device, over its control socket or a serial line.
//!
//! It asks and shows; it decides nothing about apps (that is the device's part) and keeps no state of its own. Called
//! by people in a terminal and by scripts: every command has a JSON form and every failure an exit code of its kind.
#![allow(
    clippy::print_stdout,
    reason = "a command's output is its purpose; it goes through output::Output, which handles closed pipes"
)]
#![forbid(unsafe_code)]

mod ahead_of_time;
mod apps;
mod caps;
mod cli;
mod client;
mod dashboard;
mod device;
mod doctor;
mod exit;
mod inspect;
mod install;
mod microcontroller;
mod output;
mod package;
mod reference;
mod streams;
mod support;
mod target;
mod top;
mod units;
mod watch;

use std::process::ExitCode;

use cli::{Cli, Command};
use client::Client;
use exit::Failure;
use output::Output;
use target::Target;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let mut out = Output::new(cli.output, cli.color);
    match run(&cli, &mut out).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(cli.output),
    }
}

fn run(cli: &Cli, out: &mut Output) -> Result<(), Failure> {
    let connect = || Client::open(&Target::parse(&cli.target)?, cli.timeout);
    match &cli.command {
        Command::Ps => apps::ps(&mut connect()?, out),
        Command::Top(args) => top::top(&mut connect()?, args, out),
        Command::Logs(args) => streams::logs(&sources(cli)?, cli.timeout, args, out),
        Command::Install(args) => {
            // Everything that can be wrong on this side is found before a device is asked.
            let package = package::Package::load(&args.path)?;
            install::install(&mut connect()?, &package, args, out)
        }
        Command::Watch(args) => watch::watch(&Target::parse(&cli.target)?, cli.timeout, args, out),
        Command::Remove(args) => apps::remove(&mut connect()?, args, out),
        Command::Send(args) => apps::send(&mut connect()?, args, out),
        Command::Start(args) => apps::change(&mut connect()?, apps::Change::Start, &args.app, out),
        Command::Stop(args) => apps::change(&mut connect()?, apps::Change::Stop, &args.app, out),
        Command::Restart(args) => {
            apps::change(&mut connect()?, apps::Change::Restart, &args.app, out)
        }
        Command::Caps(args) => caps::caps(&mut connect()?, &args.app, out),
        Command::Inspect(args) => inspect::inspect(&args.path, out),
        Command::Events(args) => streams::events(&sources(cli)?, cli.timeout, args, out),
        Command::Info => device::info(&mut connect()?, out),
        Command::Dashboard => dashboard::dashboard(&sources(cli)?, cli.timeout, out),
        Command::Doctor => doctor::doctor(&cli.target, cli.timeout, out),
        Command::Support(args) => support::support(&mut connect()?, args, out),
        Command::Shutdown(args) => {
            device::end(&mut connect()?, device::End::Shutdown, args.yes, out)
        }
        Command::Reboot(args) => device::end(&mut connect()?, device::End::Reboot, args.yes, out),
        Command::Completions(args) => reference::completions(args.shell, out),
        Command::Man => reference::man(out),
    }
}

/// The devices that are listened to.
fn sources(cli: &Cli) -> Result<Vec<streams::Source>, Failure> {
    Ok(vec![streams::Source {
        name: cli.target.clone(),
        target: Target::parse(&cli.target)?,
    }])
}
