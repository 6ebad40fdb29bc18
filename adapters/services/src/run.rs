//! The host side of one run, whichever engine runs it: services, handles, links, and the watchdog's view of host calls.
//! An adapter that runs a core module owns one of these and routes every import of it to [`HostSide::call`].

use std::cell::RefCell;
use std::sync::Arc;

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::lifecycle::Ending;
use vyoma_component::guest::Guest;
use vyoma_component::handles::Handles;
use vyoma_component::host::{self, Linked};
use vyoma_component::program::Import;
use vyoma_component::trap::Trap;
use vyoma_runtime::{Activity, EngineError, RunConfig};

use crate::linux::Linux;

/// Handles (files, sockets, streams, pollables) that one guest may hold: as many as under the Wasmtime adapter. Far above what
/// the descriptor limit of a process leaves for files and sockets; what it bounds are pollables, which cost memory only.
const MAX_HANDLES: u32 = 8192;

/// Everything that the host keeps for one guest.
pub struct HostSide {
    state: RefCell<State>,
    /// Each import, and what a call of it uses.
    linked: Vec<(Linked<Linux>, Option<Capability>)>,
    activity: Arc<dyn Activity>,
}

struct State {
    services: Linux,
    handles: Handles,
}

impl HostSide {
    /// Links `imports`, in their order, and prepares what the grants allow. Opens nothing after it returned, so that the
    /// caller can lock the process.
    pub fn new(config: RunConfig, imports: &[Import<'_>]) -> Result<Self, EngineError> {
        let linked = imports
            .iter()
            .map(|import| {
                let linked =
                    host::link(import).map_err(|why| EngineError::Refused(why.to_string()))?;
                let (interface, name) = import.target.names();
                Ok((linked, Capability::of_import(interface, name)))
            })
            .collect::<Result<_, EngineError>>()?;
        let activity = Arc::clone(&config.activity);
        Ok(Self {
            state: RefCell::new(State {
                services: Linux::new(config)?,
                handles: Handles::new(MAX_HANDLES),
            }),
            linked,
            activity,
        })
    }

    /// Calls the import of that place in the program's list: arguments in `slots`, the result in the first. A trap
    /// ends the guest.
    #[inline]
    pub fn call(
        &self,
        import: usize,
        guest: &mut dyn Guest,
        slots: &mut [u64],
    ) -> Result<(), Trap> {
        // A second call while one is under way can only come from the guest's `realloc`.
        let mut state = self.state.try_borrow_mut().map_err(|_| Trap::CannotLeave)?;
        let State { services, handles } = &mut *state;
        let (linked, used) = self.linked.get(import).ok_or(Trap::Abi("no such import"))?;
        let activity = &*self.activity;
        activity.enter_with(*used);
        let outcome = host::call(linked, services, handles, guest, slots);
        activity.leave();
        outcome
    }
}

/// How a run ended that a host call ended. [`Trap::Guest`] is not for here: the engine has its reason.
pub fn ending(trap: &Trap) -> Ending {
    match trap {
        Trap::Exit(code) => Ending::Exited(*code),
        other => Ending::Trapped(other.to_string()),
    }
}
