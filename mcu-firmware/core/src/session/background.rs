//! What is finished whatever becomes of the client: it begins with an app that has to end first.

use alloc::string::String;
use alloc::vec::Vec;

use vyoma_capabilities::control::{ControlError, Response};
use vyoma_capabilities::hex;

use super::answers::Answers;
use super::exchange::{Doing, Exchange};
use super::requests::of_store;
use super::{Device, Operation};
use crate::store::Staged;

/// One thing at a time.
#[derive(Debug)]
pub(super) struct Background {
    app: String,
    /// What follows once nothing of the app runs.
    then: Then,
    /// The client that asked is still there.
    pub(super) asked: bool,
    /// When it was looked after last.
    pub(super) looked_ms: u64,
}

/// What follows once nothing of an app runs.
#[derive(Debug)]
pub(super) enum Then {
    /// That was it.
    Stopped,
    /// It leaves the store.
    Remove,
    /// What was uploaded takes its place.
    Commit {
        staged: Staged,
        warnings: Vec<String>,
    },
}

impl Exchange {
    /// Tells an app to end, and does `then` when it has.
    pub(super) fn when_ended(
        &mut self,
        now_ms: u64,
        app: String,
        then: Then,
        device: &mut impl Device,
    ) -> Result<(), ControlError> {
        device.begin(Operation::Stop, &app)?;
        self.doing = Doing::Pending;
        self.background = Some(Background {
            app,
            then,
            asked: true,
            looked_ms: now_ms,
        });
        Ok(())
    }

    /// Goes on with what is in the background, if its app has ended.
    pub(super) fn look_after(&mut self, now_ms: u64, device: &mut impl Device) {
        let Some(background) = &mut self.background else {
            return;
        };
        background.looked_ms = now_ms;
        if !device.settled(&background.app) {
            return;
        }
        let Some(Background {
            app, then, asked, ..
        }) = self.background.take()
        else {
            return;
        };
        let response = finish(app, then, device).unwrap_or_else(Response::Error);
        if asked && matches!(self.doing, Doing::Pending) {
            self.doing = Doing::Answering(Answers::one(&response));
        }
    }
}

fn finish(app: String, then: Then, device: &mut impl Device) -> Result<Response, ControlError> {
    match then {
        Then::Stopped => Ok(Response::Done),
        Then::Remove => {
            let removed = device.store().remove(&app);
            removed.map_err(|error| of_store(&app, device, error))?;
            device.removed(&app);
            Ok(Response::Done)
        }
        Then::Commit { staged, warnings } => {
            let sha256 = hex::encode(&staged.entry().sha256());
            let replaced = device.store().find(&app).is_some();
            let committed = device.store().commit(staged);
            if committed.is_err() && replaced {
                // The old version is there and whole, and was stopped for nothing.
                let _ = device.begin(Operation::Start, &app);
            }
            committed.map_err(|error| of_store(&app, device, error))?;
            device.installed(&app);
            Ok(Response::Installed {
                app,
                sha256,
                replaced,
                warnings,
            })
        }
    }
}
