//! Whether an app fits into a microcontroller, as far as that can be known without running it: for `inspect`, of any device of a
//! profile; for `install`, of the one that is there, before a byte is sent. The device decides for itself all the same.

use std::borrow::Cow;

use vyoma_capabilities::profile::{self, Profile};
use vyoma_component::program::Needs;
use vyoma_runtime::component;

use crate::apps;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::package::Package;

/// What the firmware of a microcontroller keeps for itself: static data, heap, its stack and the loader's (everything but the
/// region POOL of mcu-firmware/firmware/memory).
const FIRMWARE_KB: u64 = 38;

/// An app's native stack there, when the profile names none.
const STACK_KB: u32 = 4;

/// Bytes of memory that a program needs on a device of this profile, about.
pub(crate) fn needs_bytes(profile: &Profile, needs: &Needs) -> u64 {
    let stack = profile.runtime.stack_size_kb.unwrap_or(STACK_KB);
    needs.microcontroller_bytes(u64::from(stack) * 1024)
}

/// KiB of memory that all apps together have on a device of this profile, about.
pub(crate) fn gives_kib(profile: &Profile) -> u64 {
    profile.ram_kb.saturating_sub(FIRMWARE_KB)
}

/// Refuses an app that can't fit into the device behind `client`: it would be sent in vain.
pub(crate) fn check(client: &mut Client, package: &Package) -> Result<(), Failure> {
    let app = &package.manifest.app.name;
    let refused = |kind, why: String| Failure::new(kind, format!("{app}: {why}"));
    let program = component::program(&package.component).map_err(|error| {
        refused(
            Exit::Invalid,
            format!("{}: {error}", package.component_path.display()),
        )
    })?;
    if let Cow::Owned(_) = program.module {
        return Err(refused(
            Exit::Invalid,
            format!(
                "{}: its core modules must be merged, which a microcontroller can't; build it with `cargo build --target wasm32-wasip2`, without the preview-1 adapter",
                package.component_path.display()
            ),
        ));
    }
    let Some(profile) = profile::builtin(&client.platform)
        .and_then(|text| profile::parse(&client.platform, text).ok())
    else {
        // A platform of a later version: the device knows itself best.
        return Ok(());
    };
    let free_kib = client.info()?.memory_available_kb;
    // The version that is replaced makes place.
    let replaced_kib = apps::list(client)?
        .iter()
        .find(|status| status.name == *app)
        .and_then(|status| status.pss_kb)
        .unwrap_or(0);
    let needs = needs_bytes(&profile, &program.needs);
    let free = free_kib.saturating_add(replaced_kib).saturating_mul(1024);
    if needs > free {
        return Err(refused(
            Exit::Limit,
            format!(
                "does not fit: needs about {needs} bytes of memory, free are {free}; see `vyomactl inspect`; make it smaller, or remove an app"
            ),
        ));
    }
    Ok(())
}
