//! Looking at a component that is about to be installed: whether it can be run here, and what it needs. Reading bytes that
//! may be anything is no work for the firmware itself: it is done as an app, unprivileged, in an arena and on the loader's stack.

use alloc::format;
use alloc::string::String;

use vyoma_capabilities::control::{ControlError, ErrorKind};

use super::run::Run;
use super::{Device, Order};
use crate::calls::{Call, End};
use crate::context::Stop;
use crate::guest;

/// Slices that looking may take: a second. A component of 100 KB takes some 30 ms.
const SLICES: u32 = 100;

/// Longest text of a refusal.
const TEXT: usize = 200;

/// Whether `component` could run here in what is free, or becomes free when the app `replaced` is gone.
pub(crate) fn inspect(
    device: &'static Device,
    component: &'static [u8],
    replaced: &str,
) -> Result<(), ControlError> {
    let Ok(_loader) = device.loader.try_lock() else {
        return Err(error(
            ErrorKind::State,
            "another app is being loaded; try again".into(),
        ));
    };
    let needs = {
        let Some(mut run) = Run::load(device, component, None, guest::look) else {
            let text = "there is no memory to look at the component in; stop an app first";
            return Err(error(ErrorKind::Limit, text.into()));
        };
        look(&mut run)?
    };
    let mut pool = device.pool.borrow().clone();
    let replaced = device.app(replaced);
    if let Some(arena) = replaced.and_then(|app| app.placement.borrow().clone()) {
        pool.give_back(arena.arena.start);
    }
    let free = pool.largest();
    let free = free.end - free.start;
    if needs <= free {
        return Ok(());
    }
    Err(error(ErrorKind::Limit, does_not_fit(needs, free)))
}

/// As an ending and a refusal say it.
pub(super) fn does_not_fit(needs: u32, free: u32) -> String {
    let needs = match needs {
        0 => "more".into(),
        bytes => format!("about {} KiB", bytes.div_ceil(1024)),
    };
    format!(
        "does not fit: needs {needs} of memory, {} KiB are free in one piece; stop or remove an app",
        free / 1024
    )
}

/// Lets it be looked at: bytes of memory that it needs, about.
fn look(run: &mut Run) -> Result<u32, ControlError> {
    let invalid = |text: String| error(ErrorKind::Invalid, text);
    for _ in 0..SLICES {
        match run.enter().0 {
            Stop::Preempted => {}
            Stop::Fault => break,
            Stop::Call => {
                let Ok([call, how, code, length]) = run.arguments() else {
                    break;
                };
                if Call::of(call) != Some(Call::End) {
                    break;
                }
                return match End::of(how) {
                    Some(End::Needs) => Ok(code),
                    Some(End::Refused | End::Trap) => {
                        let words = run.access.read(code, length).unwrap_or_default();
                        let words = &words[..words.len().min(TEXT)];
                        Err(invalid(String::from_utf8_lossy(words).into_owned()))
                    }
                    _ => Err(error(
                        ErrorKind::Limit,
                        "there is too little memory to look at the component in; stop an app first"
                            .into(),
                    )),
                };
            }
        }
    }
    Err(invalid("the component can't be read".into()))
}

fn error(kind: ErrorKind, message: String) -> ControlError {
    ControlError { kind, message }
}

/// What an operator may order by the same names.
impl From<vyoma_mcu_core::session::Operation> for Order {
    fn from(operation: vyoma_mcu_core::session::Operation) -> Self {
        use vyoma_mcu_core::session::Operation;
        match operation {
            Operation::Start => Self::Start,
            Operation::Stop => Self::Stop,
            Operation::Restart => Self::Restart,
        }
    }
}
