//! `vyomactl`: what an operator does to Vyoma devices, by SSH, over a control socket or a serial line.
//!
//! It asks and shows; it decides nothing about apps (that is the device's part) and keeps no state but `targets.toml`.
//! Called by people in a terminal and by scripts: every command but `dashboard` has a JSON form and every failure an exit code of its kind.
#![allow(
    clippy::print_stdout,
    reason = "a command's output is its purpose; it goes through output::Output, which handles closed pipes"
)]
#![forbid(unsafe_code)]

mod ahead_of_time;
mod apps;
mod bundle;
mod caps;
mod cli;
mod client;
mod dashboard;
mod device;
mod doctor;
mod exit;
mod fleet;
mod inspect;
mod install;
mod key;
mod microcontroller;
mod oci;
mod output;
mod package;
mod reference;
mod secret;
mod sim;
mod streams;
mod support;
mod target;
mod targets;
mod top;
mod units;
mod versions;
mod watch;

use std::process::ExitCode;

use cli::{Cli, Command, KeyCommand, TargetCommand};
use client::Client;
use exit::Failure;
use output::Output;
use targets::Place;

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
    match &cli.command {
        Command::Inspect(args) => return inspect::inspect(&args.path, out),
        Command::Sign(args) => return key::sign(args, out),
        Command::Pack(args) => return bundle::pack(args, out),
        Command::Push(args) => return oci::push(args, out),
        Command::Key(KeyCommand::New { path }) => return key::new(path, out),
        Command::Doctor => return doctor::doctor(&cli.target, cli.timeout, out),
        Command::Watch(args) => {
            let place = targets::only(&cli.target, "watch")?;
            return watch::watch(&place.target, cli.timeout, args, out);
        }
        Command::Target(TargetCommand::Add(args)) => return targets::add(args, cli.timeout, out),
        Command::Target(TargetCommand::List) => return targets::list(out),
        Command::Target(TargetCommand::Remove(args)) => return targets::remove(args, out),
        Command::Completions(args) => return reference::completions(args.shell, out),
        Command::Man => return reference::man(out),
        _ => {}
    }
    // Everything that can be wrong on this side is found before a device is asked.
    let installation = match &cli.command {
        Command::Install(args) => Some((args, package_of(args)?)),
        _ => None,
    };
    let places = targets::resolve(&cli.target)?;
    match &cli.command {
        Command::Logs(args) => return streams::logs(&places, cli.timeout, args, out),
        Command::Events(args) => return streams::events(&places, cli.timeout, args, out),
        Command::Dashboard => return dashboard::dashboard(&places, cli.timeout, out),
        _ => {}
    }
    if let [place] = places.as_slice() {
        return on_device(cli, place, installation.as_ref(), out);
    }
    match &cli.command {
        // It shows what comes as it comes, so there is nothing to put into a table.
        Command::Top(_) => targets::single(&places, "top").map(drop)?,
        // A board is simulated by one daemon.
        Command::Sim(_) => targets::single(&places, "sim").map(drop)?,
        // One archive is of one device.
        Command::Support(_) => targets::single(&places, "support").map(drop)?,
        Command::Send(args) if args.line.is_none() => {
            return Err(Failure::new(
                exit::Exit::Usage,
                "send: standard input can't go to several targets; give the line as an argument",
            ));
        }
        Command::Shutdown(args) => {
            device::confirm_all(device::End::Shutdown, places.len(), args.yes)?;
        }
        Command::Reboot(args) => device::confirm_all(device::End::Reboot, places.len(), args.yes)?,
        _ => {}
    }
    fleet::run(&places, &cli.command, out, |place, out| {
        on_device(cli, place, installation.as_ref(), out)
    })
}

/// The app that is to be installed, from wherever it is.
fn package_of(args: &cli::InstallArgs) -> Result<package::Package, Failure> {
    match args
        .path
        .to_str()
        .filter(|text| text.starts_with(oci::SCHEME))
    {
        Some(text) => oci::pull(&oci::Reference::parse(text)?, args.manifest.as_deref()),
        None if args.manifest.is_some() => Err(Failure::new(
            exit::Exit::Usage,
            "--manifest is for apps in a registry (oci://...); name the folder that has the vyoma.toml",
        )),
        None => package::Package::load(&args.path),
    }
}

/// A command on one device.
fn on_device(
    cli: &Cli,
    place: &Place,
    installation: Option<&(&cli::InstallArgs, package::Package)>,
    out: &mut Output,
) -> Result<(), Failure> {
    let connect = || Client::open(&place.target, cli.timeout);
    let client = &mut connect()?;
    if let Some((args, package)) = installation {
        return install::install(client, &connect, package, args, out);
    }
    match &cli.command {
        Command::Ps => apps::ps(client, out),
        Command::Top(args) => top::top(client, args, out),
        Command::Rollback(args) => versions::rollback(client, &args.app, out),
        Command::Key(command) => key::key(client, command, out),
        Command::Remove(args) => apps::remove(client, args, out),
        Command::Send(args) => apps::send(client, args, out),
        Command::Start(args) => apps::change(client, apps::Change::Start, &args.app, out),
        Command::Stop(args) => apps::change(client, apps::Change::Stop, &args.app, out),
        Command::Restart(args) => apps::change(client, apps::Change::Restart, &args.app, out),
        Command::Caps(args) => caps::caps(client, &args.app, out),
        Command::Info => device::info(client, out),
        Command::Sim(args) => sim::sim(client, &args.command, out),
        Command::Support(args) => support::support(client, args, out),
        Command::Shutdown(args) => device::end(client, device::End::Shutdown, args.yes, out),
        Command::Reboot(args) => device::end(client, device::End::Reboot, args.yes, out),
        // Dealt with before.
        Command::Inspect(_)
        | Command::Install(_)
        | Command::Sign(_)
        | Command::Pack(_)
        | Command::Push(_)
        | Command::Logs(_)
        | Command::Events(_)
        | Command::Dashboard
        | Command::Doctor
        | Command::Watch(_)
        | Command::Target(_)
        | Command::Completions(_)
        | Command::Man => Ok(()),
    }
}
