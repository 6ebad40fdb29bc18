//! An installation: checked before anything is sent, written as it comes, checked again before anything is replaced.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use vyoma_capabilities::control::{ControlError, ErrorKind, Response};
use vyoma_capabilities::hex;
use vyoma_capabilities::manifest::compact;

use super::Device;
use super::answers::Answers;
use super::background::Then;
use super::exchange::{Doing, Exchange};
use super::requests::{of_store, refuse};
use crate::store::{StoreError, Upload};

/// A component that is on its way.
#[derive(Debug)]
pub(super) struct Receiving {
    upload: Upload,
    announced: [u8; 32],
}

impl Exchange {
    /// Request::InstallCompact: refused now, if that can be known now.
    pub(super) fn install(
        &mut self,
        manifest: &[u8],
        component_size: u64,
        sha256: &str,
        device: &mut impl Device,
    ) -> Result<(), ControlError> {
        let invalid = |message| refuse(ErrorKind::Invalid, message);
        let parsed = compact::decode(manifest).map_err(|error| invalid(format!("{error}")))?;
        let app = parsed.app.name.as_str();
        let announced = hex::decode(sha256).ok_or_else(|| {
            invalid(format!(
                "{app}: found an announcement without the SHA-256 of the component; expected 64 hexadecimal digits"
            ))
        })?;
        if let Some(pinned) = &parsed.app.wasm_sha256
            && hex::decode(pinned) != Some(announced)
        {
            return Err(refuse(
                ErrorKind::HashMismatch,
                format!(
                    "{app}: app.wasm_sha256: found {sha256}; expected {pinned}; install the bytes that were pinned, or pin these"
                ),
            ));
        }
        if component_size == 0 {
            return Err(invalid(format!("{app}: an empty file, not a component")));
        }
        let free = device.store().room().largest;
        let size = u32::try_from(component_size).map_err(|_| {
            let needs = u32::MAX;
            of_store(app, device, StoreError::Full { needs, free })
        })?;
        let begun = device.store().begin(app, manifest, size);
        let upload = begun.map_err(|error| of_store(app, device, error))?;
        self.doing = Doing::Receiving(Box::new(Receiving { upload, announced }));
        Ok(())
    }

    /// The next bytes of a component.
    pub(super) fn upload(&mut self, now_ms: u64, bytes: &[u8], device: &mut impl Device) {
        let Doing::Receiving(receiving) = &mut self.doing else {
            // After a refusal the client may have sent one more frame: it is told once more, or what is wrong.
            if matches!(self.doing, Doing::Nothing) {
                let error = refuse(
                    ErrorKind::Protocol,
                    String::from("found bytes of a component; expected InstallCompact first"),
                );
                self.doing = Doing::Answering(Answers::one(&Response::Error(error)));
            }
            return;
        };
        let written = device
            .store()
            .write(&mut receiving.upload, bytes)
            .map_err(|error| of_store(receiving.upload.name(), device, error));
        let outcome = match written {
            Ok(()) if receiving.upload.missing() > 0 => return,
            Ok(()) => self.all_has_come(now_ms, device),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.doing = Doing::Answering(Answers::one(&Response::Error(error)));
        }
    }

    /// All bytes are in flash: if they are the right ones and can run, the old version has to make place.
    fn all_has_come(&mut self, now_ms: u64, device: &mut impl Device) -> Result<(), ControlError> {
        let doing = core::mem::replace(&mut self.doing, Doing::Nothing);
        let Doing::Receiving(receiving) = doing else {
            return Ok(());
        };
        let Receiving { upload, announced } = *receiving;
        let app = String::from(upload.name());
        let finished = device.store().finish(upload);
        let staged = finished.map_err(|error| of_store(&app, device, error))?;
        if staged.entry().sha256() != announced {
            return Err(refuse(
                ErrorKind::HashMismatch,
                format!(
                    "{app}: the bytes that came have SHA-256 {}; expected {}, which was announced; install it again",
                    hex::encode(&staged.entry().sha256()),
                    hex::encode(&announced)
                ),
            ));
        }
        // As it will be read at every boot from now on.
        let manifest = device.store().manifest(staged.entry());
        let manifest = manifest.map_err(|_| of_store(&app, device, StoreError::Flash))?;
        let warnings = device.admit(&manifest, staged.entry().component())?;
        self.when_ended(now_ms, app, Then::Commit { staged, warnings }, device)
    }
}
