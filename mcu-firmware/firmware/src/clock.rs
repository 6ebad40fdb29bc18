//! Time, for Embassy and for slices, from the processor's own timer (SysTick), which every board and its emulation have.
//!
//! The timer counts down 24 bits of processor cycles and interrupts at the end; it is set to the next moment at which
//! something is due, so nothing ticks while nothing is. Setting it anew loses a cycle or two, which is accounted for; what
//! the account is off by is below the error of a crystal. Sleeping is `wfi`, which leaves the timer running.

use core::cell::RefCell;
use core::task::Waker;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use critical_section::Mutex;
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

use crate::board;

/// Cycles of a tick of Embassy's clock, a microsecond.
const CYCLES: u64 = board::CLOCK_HZ as u64 / TICK_HZ;

/// Most cycles that the timer can be set to.
const MOST: u64 = 1 << 24;

/// Fewest: longer than any critical section, so that the interrupt is never late by a whole round.
const FEWEST: u64 = 500;

/// Cycles from reading the counter to setting it, counted in the instructions of `Clock::set`.
const LOST: u64 = 12;

/// Ticks, microseconds, that an app may run while others want to. Short enough that three busy apps each feel like a slow
/// one, long enough that changing costs nothing: some hundred instructions.
pub(crate) const SLICE: u64 = 10_000;

struct Clock {
    timer: SYST,
    queue: Queue,
    /// Cycles from the start to when the timer was last set or ran out.
    base: u64,
    /// Cycles of the present round.
    round: u64,
    /// When an app's slice is over, in ticks.
    slice: u64,
}

struct Time(Mutex<RefCell<Option<Clock>>>);

embassy_time_driver::time_driver_impl!(static TIME: Time = Time(Mutex::new(RefCell::new(None))));

/// Starts the clock at 0.
pub(crate) fn start(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload((MOST - 1) as u32);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
    critical_section::with(|token| {
        *TIME.0.borrow_ref_mut(token) = Some(Clock {
            timer,
            queue: Queue::new(),
            base: 0,
            round: MOST,
            slice: u64::MAX,
        });
    });
}

/// Stops the clock for good.
pub(crate) fn stop() {
    TIME.with(|clock| {
        clock.timer.disable_interrupt();
        clock.timer.disable_counter();
        SCB::clear_systick_pending();
    });
}

/// The executor is woken at the latest when a slice from now is over.
pub(crate) fn begin_slice() {
    TIME.with(|clock| {
        let now = clock.now();
        clock.slice = now + SLICE;
        // Is the timer set to something later? Then it would come too late.
        let due = clock.base + clock.round;
        if due > clock.slice * CYCLES {
            clock.set(clock.slice, now);
        }
    });
}

impl Clock {
    /// Cycles since the start.
    fn cycles(&self) -> u64 {
        let mut count = SYST::get_current();
        let mut base = self.base;
        // The round is over, and its interrupt has not been taken yet.
        if SCB::is_systick_pending() {
            count = SYST::get_current();
            base += self.round;
        }
        // The counter shows 0 at the end of a round, and for a moment after it was set: the new one has not begun then.
        match u64::from(count) {
            0 => base,
            count => base + self.round.saturating_sub(count),
        }
    }

    /// Ticks since the start.
    fn now(&self) -> u64 {
        self.cycles() / CYCLES
    }

    /// Begins a round that ends at `at`, or as close to it as can be.
    fn set(&mut self, at: u64, now: u64) {
        let cycles = at.saturating_sub(now).saturating_mul(CYCLES);
        let round = cycles.clamp(FEWEST, MOST);
        self.base = self.cycles() + LOST;
        self.round = round;
        self.timer.set_reload((round - 1) as u32);
        self.timer.clear_current();
        // What was counted above must not be counted again.
        SCB::clear_systick_pending();
    }
}

trait SystickPending {
    fn is_systick_pending() -> bool;
    fn clear_systick_pending();
}

/// ICSR, SysTick's pending bit (ARMv7-M, B3.2.4).
const PENDSTSET: u32 = 1 << 26;
/// ICSR, clears it.
const PENDSTCLR: u32 = 1 << 25;

impl SystickPending for SCB {
    fn is_systick_pending() -> bool {
        // SAFETY: a read without effects.
        unsafe { (*SCB::PTR).icsr.read() & PENDSTSET != 0 }
    }

    fn clear_systick_pending() {
        // SAFETY: bits that are written as 0 are not affected.
        unsafe { (*SCB::PTR).icsr.write(PENDSTCLR) };
    }
}

impl Time {
    fn with<T>(&self, function: impl FnOnce(&mut Clock) -> T) -> T {
        critical_section::with(|token| {
            let mut clock = self.0.borrow_ref_mut(token);
            function(clock.as_mut().expect("the clock is started first"))
        })
    }
}

impl Driver for Time {
    fn now(&self) -> u64 {
        self.with(|clock| clock.now())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        self.with(|clock| {
            if clock.queue.schedule_wake(at, waker) {
                clock.next();
            }
        });
    }
}

impl Clock {
    /// Wakes whoever is due and sets the timer to who is next.
    fn next(&mut self) {
        let now = self.now();
        let next = self.queue.next_expiration(now);
        if self.slice <= now {
            self.slice = u64::MAX;
            // The app that runs has to let others run.
            SCB::set_pendsv();
        }
        self.set(next.min(self.slice), now);
    }
}

#[cortex_m_rt::exception]
fn SysTick() {
    TIME.with(|clock| {
        clock.base += clock.round;
        clock.next();
    });
}
