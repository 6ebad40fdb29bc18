//! `vyomad app NAME`: runs one guest in this process, locked in. It reads what to do from the daemon, loads the artefact,
//! locks itself, runs the guest, reports how that ended and exits with the guest's code. It deliberately opens nothing
//! that was not handed to it, and restarts nothing: that is the daemon's.
//!
//! With the Cargo feature `probe` (never in an image that ships), an app whose environment has `VYOMA_PROBE=1` runs
//! `roles/probe.rs` after the lock instead of its guest: the same process, locked the same way, trying to get out.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use vyoma_capabilities::lifecycle::Ending;
use vyoma_runtime::RunConfig;
use vyoma_runtime::devices::{Devices, Handle};

use super::control::{Control, take};
use super::heartbeat::Page;
use crate::sandbox::{self, Role, Sandbox, Terms};
use crate::spec::{AppReport, AppSpec, DeviceSpec, fd};

/// Exit status of an app that did not end by itself: EX_SOFTWARE of sysexits.h. The daemon goes by the report; this is
/// for whoever looks at the process only.
const NO_CODE: i32 = 70;

/// Main function of the process.
pub(crate) fn main() -> ! {
    let (control, spec) = match begin() {
        Ok(begun) => begun,
        Err(why) => {
            // Nobody to report to: whoever started this by hand reads it on the terminal.
            eprintln!("vyomad app: {why}");
            std::process::exit(NO_CODE);
        }
    };
    let (ending, sandbox_notes) = match run(spec) {
        Ok(ended) => ended,
        Err(why) => (Ending::NotStarted(one_line(&why)), Vec::new()),
    };
    let code = if let Ending::Exited(code) = ending {
        i32::from(code)
    } else {
        NO_CODE
    };
    control.report(&AppReport {
        ending,
        sandbox_notes,
    });
    std::process::exit(code)
}

fn begin() -> Result<(Control, AppSpec), String> {
    // Before anything of our own is open: whatever else was inherited goes.
    let count = device_count();
    sandbox::close_inherited(fd::DEVICES + count).map_err(|error| error.to_string())?;
    Control::open()
}

/// How many devices were handed over: the argument after the name.
fn device_count() -> i32 {
    let count = std::env::args().nth(3).and_then(|count| count.parse().ok());
    count.unwrap_or(0)
}

/// Up to the guest's end. An error means that its first instruction was never reached.
fn run(mut spec: AppSpec) -> Result<(Ending, Vec<String>), String> {
    set_process_name(&spec.name);
    default_signals()?;
    let artefact = take(fd::CODE, "compiled artefact")?;
    let page = Page::map(&take(fd::SHARED, "heartbeat page")?)?;
    let data = take_data(spec.grants.filesystem)?;
    let devices = take_devices(std::mem::take(&mut spec.devices))?;

    let role = Role::App {
        grants: &spec.grants,
        data: data.as_ref().map(AsFd::as_fd),
        devices: &devices,
        realtime: spec.realtime.map(|wish| sandbox::Realtime {
            wish,
            memory_bytes: spec.memory_bytes.unwrap_or(0),
        }),
    };
    let sandbox = Sandbox::prepare(&Terms {
        role,
        uid: spec.uid,
        required: spec.sandbox_required,
    })
    .map_err(|error| error.to_string())?;

    #[cfg(feature = "probe")]
    if spec
        .env
        .iter()
        .any(|(key, value)| key == "VYOMA_PROBE" && value == "1")
    {
        drop((artefact, page));
        let report = sandbox.lock().map_err(|error| error.to_string())?;
        return Ok((super::probe::run(&spec, data.as_ref()), report.notes));
    }

    let config = RunConfig {
        name: spec.name,
        args: spec.args,
        env: spec.env,
        grants: spec.grants,
        memory_bytes: spec.memory_bytes,
        data,
        devices,
        activity: Arc::new(page),
    };
    let engine = super::engine::of(spec.engine)?;
    let instance = engine
        .load(artefact, config)
        .map_err(|error| format!("{error} (artefact {})", spec.artefact_key))?;
    let report = sandbox.lock().map_err(|error| error.to_string())?;
    crate::mapped::release();
    Ok((instance.run(), report.notes))
}

/// The data folder, when it is granted; when it is not, a descriptor of that number is a mistake and goes.
fn take_data(granted: bool) -> Result<Option<File>, String> {
    match take(fd::DATA, "data folder") {
        Ok(folder) if granted => {
            let kind = folder
                .metadata()
                .map_err(|error| format!("data folder: {error}"))?;
            if kind.is_dir() {
                Ok(Some(folder))
            } else {
                Err("the data folder is not a folder".into())
            }
        }
        Err(why) if granted => Err(why),
        _ => Ok(None),
    }
}

/// Devices that can be opened, each with its descriptor.
fn take_devices(spec: DeviceSpec) -> Result<Devices, String> {
    let mut numbers = fd::DEVICES..;
    let mut handles = Vec::with_capacity(spec.list.len());
    for device in &spec.list {
        let handle = if device.refused.is_none() {
            let number = numbers.next().unwrap_or(-1);
            let file = take(number, "device")?;
            Some(if spec.simulated {
                Handle::Simulated(file.into())
            } else {
                Handle::Kernel(file)
            })
        } else {
            None
        };
        handles.push(handle);
    }
    Ok(Devices {
        peripherals: spec.peripherals,
        list: spec.list,
        handles,
    })
}

/// What `ps` and the kernel's OOM report show. Names of apps have up to 32 characters, the kernel keeps 15.
fn set_process_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // Only a label: without it the process is called vyomad.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// A daemon may have blocked signals for its own loop; SIGTERM has to end an app.
fn default_signals() -> Result<(), String> {
    use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(|error| format!("signal mask: {error}"))
}

/// Messages of engines may have several lines; a report has one.
pub(super) fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}
