//! How many emulated machines run at once: two, since one leaves most of a second processor idle (a device waits for its
//! start, for time and for its disk); alone where a test measures times. Called by whatever boots an image.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Machines at once.
const PLACES: usize = 2;

/// Places that are free.
static FREE: Mutex<usize> = Mutex::new(PLACES);
static GIVEN_BACK: Condvar = Condvar::new();

/// The right to run a machine, until this is dropped.
#[derive(Debug)]
pub struct Turn(usize);

impl Turn {
    /// Waits until a machine may run beside at most one other.
    pub fn shared() -> Self {
        Self::wait(1)
    }

    /// Waits until a machine may run with no other. A test that holds another turn would wait for ever.
    pub fn alone() -> Self {
        Self::wait(PLACES)
    }

    fn wait(places: usize) -> Self {
        let mut free = GIVEN_BACK
            .wait_while(places_free(), |free| *free < places)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= places;
        Self(places)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *places_free() += self.0;
        GIVEN_BACK.notify_all();
    }
}

/// A test that failed with a turn in its hand has given it back all the same.
fn places_free() -> MutexGuard<'static, usize> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn at_most_two_machines_run_at_once_and_one_that_is_alone_runs_with_no_other() {
        let (running, alone) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..24 {
                let (running, alone) = (&running, &alone);
                scope.spawn(move || {
                    let by_itself = number % 3 == 0;
                    let turn = if by_itself {
                        Turn::alone()
                    } else {
                        Turn::shared()
                    };
                    let others = running.fetch_add(1, Ordering::SeqCst);
                    assert!(others < if by_itself { 1 } else { PLACES });
                    assert_eq!(alone.load(Ordering::SeqCst), 0);
                    alone.fetch_add(usize::from(by_itself), Ordering::SeqCst);
                    thread::yield_now();
                    alone.fetch_sub(usize::from(by_itself), Ordering::SeqCst);
                    running.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                });
            }
        });
        assert_eq!(*places_free(), PLACES);
    }
}
