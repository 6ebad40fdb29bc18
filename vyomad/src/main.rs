//! The Vyoma daemon. One binary, several roles: as PID 1 it is a device's only program, hosted it is the same daemon
//! on a developer's machine, and the daemon starts it again as `vyomad app`, `vyomad admit` and `vyomad ssh`.
//!
//! This file only decides which role it is; it holds no logic of any of them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program answers --help and --version on stdout"
)]

mod args;
mod daemon;
mod init;
mod mapped;
mod roles;
mod sandbox;
mod spec;

use std::process::ExitCode;

use args::Role;

fn main() -> ExitCode {
    // The kernel hands PID 1 every word of its command line that it does not know: argv means nothing there.
    if std::process::id() == 1 {
        return daemon::run_as_pid1();
    }
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Role::Hosted(options)) => daemon::run_hosted(&options),
        Ok(Role::App) => roles::app::main(),
        Ok(Role::Admit) => roles::admit::main(),
        Ok(Role::Compile) => roles::compile::main(),
        Ok(Role::Ssh) => roles::ssh::main(),
        Ok(Role::Control(socket)) => roles::pipe::main(&socket),
        Ok(Role::Version) => {
            println!("vyomad {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Role::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("vyomad: {message}; see vyomad --help");
            ExitCode::from(2)
        }
    }
}
