//! How often an app called for each of its capabilities, and how often it was refused: what `vyomactl caps` shows.
//!
//! Most of it is counted by the app's own process, in the page of its heartbeat. Nothing is decided by these numbers: an app
//! that lies in the page only fools who reads about it.

use std::cell::RefCell;

use vyoma_capabilities::capability::Capability;

/// Calls and refusals of one capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// Refused ones included.
    pub(crate) calls: u64,
    /// At most as many.
    pub(crate) refused: u64,
}

/// A count for each capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts(pub(crate) [Count; Capability::ALL.len()]);

impl Counts {
    pub(crate) fn of(&self, capability: Capability) -> Count {
        self.0[capability.index()]
    }

    /// Both together; what an app claims to have done does not overflow.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            mine.calls = mine.calls.saturating_add(theirs.calls);
            mine.refused = mine.refused.saturating_add(theirs.refused);
        }
        self
    }
}

/// What of an app is counted here: what the daemon does for it, and what its former runs had done.
#[derive(Debug, Default)]
pub(crate) struct Uses(RefCell<Counts>);

impl Uses {
    /// The app asked the daemon for something that `capability` gives.
    pub(crate) fn note(&self, capability: Capability, granted: bool) {
        let count = &mut self.0.borrow_mut().0[capability.index()];
        count.calls = count.calls.saturating_add(1);
        if !granted {
            count.refused = count.refused.saturating_add(1);
        }
    }

    /// A run is over.
    pub(crate) fn add(&self, run: &Counts) {
        let sum = self.0.borrow().plus(run);
        *self.0.borrow_mut() = sum;
    }

    /// So far, without the run that there is.
    pub(crate) fn so_far(&self) -> Counts {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_runs_add_up_and_never_overflow() {
        let uses = Uses::default();
        uses.note(Capability::Shell, true);
        uses.note(Capability::Shell, false);
        let mut run = Counts::default();
        run.0[Capability::Gpio.index()] = Count {
            calls: u64::MAX,
            refused: 7,
        };
        uses.add(&run);
        uses.add(&run);
        let count = |capability| uses.so_far().of(capability);
        assert_eq!(
            (
                count(Capability::Shell).calls,
                count(Capability::Shell).refused
            ),
            (2, 1)
        );
        assert_eq!(
            (
                count(Capability::Gpio).calls,
                count(Capability::Gpio).refused
            ),
            (u64::MAX, 14)
        );
        assert_eq!(count(Capability::Network), Count::default());
    }
}
