//! Embassy's executor with a sleep of its own: an interrupt that wakes a task also takes the processor from the app that
//! runs, and time asleep is counted.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cortex_m::peripheral::{NVIC, SCB};
use embassy_executor::{Spawner, raw};
use embassy_time::Instant;

use crate::{board, clock, memory};

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

/// Sleeps until somebody resets the device: nothing wakes it any more.
pub(crate) fn off() -> ! {
    cortex_m::interrupt::disable();
    clock::stop();
    // SAFETY: turns interrupts off, on which nothing that still happens relies.
    unsafe {
        for lines in &(*NVIC::PTR).icer {
            lines.write(u32::MAX);
        }
        (*SCB::PTR).scr.modify(|scr| scr | SLEEPDEEP);
    }
    board::prepare_off();
    loop {
        cortex_m::asm::dsb();
        cortex_m::asm::wfi();
    }
}

/// SCR: sleep as deep as the board was set up for (ARMv7-M, B3.2.7).
const SLEEPDEEP: u32 = 1 << 2;
