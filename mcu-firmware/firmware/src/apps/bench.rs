//! The firmware measures itself, for `cargo xtask bench`: loops in native code, which the app `pace` runs in wasm3, and how long it
//! takes to go to an app and back. On a machine that counts an instruction as a nanosecond (`-icount shift=0`) the
//! microseconds are thousands of instructions. Results are events, since events are what the console has.

use alloc::format;
use core::arch::asm;
use core::hint::black_box;

use embassy_time::{Instant, Timer};
use pace_work::WORKS;

use super::Device;
use super::run::Run;
use crate::context;

/// How often it goes to an app: the clock is right to a microsecond.
const TIMES: u32 = 10_000;
/// Milliseconds until the console has printed what came before, and nothing else happens.
const QUIET_MS: u64 = 200;
/// Bytes of an arena for nothing but a stack.
const ARENA: u32 = 4096;

/// Measures, and says so.
pub(super) async fn measure(device: &'static Device) {
    Timer::after_millis(QUIET_MS).await;
    for work in &WORKS {
        let begun = Instant::now();
        let sum = (work.run)(black_box(work.rounds));
        let us = begun.elapsed().as_micros();
        let text = format!("{}: {us} us, sum {sum}", work.name);
        device.event(None, "bench", &text).await;
        Timer::after_millis(QUIET_MS).await;
    }
    let apps = [
        Run::bare(device, ARENA, call),
        Run::bare(device, ARENA, call),
    ];
    let [Some(mut one), Some(mut other)] = apps else {
        return device
            .event(None, "bench", "no memory for two stacks")
            .await;
    };
    // Into the first instruction of both; the protection unit is now set for the last one.
    other.enter();
    one.enter();
    let us = {
        let context = one.context();
        timed(|| _ = context::enter(context))
    };
    let text = format!("registers: {us} us, {TIMES} times");
    device.event(None, "bench", &text).await;
    Timer::after_millis(QUIET_MS).await;
    let us = timed(|| {
        one.enter();
        other.enter();
    });
    let text = format!("apps: {us} us, {} times", 2 * TIMES);
    device.event(None, "bench", &text).await;
    drop((one, other));
    Timer::after_millis(QUIET_MS).await;
}

/// Microseconds that it takes so many times.
fn timed(mut function: impl FnMut()) -> u64 {
    let begun = Instant::now();
    for _ in 0..TIMES {
        function();
    }
    begun.elapsed().as_micros()
}

/// An app that calls the firmware, and again.
unsafe extern "C" fn call(_: u32, _: u32, _: u32, _: u32) -> ! {
    loop {
        // SAFETY: the registers come back as they were.
        unsafe { asm!("svc 0") };
    }
}
