//! `cargo xtask`: set-up, builds, images, boots, tests and figures of this repository, in one program that needs only
//! Rust to be compiled. The Makefile and `.ci/run` call it through `bootstrap.sh`. It deliberately isn't a build system:
//! cargo and the kernel's make decide what is out of date, xtask only calls them in order.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a command-line tool: stdout is where its results go"
)]

mod apps;
mod archive;
mod artefacts;
mod bench;
mod boot;
mod bridge;
mod budget;
mod context;
mod control;
mod data;
mod deny;
mod figures;
mod hosted;
mod image;
mod kernel;
mod keys;
mod matrix;
mod mcu;
mod new;
mod platforms;
mod powercut;
mod qemu;
mod run;
mod setup;
mod side_by_side;
mod spec;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::context::{Context, say};
use crate::mcu::Board;
use crate::platforms::{Arch, Target};

/// Set-up, builds, images, boots, tests and figures of the Vyoma repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing of packages, Rust targets and kernels for everything below.
    Setup {
        /// Only packages and Rust targets; kernels are built when an image needs them.
        #[arg(long)]
        no_kernels: bool,
    },
    /// Builds a platform's image: kernel, vyomad, apps, initramfs; for mcu-minimal firmware and apps.
    Image(image::Options),
    /// Boots a platform's image in QEMU with its console in this terminal.
    Run(run::Options),
    /// The same in a window.
    RunGui(run::Options),
    /// Writes the firmware, and apps, to a real board of mcu-minimal.
    Flash(mcu::flash::Options),
    /// Boots an image for a test or a measurement, and reports in JSON.
    Boot(boot::Options),
    /// Runs the daemon as an ordinary process on this machine.
    Hosted(hosted::Options),
    /// Builds vyoma-aotc, which makes machine code of components for iot-edge and robotics-rt, and prints its path.
    Aotc,
    /// Runs components on every platform and every engine, and compares: one SHA-256, one output, one exit code each.
    Matrix(matrix::Options),
    /// Makes an app from a template.
    New {
        /// Its name: a-z, 0-9 and -.
        name: String,
    },
    /// Everything that CI runs.
    Test(test::Options),
    /// Measures what docs/benchmarks.md says, and writes it.
    Bench(bench::Options),
    /// Takes a device's power away at the writes of an update, and looks what runs afterwards.
    Powercut(powercut::Options),
    /// Measures what iot-edge and robotics-rt take of memory and space, and fails over budget.
    Budget(budget::Options),
    /// Removes what was built in this checkout; downloads and kernels in the cache stay.
    Clean,
}

/// Which image, as every command that takes one says it.
#[derive(Args, Clone)]
struct Which {
    /// One of the six platforms.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Another architecture than the platform's own (server-headless only).
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
    /// The board (mcu-minimal only).
    #[arg(long, value_name = "BOARD")]
    board: Option<Board>,
}

impl Which {
    /// The target, or the reason and exit status 2 when there is none.
    fn target(&self, context: &Context) -> anyhow::Result<Target> {
        platforms::select(context, self.platform.as_deref(), self.arch)
    }

    /// The board, when the platform is the microcontroller's; `None`: another platform, or none, was asked for.
    fn board(&self, context: &Context) -> anyhow::Result<Option<Board>> {
        platforms::board(context, self.platform.as_deref(), self.arch, self.board)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("{error:#}"));
            if error.is::<platforms::NoSuchTarget>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let context = Context::find()?;
    match command {
        Command::Setup { no_kernels } => {
            setup::ensure(&context, setup::Need::Everything)?;
            if !no_kernels {
                for (arch, flavour) in kernel::ALL {
                    kernel::ensure(&context, arch, flavour)?;
                }
            }
            println!("setup: everything is in place");
            Ok(ExitCode::SUCCESS)
        }
        Command::Image(options) => image::command(&context, &options),
        Command::Run(options) => run::command(&context, &options, run::Console::Terminal),
        Command::RunGui(options) => run::command(&context, &options, run::Console::Window),
        Command::Flash(options) => mcu::flash::command(&context, &options),
        Command::Boot(options) => boot::command(&context, &options),
        Command::Hosted(options) => hosted::command(&context, &options),
        Command::Matrix(options) => matrix::command(&context, &options),
        Command::New { name } => {
            new::command(&context, &name)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Test(options) => Ok(test::command(&context, &options)),
        Command::Bench(options) => bench::command(&context, &options),
        Command::Aotc => {
            setup::ensure(&context, setup::Need::Boot)?;
            println!("{}", artefacts::aotc(&context)?.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Powercut(options) => powercut::command(&context, &options),
        Command::Budget(options) => budget::command(&context, &options),
        Command::Clean => {
            for dir in [
                context.out.clone(),
                context.root.join("target"),
                context.root.join("apps/target"),
            ] {
                remove(&dir)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn remove(dir: &PathBuf) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(anyhow::Error::new(error).context(format!("cannot remove {}", dir.display())))
        }
        _ => Ok(()),
    }
}
