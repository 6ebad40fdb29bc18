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
use super::{App, Device};
use crate::constants::STACK_BYTES;
use crate::context::{Context, FRAME_BYTES, Stop, enter};
use crate::memory::{self, SPACE_BYTES, Space};
use crate::{clock, guest, stack};

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

impl Run {
    /// Prepares loading; none when there is no memory at all.
    pub(super) fn load(device: &'static Device, app: &App) -> Option<Self> {
        let mut pool = device.pool.borrow_mut();
        let arena = match app.arena_bytes.get() {
            Some(bytes) => pool.fitting(bytes),
            None => None,
        };
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
        let component = app.component;
        let words = context.start(
            frame,
            guest::load,
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
        let arena = self.access.arena.clone();
        let mut space = self.space();
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

    /// The heap, by what the app's memory says.
    pub(super) fn space(&self) -> Space {
        let place: *const Space = core::ptr::with_exposed_provenance(self.space as usize);
        // SAFETY: the end of the arena, where `load` put one; whatever the app made of it, it is numbers.
        unsafe { place.read() }
    }

    /// Bytes of the arena.
    pub(super) fn arena_bytes(&self) -> u32 {
        self.access.arena.end - self.access.arena.start
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut pool = self.device.pool.borrow_mut();
        pool.give_back(self.access.arena.start);
    }
}

fn put_space(address: u32, space: &Space) {
    let place: *mut Space = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: the end of an arena, which nobody else uses now.
    unsafe { place.write(space.clone()) };
}
