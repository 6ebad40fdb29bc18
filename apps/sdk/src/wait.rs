//! Waiting for whichever of several things comes first: a line, a moment, later a pin.

use core::marker::PhantomData;

use crate::inbox::{Inbox, Room, StandardInput};
use crate::sys;
use crate::time::{Duration, Instant};

/// What can be waited for. (The hidden methods are the system's business: implementations are in this crate.)
pub trait Event {
    /// What the system waits for.
    #[doc(hidden)]
    fn handle(&self) -> Handle;

    /// There is nothing to wait for: it has come.
    #[doc(hidden)]
    fn has_come(&self) -> bool {
        false
    }
}

/// A pollable of the system.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Handle(pub(crate) sys::Handle);

#[cfg(target_os = "wasi")]
impl Handle {
    /// Of a pollable that lives as long as the thing that is waited for.
    pub fn of(pollable: u32) -> Self {
        Self(pollable)
    }
}

/// A moment to wait for.
#[derive(Debug)]
pub struct Timer(sys::Timer);

impl Timer {
    /// Comes at that moment, and stays.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(sys::Timer::at(moment))
    }

    /// Comes after that long, and stays.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self::at(Instant::now() + duration)
    }
}

impl Event for Timer {
    fn handle(&self) -> Handle {
        Handle(self.0.handle())
    }
}

/// Bytes on standard input, or its end: [`Inbox::receive_within`] no time then brings the line, if it is whole.
impl<R: Room> Event for Inbox<StandardInput, R> {
    fn handle(&self) -> Handle {
        Handle(sys::input())
    }

    fn has_come(&self) -> bool {
        self.has_line()
    }
}

/// At most `N` (and 32) things of which the first is waited for.
///
/// ```no_run
/// use vyoma::{Any, Duration, Inbox, Timer, println};
///
/// let mut inbox = Inbox::open();
/// let timer = Timer::after(Duration::from_secs(1));
/// let mut any = Any::<2>::new();
/// let (lines, tick) = (any.add(&inbox), any.add(&timer));
/// any.wait();
/// if any.has_come(tick) {
///     println!("tick");
/// }
/// if any.has_come(lines) {
///     println!("{:?}", inbox.receive_within(Duration::ZERO));
/// }
/// ```
#[derive(Debug)]
pub struct Any<'a, const N: usize> {
    handles: [sys::Handle; N],
    used: usize,
    /// One bit for each that came.
    come: u32,
    things: PhantomData<&'a ()>,
}

/// One of the things in an [`Any`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(usize);

impl<'a, const N: usize> Any<'a, N> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        assert!(N <= 32, "at most 32 things can be waited for");
        Self {
            handles: [sys::NO_HANDLE; N],
            used: 0,
            come: 0,
            things: PhantomData,
        }
    }

    /// One more. What is beyond `N` never comes.
    pub fn add(&mut self, thing: &'a impl Event) -> Key {
        let key = self.used;
        if let Some(place) = self.handles.get_mut(key) {
            *place = thing.handle().0;
            self.come |= u32::from(thing.has_come()) << key;
            self.used += 1;
            return Key(key);
        }
        Key(32)
    }

    /// Waits until at least one has come. Without any, returns at once.
    pub fn wait(&mut self) {
        if self.come == 0
            && self.used > 0
            && let Some(handles) = self.handles.get(..self.used)
        {
            self.come = sys::wait(handles);
        }
    }

    /// Whether that one has come.
    pub fn has_come(&self, thing: Key) -> bool {
        self.come.checked_shr(thing.0 as u32).unwrap_or(0) & 1 == 1
    }
}

impl<const N: usize> Default for Any<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_moment_is_waited_for_and_the_others_have_not_come() {
        let begun = Instant::now();
        let late = Timer::after(Duration::from_hours(1));
        let soon = Timer::after(Duration::from_millis(10));
        let mut any = Any::<3>::new();
        let (late, soon) = (any.add(&late), any.add(&soon));
        any.wait();
        assert!(any.has_come(soon) && !any.has_come(late));
        assert!(begun.elapsed() >= Duration::from_millis(10));
    }

    #[test]
    fn without_anything_to_wait_for_waiting_is_over_at_once() {
        let mut none = Any::<0>::new();
        let timer = Timer::at(Instant::now());
        let key = none.add(&timer);
        none.wait();
        assert!(!none.has_come(key));
    }
}
