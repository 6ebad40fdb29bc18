//! One run of an app: its arena, its context, and the step from loading to running.
//!
//! ```text
//!   pool    |....... free .......|==== arena ================================|  other arenas ...|
//!   loading                      | whatever there is, at most                |                      stack: the loader's
//!   running           | stack | spare | heap: code, metadata, linear memory |
//! ```
//!
//! An app is loaded in all that is free (or in what it needed last time). When it is loaded, it is known what it needs:
//! the stack goes right below that, and the rest is given back.

use core::ops::Range;

use embassy_time::Instant;
use vyoma_mcu_core::cover;

use super::access::{Access, Outside};
use super::{Device, Figures};
use crate::constants::STACK_BYTES;
use crate::context::{Context, FRAME_BYTES, Stop, enter};
use crate::memory::{self, SPACE_BYTES, Space};
use crate::{clock, faults, guest, stack};

/// Bytes that an app's heap can grow by once it runs: handles, and lists that host functions make for a moment.
const SPARE: u32 = 1024;

/// The least that loading is tried in.
const LEAST: u32 = 4096;

/// A run.
pub(super) struct Run {
    device: &'static Device,
    pub(super) access: Access,
    /// Address of the heap's structure.
    space: u32,
    context: Context,
    stack: Range<u32>,
}

/// What an app begins with: the address and the length of its component, twice nothing.
type Entry = unsafe extern "C" fn(u32, u32, u32, u32) -> !;

impl Run {
    /// Prepares `entry`, on the loader's stack, with an arena of so many bytes if there is one, else with as many as are free;
    /// none when there is no memory at all. Nobody else loads.
    pub(super) fn load(
        device: &'static Device,
        component: &'static [u8],
        bytes: Option<u32>,
        entry: Entry,
    ) -> Option<Self> {
        let mut pool = device.pool.borrow_mut();
        let arena = bytes.and_then(|bytes| pool.fitting(bytes));
        let arena = match arena.filter(|arena| cover::cover(arena).is_some()) {
            Some(arena) => arena,
            None => cover::raise(&pool.largest())?,
        };
        if arena.end.saturating_sub(arena.start) < LEAST || !pool.take(arena.clone()) {
            return None;
        }
        let space = arena.end - SPACE_BYTES;
        let loader = memory::loader();
        let mut access = Access {
            arena,
            loading: true,
        };
        // The stack that it will run on comes below the heap.
        let floor = access.arena.start + STACK_BYTES;
        put_space(space, &Space::new(&access.arena, floor));
        // SAFETY: nobody is loading.
        unsafe { stack::paint_range(&loader) };
        let mut context = Context::default();
        let frame = loader.end - FRAME_BYTES;
        let words = context.start(
            frame,
            entry,
            [
                component.as_ptr().addr() as u32,
                component.len() as u32,
                0,
                0,
            ],
        );
        access.set_words(frame, &words).ok()?;
        Some(Self {
            device,
            access,
            space,
            context,
            stack: loader,
        })
    }

    /// Loading is over: cuts the arena to what is needed, and prepares running `loaded`.
    pub(super) fn begin(&mut self, loaded: u32) -> Result<(), Outside> {
        self.measure_loader();
        let arena = self.access.arena.clone();
        let mut space = space(self.space);
        // Below this is nothing of the heap's, now and later: the stack.
        let top = space.settle(SPARE);
        let cut = top
            .checked_sub(STACK_BYTES)
            .and_then(|bottom| cover::lower(&(bottom..arena.end)))
            .filter(|cut| arena.contains(&cut.start) && arena.contains(&top))
            .ok_or(Outside)?;
        put_space(self.space, &space);
        let mut pool = self.device.pool.borrow_mut();
        pool.give_back(arena.start);
        if !pool.take(cut.clone()) {
            return Err(Outside);
        }
        // It lies between the arena's start and the heap, wherever the protection's grain put the start.
        self.stack = cut.start..top;
        self.access = Access {
            arena: cut,
            loading: false,
        };
        // SAFETY: the app does not run, and has nothing on this stack yet.
        unsafe { stack::paint_range(&self.stack) };
        let frame = self.stack.end - FRAME_BYTES;
        let bottom = self.stack.start;
        let words = self
            .context
            .start(frame, guest::run, [loaded, bottom, 0, 0]);
        self.access.set_words(frame, &words)
    }

    /// Prepares `entry` with an arena of so many bytes, the lower half of which is its stack: nothing that was loaded.
    #[cfg(feature = "bench")]
    pub(super) fn bare(device: &'static Device, bytes: u32, entry: Entry) -> Option<Self> {
        let mut pool = device.pool.borrow_mut();
        let arena = pool.fitting(bytes)?;
        cover::cover(&arena)?;
        if !pool.take(arena.clone()) {
            return None;
        }
        let space = arena.end - SPACE_BYTES;
        let stack = arena.start..arena.start + bytes / 2;
        put_space(space, &Space::new(&arena, stack.end));
        let mut access = Access {
            arena,
            loading: false,
        };
        let mut context = Context::default();
        let frame = stack.end - FRAME_BYTES;
        let words = context.start(frame, entry, [0; 4]);
        access.set_words(frame, &words).ok()?;
        Some(Self {
            device,
            access,
            space,
            context,
            stack,
        })
    }

    /// Its registers.
    #[cfg(feature = "bench")]
    pub(super) fn context(&mut self) -> &mut Context {
        &mut self.context
    }

    /// Lets the app run until it stops; and the microseconds that it ran.
    pub(super) fn enter(&mut self) -> (Stop, u64) {
        let mut protection = self.device.protection.borrow_mut();
        protection.give(&self.access.arena, self.access.loading);
        drop(protection);
        let start = Instant::now();
        clock::begin_slice();
        memory::set_turn(self.space);
        let stop = enter(&mut self.context);
        memory::set_turn(0);
        let stop = if faults::is_unreadable() {
            Stop::Fault
        } else {
            stop
        };
        (stop, start.elapsed().as_micros())
    }

    /// Registers r0 to r3 of the host call that it stopped at.
    pub(super) fn arguments(&self) -> Result<[u32; 4], Outside> {
        self.access.words(self.context.frame())
    }

    /// What the host call gives, in r0 and r1.
    pub(super) fn answer(&mut self, low: u32, high: u32) -> Result<(), Outside> {
        self.access.set_words(self.context.frame(), &[low, high])
    }

    /// The stack that it runs on.
    pub(super) fn stack(&self) -> &Range<u32> {
        &self.stack
    }

    /// Bytes of its arena.
    pub(super) fn arena_bytes(&self) -> u32 {
        self.access.arena.end - self.access.arena.start
    }

    /// Where everything is now.
    pub(super) fn placement(&self) -> Placement {
        Placement {
            arena: self.access.arena.clone(),
            stack: self.stack.clone(),
            space: self.space,
        }
    }

    /// Looks at how much of its stack loading took.
    fn measure_loader(&self) {
        if self.access.loading {
            let used = stack::used(&self.stack).max(self.device.loader_used.get());
            self.device.loader_used.set(used);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.measure_loader();
        let mut pool = self.device.pool.borrow_mut();
        pool.give_back(self.access.arena.start);
    }
}

/// Where the memory of a run is that was loaded.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    pub(super) arena: Range<u32>,
    stack: Range<u32>,
    /// Address of the heap's structure.
    space: u32,
}

impl Placement {
    /// Writes down what there is of memory, and how much of it is used and was.
    pub(super) fn measure(&self, figures: &mut Figures) {
        figures.arena = self.arena.end - self.arena.start;
        figures.stack = self.stack.end - self.arena.start;
        figures.stack_used = stack::used(&self.stack);
        figures.heap_used = space(self.space).heap().used() + SPACE_BYTES;
    }
}

/// The heap whose structure is there, by what the app's memory says.
fn space(address: u32) -> Space {
    let place: *const Space = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the end of an arena, where `load` put one; whatever the app made of it, it is numbers.
    unsafe { place.read() }
}

fn put_space(address: u32, space: &Space) {
    let place: *mut Space = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: the end of an arena, which nobody else uses now.
    unsafe { place.write(space.clone()) };
}
