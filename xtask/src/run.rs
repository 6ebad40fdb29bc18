//! `cargo xtask run` and `run-gui`: a device with its console in this terminal or in a window, and a data disk that is
//! kept from one run to the next.

use std::net::TcpListener;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, ensure};
use clap::Args;
use vyoma_capabilities::profile::Engine;

use crate::Which;
use crate::artefacts;
use crate::boot::MachineOptions;
use crate::context::{Context, say};
use crate::data::{self, Disk};
use crate::image::{self, WhichApps};
use crate::keys;
use crate::mcu;
use crate::platforms::Arch;
use crate::qemu::{self, Forward, Machine};
use crate::setup::{self, Need};

/// The port of the app http-server; forwarded when nobody else has it.
const HTTP: u16 = 8080;
/// The first of this machine's ports that are tried for SSH.
const FIRST_SSH: u16 = 2222;
/// How many are tried.
const TRIES: u16 = 50;

/// Options of both commands.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    apps: WhichApps,
    #[command(flatten)]
    machine: MachineOptions,
}

/// Where the console goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Console {
    /// This terminal.
    Terminal,
    /// A window of its own.
    Window,
}

/// Runs until the device powers off or the user leaves.
pub(crate) fn command(
    context: &Context,
    options: &Options,
    console: Console,
) -> anyhow::Result<ExitCode> {
    if let Some(board) = options.which.board(context)? {
        ensure!(
            console == Console::Terminal,
            "{} has no screen; `make run` shows its console here",
            board.name()
        );
        return mcu::run::command(context, board, &options.apps, &options.machine);
    }
    let target = options.which.target(context)?;
    if console == Console::Window {
        let display = ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        ensure!(
            display,
            "DISPLAY and WAYLAND_DISPLAY are not set; a window needs one; `make run` shows the console here"
        );
        setup::ensure(context, Need::Window)?;
    }
    setup::ensure(context, Need::Boot)?;
    let ours = options.apps.keys.or_the_developers(context)?;
    let which = WhichApps {
        keys: ours.and_the_made_one(context)?,
        ..options.apps.clone()
    };
    let image = image::build(context, &target, &which)?;
    let vyomactl = artefacts::program(context, "vyomactl", Arch::X86_64)?;
    if target.engine == Engine::Wamr {
        artefacts::aotc_beside_vyomactl(context)?;
    }
    let scratch = tempfile::tempdir()?;
    let kept = context.out.join("run").join(target.id()).join("data.img");
    let disk = match &options.machine.data {
        // The default of `boot`; a person expects to find the notes of yesterday.
        Disk::Fresh => {
            data::keep(&kept)?;
            Some(kept)
        }
        other => data::prepare(other, scratch.path())?,
    };
    let mut forwards = options.machine.forward.clone();
    if forwards.is_empty() && is_free(HTTP) {
        forwards.push(Forward {
            host: HTTP,
            guest: HTTP,
        });
    }
    if !which.keys.is_empty() && forwards.iter().all(|forward| forward.guest != keys::PORT) {
        let host = (FIRST_SSH..FIRST_SSH + TRIES)
            .find(|port| is_free(*port))
            .context(
                "no port from 2222 to 2271 is free for SSH; give one with --forward PORT:22",
            )?;
        forwards.push(Forward {
            host,
            guest: keys::PORT,
        });
    }
    let machine = Machine {
        target: &target,
        kernel: &image.kernel.image,
        initramfs: &image.initramfs,
        memory_mb: options.machine.memory,
        append: &options.machine.append,
        data: disk.as_deref(),
        forwards: &forwards,
        extra: &options.machine.qemu,
        console: match console {
            Console::Terminal => qemu::Console::Terminal,
            Console::Window => qemu::Console::Window,
        },
        qmp: None,
        hardware: None,
    };
    let mut note = None;
    for Forward { host, guest } in &forwards {
        if *guest == keys::PORT && note.is_none() && !which.keys.is_empty() {
            note = Some(keys::Note::write(context, target.platform, *host)?);
            say(format_args!(
                "in another terminal: vyomactl --target {} ps     (vyomactl is {}; without --target it finds this device, too)",
                keys::address(*host),
                vyomactl.display()
            ));
            continue;
        }
        say(format_args!(
            "http://127.0.0.1:{host}/ is port {guest} of the device"
        ));
    }
    if let Some(disk) = &disk {
        say(format_args!("data disk: {}", disk.display()));
    }
    say(match console {
        Console::Terminal => {
            "starting QEMU; Ctrl-A then X leaves it, Ctrl-A then H lists what else it does"
        }
        Console::Window => "starting QEMU; closing its window ends it",
    });
    let status = machine
        .command()?
        .stdin(Stdio::inherit())
        .status()
        .context("cannot run QEMU")?;
    drop(note);
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
