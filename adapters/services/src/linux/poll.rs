//! Waiting: for descriptors with `ppoll`, for the clock alone with an absolute `clock_nanosleep`.
//!
//! An event is asked what it waits for each time anew ([`Event::watch`]), because what a socket waits for changes with its
//! state while the guest holds the pollable. Nothing is registered anywhere, and nothing is remembered between two calls.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use vyoma_component::services::{Instant, Pollable};

use super::clocks::{Monotonic, timespec};

/// What the kernel tells whether asked for or not; an operation then does not wait.
const ALWAYS_NEWS: PollFlags = PollFlags::ERR.union(PollFlags::HUP).union(PollFlags::NVAL);

/// What is waited for at a descriptor. Errors and a closed other end are always news too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// A read would not wait.
    Read,
    /// A write would not wait.
    Write,
}

impl Interest {
    fn flag(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
        }
    }
}

/// What an event waits for at this moment.
pub(crate) enum Watch<'a> {
    /// Nothing: it is ready.
    Ready,
    /// The kernel's word about a descriptor.
    Descriptor(BorrowedFd<'a>, Interest),
}

/// Something that a pollable stands for.
pub(crate) trait Event {
    /// Asked at the beginning of every wait.
    fn watch(&self) -> Watch<'_>;
    /// Asked when the kernel has news of the descriptor: whether that makes it ready. For those that have work to do first.
    fn arrived(&self) -> bool {
        true
    }
}

/// [`Event`]s as the handle table keeps them.
#[derive(Clone)]
pub struct Wait(Rc<dyn Event>);

impl Wait {
    pub(crate) fn new(event: impl Event + 'static) -> Self {
        Self(Rc::new(event))
    }

    /// A pollable of it.
    pub(crate) fn pollable(event: impl Event + 'static) -> Pollable<Self> {
        Pollable::Event(Self::new(event))
    }
}

/// See `Services::is_ready`.
pub(crate) fn is_ready(clock: &Monotonic, pollable: &Pollable<Wait>) -> bool {
    match pollable {
        Pollable::Ready => true,
        Pollable::At(when) => clock.now() >= *when,
        Pollable::Event(_) => !Round::new(std::slice::from_ref(pollable))
            .look(clock, true)
            .is_empty(),
    }
}

/// See `Services::poll`.
pub(crate) fn poll(clock: &Monotonic, pollables: &[Pollable<Wait>]) -> Vec<u32> {
    loop {
        let ready = Round::new(pollables).look(clock, false);
        if !ready.is_empty() {
            return ready;
        }
    }
}

/// What one pollable waits for, in one round.
enum Entry<'a> {
    Ready,
    At(Instant),
    /// Place in [`Round::watched`], the flag, and who asked.
    Descriptor(usize, PollFlags, &'a dyn Event),
}

/// One look at all pollables.
struct Round<'a> {
    /// One for each pollable.
    entries: Vec<Entry<'a>>,
    /// Each descriptor once, however many pollables watch it: `ppoll` takes no more entries than the process may have
    /// descriptors.
    watched: Vec<(BorrowedFd<'a>, PollFlags)>,
}

impl<'a> Round<'a> {
    fn new(pollables: &'a [Pollable<Wait>]) -> Self {
        let mut watched: Vec<(BorrowedFd<'a>, PollFlags)> = Vec::new();
        let mut places = BTreeMap::new();
        let mut watch = |fd: BorrowedFd<'a>, interest: Interest, event: &'a dyn Event| {
            let flag = interest.flag();
            let place = *places.entry(fd.as_raw_fd()).or_insert(watched.len());
            match watched.get_mut(place) {
                Some((_, flags)) => *flags |= flag,
                None => watched.push((fd, flag)),
            }
            Entry::Descriptor(place, flag, event)
        };
        let entries = pollables
            .iter()
            .map(|pollable| match pollable {
                Pollable::Ready => Entry::Ready,
                Pollable::At(when) => Entry::At(*when),
                Pollable::Event(Wait(event)) => match event.watch() {
                    Watch::Ready => Entry::Ready,
                    Watch::Descriptor(fd, interest) => watch(fd, interest, &**event),
                },
            })
            .collect();
        Self { entries, watched }
    }

    /// Waits until something is ready, or not at all; then gives the indices of all that is. Nothing: not at all, or a signal
    /// came, or the kernel's timer was early.
    fn look(&self, clock: &Monotonic, at_once: bool) -> Vec<u32> {
        let at_once = at_once
            || self
                .entries
                .iter()
                .any(|entry| matches!(entry, Entry::Ready));
        let deadline = self.entries.iter().filter_map(|entry| match entry {
            Entry::At(when) => Some(*when),
            Entry::Ready | Entry::Descriptor(..) => None,
        });
        let deadline = if at_once { Some(0) } else { deadline.min() };
        let news = if self.watched.is_empty() {
            if let Some(deadline) = deadline.filter(|_| !at_once) {
                clock.sleep_until(deadline);
            }
            Vec::new()
        } else {
            let timeout = deadline.map(|deadline| timespec(deadline.saturating_sub(clock.now())));
            self.kernel(timeout.as_ref())
        };
        let now = clock.now();
        (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| match entry {
                Entry::Ready => true,
                Entry::At(when) => now >= *when,
                Entry::Descriptor(place, flag, event) => {
                    news.get(*place)
                        .is_some_and(|news| news.intersects(*flag | ALWAYS_NEWS))
                        && event.arrived()
                }
            })
            .map(|(index, _)| index)
            .collect()
    }

    /// What the kernel says of each descriptor.
    fn kernel(&self, timeout: Option<&Timespec>) -> Vec<PollFlags> {
        let mut fds: Vec<_> = self
            .watched
            .iter()
            .map(|&(fd, flags)| PollFd::from_borrowed_fd(fd, flags))
            .collect();
        match rustix::event::poll(&mut fds, timeout) {
            Ok(_) => fds.iter().map(PollFd::revents).collect(),
            Err(Errno::INTR | Errno::AGAIN) => Vec::new(),
            // The operation that the guest waits for will say what is wrong.
            Err(_) => vec![PollFlags::ERR; fds.len()],
        }
    }
}
