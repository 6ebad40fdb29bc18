//! Embassy's executor with a sleep of its own: an interrupt that wakes a task also takes the processor from the app that
//! runs, and time asleep is counted.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cortex_m::peripheral::SCB;
use embassy_executor::{Spawner, raw};
use embassy_time::Instant;

use crate::memory;

/// A task was woken since the executor last looked.
static WOKEN: AtomicBool = AtomicBool::new(false);

/// Milliseconds asleep.
static ASLEEP: AtomicU32 = AtomicU32::new(0);

/// Called by Embassy when a task is woken, from wherever that is.
#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    WOKEN.store(true, Ordering::Relaxed);
    if memory::in_app() {
        SCB::set_pendsv();
    }
}

/// Milliseconds that the processor slept since the start.
pub(crate) fn asleep_ms() -> u32 {
    ASLEEP.load(Ordering::Relaxed)
}

/// Runs tasks for ever; `first` spawns the first ones.
pub(crate) fn run(executor: &'static mut raw::Executor, first: impl FnOnce(Spawner)) -> ! {
    let executor: &'static raw::Executor = executor;
    first(executor.spawner());
    let mut asleep_us = 0;
    loop {
        WOKEN.store(false, Ordering::Relaxed);
        // SAFETY: called from here only, never from within a task.
        unsafe { executor.poll() };
        // Between the look and the sleep no interrupt is taken; one that comes ends the sleep all the same.
        let start = Instant::now();
        cortex_m::interrupt::disable();
        let sleeps = !WOKEN.load(Ordering::Relaxed);
        if sleeps {
            cortex_m::asm::dsb();
            cortex_m::asm::wfi();
        }
        // SAFETY: they were enabled before.
        unsafe { cortex_m::interrupt::enable() };
        if sleeps {
            asleep_us += start.elapsed().as_micros();
            ASLEEP.store((asleep_us / 1000) as u32, Ordering::Relaxed);
        }
    }
}
