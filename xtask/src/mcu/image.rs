//! `cargo xtask image --platform mcu-minimal`: the firmware of a board and the flash region with its apps.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use serde_json::json;
use vyoma_capabilities::profile::Profile;

use super::Board;
use super::firmware::{self, Firmware};
use super::region::{self, Region};
use crate::apps::{self, App};
use crate::context::{Context, sha256, write_atomically};
use crate::image::WhichApps;
use crate::platforms;
use crate::setup::{self, Need};

/// The apps of an image for which none are named: three that show something together.
const SHOWN: [&str; 3] = ["counter", "ping", "pong"];

/// What goes onto a board.
#[derive(Debug)]
pub(crate) struct Image {
    /// The program.
    pub(crate) firmware: Firmware,
    /// Bytes of flash that it takes.
    pub(crate) firmware_bytes: u64,
    /// The region with the apps.
    pub(crate) region: Region,
    /// Its file, the bytes as they lie in flash.
    pub(crate) region_file: PathBuf,
}

/// `cargo xtask image` for a board.
pub(crate) fn command(
    context: &Context,
    board: Board,
    which: &WhichApps,
    json: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    setup::ensure(context, Need::Firmware)?;
    let image = build(context, board, which)?;
    image.show()?;
    if let Some(path) = json {
        let report = serde_json::to_string_pretty(&image.report()?)?;
        write_atomically(&std::path::absolute(path)?, report.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds firmware, apps and region.
pub(crate) fn build(context: &Context, board: Board, which: &WhichApps) -> anyhow::Result<Image> {
    ensure!(
        which.init.is_none() && which.add.is_empty() && !which.probe && !which.no_aot,
        "--init, --add, --probe and --no-aot are for images with Linux; expected --app or --no-apps"
    );
    let profile = platforms::microcontroller(context)?;
    let firmware = firmware::build(context, board)?;
    let apps = staged(context, which)?;
    assemble(context, firmware, &profile, &apps)
}

/// A firmware that measures itself before it starts the one app that it has.
pub(super) fn build_bench(context: &Context, board: Board, app: &Path) -> anyhow::Result<Image> {
    let profile = platforms::microcontroller(context)?;
    let firmware = firmware::build_bench(context, board)?;
    let app = apps::ready(context, app)?;
    assemble(context, firmware, &profile, &[app])
}

/// The apps that were asked for, built and staged.
fn staged(context: &Context, which: &WhichApps) -> anyhow::Result<Vec<App>> {
    if which.no_apps {
        return Ok(Vec::new());
    }
    let shown = || {
        SHOWN
            .map(|name| context.root.join("apps").join(name))
            .to_vec()
    };
    let dirs = if which.dirs.is_empty() {
        shown()
    } else {
        which.dirs.clone()
    };
    let apps: Vec<App> = dirs
        .iter()
        .map(|dir| apps::ready(context, dir))
        .collect::<anyhow::Result<_>>()?;
    apps::check_names(&apps)?;
    Ok(apps)
}

/// The region for a firmware that is there.
pub(crate) fn assemble(
    context: &Context,
    firmware: Firmware,
    profile: &Profile,
    apps: &[App],
) -> anyhow::Result<Image> {
    let region = region::pack(&firmware, profile, apps)?;
    // Regions of different apps lie side by side: tests boot several.
    let name = format!(
        "{}-{}.apps",
        firmware.board.name(),
        &sha256(&region.bytes)[..8]
    );
    let region_file = context.out.join("images").join(name);
    write_atomically(&region_file, &region.bytes)?;
    let firmware_bytes = firmware::flash_bytes(&firmware.elf)?;
    Ok(Image {
        firmware,
        firmware_bytes,
        region,
        region_file,
    })
}

impl Image {
    pub(super) fn show(&self) -> anyhow::Result<()> {
        println!(
            "firmware   {} ({} bytes of flash)",
            self.firmware.elf.display(),
            self.firmware_bytes
        );
        println!(
            "apps       {} ({} bytes at {:#010x})",
            self.region_file.display(),
            self.region.bytes.len(),
            self.firmware.region("apps")?.start
        );
        for app in &self.region.apps {
            println!(
                "app        {:<16} sha256 {}  {} bytes, manifest {}, about {} KB of RAM",
                app.name,
                app.sha256,
                app.component,
                app.manifest,
                app.needs.div_ceil(1024)
            );
        }
        Ok(())
    }

    /// For reports.
    pub(crate) fn report(&self) -> anyhow::Result<serde_json::Value> {
        let apps: Vec<_> = self
            .region
            .apps
            .iter()
            .map(|app| {
                json!({
                    "name": app.name,
                    "sha256": app.sha256,
                    "component_bytes": app.component,
                    "needs_bytes": app.needs,
                })
            })
            .collect();
        Ok(json!({
            "board": self.firmware.board.name(),
            "firmware": self.firmware.elf,
            "firmware_bytes": self.firmware_bytes,
            "region": self.region_file,
            "region_bytes": self.region.bytes.len(),
            "region_address": self.firmware.region("apps")?.start,
            "apps": apps,
        }))
    }
}
