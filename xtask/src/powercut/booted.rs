//! A device in QEMU whose disk is ours ([`disk`](super::disk)), and whose power can be taken away.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use super::disk::Disk;
use super::replay::wait_for_app;
use super::{LOOK, Outcome, PATIENCE};
use crate::bridge;
use crate::control::Control;
use crate::image::Image;
use crate::platforms::Target;
use crate::qemu::{Console, Forward, Machine};

/// What Linux says when its machine stood still (kernel/rcu/tree_stall.h).
const STALLED: &str = "rcu: \tUnless rcu_sched kthread gets sufficient CPU time";

/// A device that runs.
pub(super) struct Booted {
    child: Child,
    pub(super) disk: Disk,
    port: u16,
    console: PathBuf,
    _dir: tempfile::TempDir,
}

impl Booted {
    /// Boots the image on a disk with these bytes; its files are in a folder of its own in `scratch`.
    pub(super) fn boot(
        target: &Target,
        image: &Image,
        disk: Vec<u8>,
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(scratch)?;
        let socket = dir.path().join("disk");
        let disk = Disk::serve(disk, &socket)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let data = PathBuf::from(format!("nbd:unix:{}", socket.display()));
        let machine = Machine {
            target,
            hardware: None,
            kernel: &image.kernel.image,
            initramfs: &image.initramfs,
            memory_mb: None,
            append: &[bridge::START.to_owned(), "vyoma.ip=10.0.2.15/24".to_owned()],
            data: Some(&data),
            forwards: &[Forward {
                host: port,
                guest: bridge::PORT,
            }],
            extra: &[],
            console: Console::Pipe,
            qmp: None,
        };
        let console = dir.path().join("console");
        let output = std::fs::File::create(&console)?;
        let child = machine
            .command()?
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start QEMU")?;
        Ok(Self {
            child,
            disk,
            port,
            console,
            _dir: dir,
        })
    }

    /// A connection to its daemon, once that is up.
    pub(super) fn control(&self) -> anyhow::Result<Control> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match bridge::connect(self.port) {
                Ok(control) => return Ok(control),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| self.last_words());
                }
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Waits until the app runs; which version it is.
    pub(super) fn outcome(&self) -> anyhow::Result<Outcome> {
        wait_for_app(|| bridge::connect(self.port)).with_context(|| self.last_words())
    }

    fn said(&self) -> String {
        let text = std::fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Whether the kernel complains that it got no processor time.
    pub(super) fn stood_still(&self) -> bool {
        self.said().contains(STALLED)
    }

    fn last_words(&self) -> String {
        let text = self.said();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Ends it in order; what is on its disk then.
    pub(super) fn shut_down(mut self, control: Control) -> Vec<u8> {
        crate::control::end(&mut self.child, Ok(control));
        std::mem::take(&mut self.disk.state().bytes)
    }

    /// Takes its power away.
    pub(super) fn end(&mut self) {
        self.disk.state().off = true;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        self.end();
    }
}
