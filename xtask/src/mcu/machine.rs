//! QEMU machines with the microcontroller's boards. The console is the first UART, the control line the second, which
//! QEMU shows as a pseudo-terminal: `vyomactl` opens that like the serial port of a real board.
//!
//! mps2-an385 has no flash. Its apps' region lies in the PSRAM, which is a file here, so that what was installed outlives
//! resets and restarts of the machine. The flash of b-l475e-iot01a is read-only in QEMU: apps are there from the start, and
//! nothing can be installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Board;
use super::firmware::Firmware;
use super::region::Region;
use crate::context::write_atomically;
use crate::qemu::{self, Console, comma};

/// Where QEMU's mps2-an385 has its PSRAM, and how much of it (hw/arm/mps2.c: "mps.ram").
const PSRAM: u32 = 0x2100_0000;
const PSRAM_MB: u32 = 16;

/// How often QEMU's main loop wakes up at least, in microseconds of the machine: so often a byte comes in on b-l475e-iot01a.
/// Twice a byte's time at 115200 baud would be 174; more often costs the host more than anyone gains.
const WAKE_US: u32 = 500;

/// A machine with a board's firmware.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    /// Board and program.
    pub(crate) firmware: &'a Firmware,
    /// What [`write_flash`] wrote.
    pub(crate) flash: &'a Path,
    /// Where the link to the control line's pseudo-terminal is made.
    pub(crate) control: &'a Path,
    /// Where the console goes: [`Console::Window`] is like [`Console::Pipe`], there is nothing to see.
    pub(crate) console: Console,
    /// Where QEMU listens for QMP.
    pub(crate) qmp: Option<&'a Path>,
    /// Further arguments for QEMU.
    pub(crate) extra: &'a [String],
}

/// Writes the file that stands for the flash with the apps.
pub(crate) fn write_flash(firmware: &Firmware, region: &Region, file: &Path) -> anyhow::Result<()> {
    if firmware.board != Board::Mps2An385 {
        return write_atomically(file, &region.bytes);
    }
    let start = firmware.region("apps")?.start;
    let offset = start.checked_sub(PSRAM).with_context(|| {
        format!("the apps' region is at {start:#x}; expected it in the PSRAM, from {PSRAM:#x} on")
    })?;
    let size = PSRAM_MB << 20;
    ensure!(
        offset as usize + region.bytes.len() <= size as usize,
        "the apps' region ends outside of the {PSRAM_MB} MB of PSRAM"
    );
    let mut bytes = vec![0; offset as usize];
    bytes.extend(&region.bytes);
    write_atomically(file, &bytes)?;
    // The rest is a hole.
    let file = fs::OpenOptions::new().write(true).open(file)?;
    file.set_len(size.into())?;
    Ok(())
}

impl Machine<'_> {
    /// The command that runs it.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        let board = self.firmware.board;
        let mut qemu = qemu::emulator("qemu-system-arm")?;
        match board {
            Board::Mps2An385 => {
                let machine = format!("{},memory-backend=psram", board.name());
                let backend = format!(
                    "memory-backend-file,id=psram,size={PSRAM_MB}M,share=on,mem-path={}",
                    comma(self.flash)
                );
                qemu.args(["-machine", &machine, "-cpu", "cortex-m3"]);
                qemu.args(["-object", &backend]);
            }
            Board::BL475eIot01a => {
                let loader = format!(
                    "loader,addr={:#x},force-raw=on,file={}",
                    self.firmware.region("apps")?.start,
                    comma(self.flash)
                );
                // The board's memory is its own; the option only lets the loader take a file of that size.
                qemu.args(["-machine", board.name(), "-m", "1M", "-device", &loader]);
                // QEMU takes the next byte for a UART when its main loop comes by. Other UARTs wake that when their byte has
                // been read; this board's does not (hw/char/stm32l4x5_usart.c, the read of RDR), so while the processor
                // sleeps a byte waits for whatever comes first, seconds at times. A filter on a network that nobody is in
                // has a timer, and does nothing else. QEMU warns that it has no peer.
                let filter = format!("filter-buffer,id=wake,netdev=nobody,interval={WAKE_US}");
                qemu.args(["-netdev", "hubport,id=nobody,hubid=0"]);
                qemu.args(["-object", &filter]);
            }
        }
        qemu.arg("-kernel").arg(&self.firmware.elf);
        let mux = match self.console {
            Console::Terminal => "on",
            Console::Pipe | Console::Window => "off",
        };
        let console = format!("stdio,id=console,mux={mux},signal=off");
        // One that a killed QEMU left behind would be in the way.
        let _ = fs::remove_file(self.control);
        let control = format!("pty,id=control,path={}", comma(self.control));
        qemu.args(["-display", "none", "-chardev", &console]);
        qemu.args(["-serial", "chardev:console"]);
        qemu.args(["-chardev", &control, "-serial", "chardev:control"]);
        if self.console == Console::Terminal {
            qemu.args(["-mon", "chardev=console,mode=readline"]);
        }
        if let Some(qmp) = self.qmp {
            qemu.arg("-qmp")
                .arg(format!("unix:{},server=on,wait=off", comma(qmp)));
        }
        qemu.args(self.extra);
        Ok(qemu)
    }
}
