//! The firmware of mcu-minimal: unmodified `wasm32-wasip2` components on Embassy and wasm3, in 128 KB of RAM.
//!
//! ```text
//!   apps (unprivileged, preempted)      guest/    loads and runs a component, host functions
//!   ------------- svc ----------------- calls.rs, context.rs, protection.rs
//!   executor (Embassy)                  apps/     one task for each app: its life, its host calls, what it prints
//!   hardware                            board/    one module for each board; clock.rs, console.rs
//! ```
//!
//! See docs/microcontroller.md.

#![no_std]
#![no_main]

extern crate alloc;

mod apps;
mod board;
mod calls;
mod clock;
mod console;
mod context;
mod control;
mod epitaph;
mod executor;
mod faults;
mod guest;
mod libc;
mod memory;
mod pins;
mod protection;
mod serial;
mod stack;
mod store;

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use embassy_executor::raw;
use static_cell::StaticCell;

mod constants {
    //! What the build read from the profile.
    include!(concat!(env!("OUT_DIR"), "/constants.rs"));
}

#[cortex_m_rt::entry]
fn main() -> ! {
    stack::paint();
    let Some(mut processor) = cortex_m::Peripherals::take() else {
        // Nobody else takes them.
        SCB::sys_reset()
    };
    faults::init(&mut processor.SCB);
    board::init();
    clock::start(processor.SYST);
    let protection = protection::Protection::new(processor.MPU);
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    executor::run(
        EXECUTOR.init(raw::Executor::new(core::ptr::null_mut())),
        |spawner| apps::start(spawner, protection),
    )
}

/// Texts and places of panics would be 30 KB of flash; where it was, the return addresses on the stack tell
/// (`addr2line` with the firmware's ELF file).
#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    if memory::in_app() {
        guest::panicked()
    }
    console::last_words(format_args!(
        "the firmware panicked at {}; restarting",
        stack::Trace::here()
    ));
    SCB::sys_reset()
}
