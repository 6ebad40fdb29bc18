//! What a session needs of the firmware.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vyoma_capabilities::control::{AppStatus, ControlError, DeviceInfo, ErrorKind};
use vyoma_capabilities::manifest::Manifest;

use crate::flash::{Flash, Place};
use crate::ring::Ring;
use crate::store::Store;

/// What an operator wants with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Start it; nothing when it runs.
    Start,
    /// End it; nothing when it doesn't run.
    Stop,
    /// End it, then start it.
    Restart,
}

/// How a device is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Power off.
    Off,
    /// Reset.
    Reboot,
}

/// The firmware, as a session sees it.
///
/// Every call returns soon. What takes its time (an app ends only when its task has let go of it) is begun by one call, and
/// [`Device::settled`] is asked until it is through. Apps are named as in the store, where the session has looked already:
/// an app that is named here is there.
pub trait Device {
    /// The flash behind the store.
    type Flash: Flash;

    /// Where the apps are.
    fn store(&mut self) -> &mut Store<Self::Flash>;

    /// Version of the firmware.
    fn version(&self) -> &str;

    /// Name of the profile.
    fn platform(&self) -> &str;

    /// The device itself.
    fn info(&mut self) -> DeviceInfo;

    /// State of the `index`-th app of [`Store::apps`], which is there.
    fn status(&mut self, index: usize) -> AppStatus;

    /// What apps printed, as [`LogLine`](vyoma_capabilities::control::LogLine)s.
    fn logs(&self) -> &Ring;

    /// What happened, as [`DeviceEvent`](vyoma_capabilities::control::DeviceEvent)s.
    fn events(&self) -> &Ring;

    /// Begins `operation`; `Err` when it makes no sense, such as a fourth app where three may run. The session marks in the
    /// store what an operator stopped or started.
    fn begin(&mut self, operation: Operation, app: &str) -> Result<(), ControlError>;

    /// Whether what was begun with the app is through: after [`Operation::Stop`], that nothing of it runs or is going to, and
    /// nobody reads its component any more.
    fn settled(&mut self, app: &str) -> bool;

    /// Appends `text` to the app's standard input, all or nothing, and ends that input after it when `end`.
    fn send(&mut self, app: &str, text: &str, end: bool) -> Result<(), ControlError>;

    /// Whether an app that is not committed yet could run here, an older version of it being gone: the component can
    /// be reduced to a program whose needs fit into the memory. `Err` refuses the installation, for memory with
    /// [`no_memory`]. `Ok` has warnings, one line each.
    fn admit(&mut self, manifest: &Manifest, component: Place)
    -> Result<Vec<String>, ControlError>;

    /// The app is in the store, new or in place of a version that has been stopped: start it.
    fn installed(&mut self, app: &str);

    /// The app, which has been stopped, is not in the store any more: forget it.
    fn removed(&mut self, app: &str);

    /// Begins the device's end, after the answer that follows has had the time to leave (100 ms are enough at 115200 baud).
    fn end(&mut self, power: Power) -> Result<(), ControlError>;
}

/// The refusal of an app that needs more bytes of memory than are free for it.
pub fn no_memory(app: &str, needs: u64, free: u64) -> ControlError {
    ControlError {
        kind: ErrorKind::Limit,
        message: format!(
            "{app}: does not fit: needs {needs} bytes of memory, free are {free}; make it smaller, or remove an app"
        ),
    }
}
