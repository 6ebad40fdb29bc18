//! What can speak against an installation before a byte of it has come: who made it, how old it is, where it would go.

use sha2::{Digest, Sha256};
use vyoma_capabilities::control::{ControlError, ErrorKind, SignaturePolicy};
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::manifest::Manifest;
use vyoma_capabilities::signature;

use super::Announced;
use crate::daemon::operate::refuse;
use crate::daemon::state::Shared;
use crate::daemon::trust::Claim;
use crate::daemon::uploads;
use crate::daemon::versions::Record;

/// What has to stay free on the disk: logs, epitaphs and the clock go on being written on a full device.
const SPARE_BYTES: u64 = 2 * 1024 * 1024;
/// An artefact's size for each byte of its component, at most: measured 3 to 4 for Wasmtime.
const ARTEFACT_FACTOR: u64 = 5;

/// Who made it, and whether it is older than what has run here. The name of the key that signed it, when that is trusted.
pub(super) fn origin(
    daemon: &Shared,
    announced: &Announced,
    manifest: &Manifest,
) -> Result<Option<String>, ControlError> {
    let (name, version) = (&manifest.app.name, &manifest.app.version);
    let trust = daemon.trust.borrow();
    let options = &announced.options;
    let signed_by = trust.check(&Claim {
        name,
        manifest_sha256: Sha256::digest(announced.manifest.as_bytes()).into(),
        component: &announced.sha256,
        code: announced
            .ahead_of_time
            .as_ref()
            .map(|code| code.sha256.as_str()),
        signature: options.signature.as_deref(),
    })?;
    let strict = trust.policy() != SignaturePolicy::Off;
    let known = daemon.app(name);
    let record = match &known {
        Some(app) => app.record.borrow().clone(),
        None => Record::read(&daemon.path("apps").join(name)),
    };
    let current = known.map(|app| app.package().manifest.app.version.clone());
    let Some(newest) = record.newest_of(current) else {
        return Ok(signed_by);
    };
    let advice = if strict {
        "this device, which requires signatures, takes no older one; `vyomactl rollback` goes back to the version before"
    } else if options.allow_downgrade {
        return Ok(signed_by);
    } else {
        "--allow-downgrade installs it all the same"
    };
    let older = |why: String| {
        Err(refuse(
            ErrorKind::OlderVersion,
            format!("{name}: {why}; {advice}"),
        ))
    };
    match signature::compare_versions(version, &newest) {
        Some(order) if order.is_lt() => older(format!(
            "found version {version}; expected {newest} or newer, which has run here"
        )),
        None if strict => older(format!(
            "can't tell whether version {version} is older than {newest}; expected numbers such as 1.2.3"
        )),
        _ => Ok(signed_by),
    }
}

/// An app that takes no place yet needs one.
pub(super) fn place(daemon: &Shared, name: &str) -> Result<(), ControlError> {
    let holds_one = |phase| {
        matches!(
            phase,
            Phase::Starting | Phase::Running | Phase::Stopping | Phase::Backoff
        )
    };
    if daemon.app(name).is_some_and(|app| holds_one(app.phase())) {
        return Ok(());
    }
    daemon
        .place_for_one_more()
        .map_err(|why| refuse(ErrorKind::Limit, format!("can't install {name}: {why}")))
}

/// The disk has room for a component of `size` bytes, what is made of it, and `code` bytes of machine code.
pub(super) fn space(daemon: &Shared, size: u64, code: u64) -> Result<(), ControlError> {
    let needed = size + size * ARTEFACT_FACTOR + code + SPARE_BYTES;
    let free = || {
        nix::sys::statvfs::statvfs(&daemon.settings.state)
            .map(|stat| stat.blocks_available() * stat.fragment_size())
            .map_err(|error| {
                refuse(
                    ErrorKind::Device,
                    format!("{}: {error}", daemon.settings.state.display()),
                )
            })
    };
    if free()? >= needed {
        return Ok(());
    }
    // What was kept for others' convenience comes last.
    uploads::tidy(daemon, true);
    let free = free()?;
    if free >= needed {
        return Ok(());
    }
    let message = format!(
        "the device has {} KiB free; this installation needs {} KiB; remove an app first",
        free / 1024,
        needed / 1024
    );
    Err(refuse(ErrorKind::Device, message))
}
