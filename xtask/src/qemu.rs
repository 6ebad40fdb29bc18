//! QEMU machines like the platforms, and the QMP socket by which a running one is watched and stopped. Emulation only
//! (TCG): the same everywhere, whether or not this machine lends out its virtualisation. Called by `run`, `boot` and
//! figures.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::context::which;
use crate::platforms::{Arch, Target};

/// Two CPUs, so that apps and vyomad really run at once, as on the platforms' hardware.
const CPUS: &str = "2";

/// Where the console goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Console {
    /// QEMU's stdin and stdout, bytes as they are.
    Pipe,
    /// This terminal, with Ctrl-A as QEMU's escape.
    Terminal,
    /// A window.
    Window,
}

/// Another machine than the platform's usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Hardware {
    /// QEMU's Raspberry Pi 3 B with the device tree of a Zero 2 W, which has the same BCM2837: no disk, no network, its own memory,
    /// and the console on the mini UART. `i2c-bus.1` is `/dev/i2c-1`.
    #[value(name = "raspi3b")]
    Raspi3b,
}

impl Hardware {
    /// Its device tree, by its name in the kernel's sources.
    pub(crate) fn device_tree(self) -> &'static str {
        match self {
            Self::Raspi3b => "broadcom/bcm2837-rpi-zero-2-w",
        }
    }
}

/// What else a machine gets.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    /// Architecture and devices.
    pub(crate) target: &'a Target,
    /// Kernel to boot.
    pub(crate) kernel: &'a Path,
    /// Initramfs to boot.
    pub(crate) initramfs: &'a Path,
    /// Memory; absent: the profile's.
    pub(crate) memory_mb: Option<u64>,
    /// Words for the kernel's command line.
    pub(crate) append: &'a [String],
    /// The data disk.
    pub(crate) data: Option<&'a Path>,
    /// `HOSTPORT:GUESTPORT`, TCP, on 127.0.0.1 only.
    pub(crate) forwards: &'a [Forward],
    /// Further arguments for QEMU.
    pub(crate) extra: &'a [String],
    /// Where the console goes.
    pub(crate) console: Console,
    /// Where QEMU listens for QMP.
    pub(crate) qmp: Option<&'a Path>,
    /// Another machine than the usual one, and its device tree.
    pub(crate) hardware: Option<(Hardware, &'a Path)>,
}

/// `HOSTPORT:GUESTPORT`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forward {
    /// Port on 127.0.0.1.
    pub(crate) host: u16,
    /// Port of the device.
    pub(crate) guest: u16,
}

impl std::str::FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once(':')
            .and_then(|(host, guest)| {
                Some(Self {
                    host: host.parse().ok()?,
                    guest: guest.parse().ok()?,
                })
            })
            .ok_or_else(|| format!("found {text:?}; expected HOSTPORT:GUESTPORT, such as 8080:80"))
    }
}

impl Machine<'_> {
    /// The command that runs it.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        if let Some((Hardware::Raspi3b, device_tree)) = self.hardware {
            return self.raspberry_pi(device_tree);
        }
        let (program, machine, serial): (_, &[&str], _) = match self.target.arch {
            // Nehalem is x86-64 v2, the oldest CPU that images run on.
            Arch::X86_64 => (
                "qemu-system-x86_64",
                &["-machine", "pc", "-cpu", "Nehalem", "-vga", "none"],
                "ttyS0",
            ),
            Arch::Aarch64 => (
                "qemu-system-aarch64",
                &["-machine", "virt", "-cpu", "cortex-a72"],
                "ttyAMA0",
            ),
        };
        let mut qemu = emulator(program)?;
        qemu.args(machine);
        qemu.args([
            "-smp",
            CPUS,
            "-m",
            &format!("{}M", self.memory_mb.unwrap_or(self.target.ram_mb)),
        ]);
        qemu.arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs);
        // A kernel panic restarts the device after a second, as it would in the field.
        let mut words = format!("console={serial} panic=1");
        if self.console == Console::Window {
            // The last one named is /dev/console.
            words.push_str(" console=tty0");
        }
        for word in self.append {
            words.push(' ');
            words.push_str(word);
        }
        qemu.args(["-append", &words]);
        match self.console {
            Console::Pipe => qemu.args([
                "-display",
                "none",
                "-chardev",
                "stdio,id=console,signal=off",
            ]),
            Console::Terminal => qemu.args([
                "-display",
                "none",
                "-chardev",
                "stdio,id=console,mux=on,signal=off",
            ]),
            Console::Window => qemu
                .args([
                    "-display",
                    "gtk",
                    "-device",
                    "virtio-gpu-pci",
                    "-device",
                    "virtio-keyboard-pci",
                ])
                .args(["-chardev", "null,id=console"]),
        };
        qemu.args(["-serial", "chardev:console"]);
        if self.console == Console::Terminal {
            qemu.args(["-mon", "chardev=console,mode=readline"]);
        }
        qemu.args([
            "-device",
            "virtio-rng-pci",
            "-device",
            "i6300esb",
            "-action",
            "watchdog=reset",
        ]);
        if let Some(data) = self.data {
            qemu.arg("-drive")
                .arg(format!("if=none,id=data,format=raw,file={}", comma(data)));
            qemu.args(["-device", "virtio-blk-pci,drive=data"]);
        }
        if self.target.network {
            let mut net = "user,id=net".to_owned();
            for Forward { host, guest } in self.forwards {
                let _ = write!(net, ",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
            }
            qemu.args([
                "-netdev",
                &net,
                "-device",
                "virtio-net-pci,netdev=net,romfile=",
            ]);
        }
        if let Some(qmp) = self.qmp {
            qemu.arg("-qmp")
                .arg(format!("unix:{},server=on,wait=off", comma(qmp)));
        }
        qemu.args(self.extra);
        Ok(qemu)
    }

    /// A board of which nothing but the kernel and what is on its buses can be chosen.
    fn raspberry_pi(&self, device_tree: &Path) -> anyhow::Result<Command> {
        let mut qemu = emulator("qemu-system-aarch64")?;
        qemu.args(["-machine", "raspi3b", "-display", "none"]);
        qemu.arg("-dtb").arg(device_tree);
        qemu.arg("-kernel").arg(self.kernel);
        qemu.arg("-initrd").arg(self.initramfs);
        let mut words = "console=ttyS1,115200 panic=1".to_owned();
        for word in self.append {
            words.push(' ');
            words.push_str(word);
        }
        qemu.args(["-append", &words]);
        qemu.args(["-chardev", "stdio,id=console,signal=off"]);
        // The first port is Bluetooth's.
        qemu.args(["-serial", "null", "-serial", "chardev:console"]);
        if let Some(qmp) = self.qmp {
            qemu.arg("-qmp")
                .arg(format!("unix:{},server=on,wait=off", comma(qmp)));
        }
        qemu.args(self.extra);
        Ok(qemu)
    }
}

/// An emulator that has nothing but what is added, and dies with its caller: one that outlived a killed test would run for
/// ever.
pub(crate) fn emulator(program: &str) -> anyhow::Result<Command> {
    if which(program).is_none() {
        bail!("{program} is not installed; run `make setup`");
    }
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", program]);
    qemu.args(["-nodefaults", "-no-user-config", "-accel", "tcg"]);
    Ok(qemu)
}

/// QEMU's option lists double a comma that is meant.
pub(crate) fn comma(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Something that QEMU said about the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// `RESET`, `SHUTDOWN`, `WATCHDOG`, ...
    pub(crate) name: String,
    /// Whether the guest caused it, where QEMU says that.
    pub(crate) guest: bool,
}

/// A QMP connection (QEMU's docs/interop/qmp-spec).
pub(crate) struct Qmp {
    stream: UnixStream,
}

impl Qmp {
    /// Connects to a QEMU that has just been started, and calls `on_event` for every event from then on, on a thread
    /// that ends with QEMU.
    pub(crate) fn connect(
        path: &Path,
        on_event: impl Fn(Event) + Send + 'static,
    ) -> anyhow::Result<Self> {
        // QEMU makes the socket within milliseconds; on a machine under load it took up to a second.
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => {
                    return Err(error)
                        .with_context(|| format!("QEMU made no QMP socket {}", path.display()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let reader = BufReader::new(stream.try_clone()?);
        std::thread::spawn(move || {
            for line in reader.lines() {
                let Ok(line) = line else { break };
                let Ok(message) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                if let Some(name) = message["event"].as_str() {
                    on_event(Event {
                        name: name.to_owned(),
                        guest: message["data"]["guest"] == true,
                    });
                }
            }
        });
        let mut qmp = Self { stream };
        qmp.send(&json!({"execute": "qmp_capabilities"}))?;
        Ok(qmp)
    }

    /// Ends QEMU at once.
    pub(crate) fn quit(&mut self) -> anyhow::Result<()> {
        self.send(&json!({"execute": "quit"}))
    }

    /// Saves what the display shows.
    pub(crate) fn screendump(&mut self, file: &Path) -> anyhow::Result<()> {
        self.send(&json!({"execute": "screendump", "arguments": {"filename": PathBuf::from(file), "format": "png"}}))
    }

    fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        self.stream
            .write_all(format!("{message}\n").as_bytes())
            .context("QEMU does not take QMP commands any more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_two_ports() {
        assert_eq!(
            "8080:80".parse(),
            Ok(Forward {
                host: 8080,
                guest: 80
            })
        );
        for wrong in ["8080", ":80", "x:1", "70000:1"] {
            assert!(wrong.parse::<Forward>().is_err(), "{wrong}");
        }
    }
}
