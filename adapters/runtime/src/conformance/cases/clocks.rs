//! Clocks, random numbers, terminals and the rest of the environment.

use vyoma_capabilities::lifecycle::Ending;

use super::{run, trapped};
use crate::conformance::Run;
use crate::trap;

pub(super) fn cases() -> Vec<Run> {
    vec![
        run(
            "the_monotonic_clock_never_goes_back",
            "(func $run (result i32) (local $n i32) (local $last i64) (local $now i64)
               (call $check (i32.const 2) (i64.ne (call $monotonic-clock.resolution) (i64.const 0)))
               (loop $more
                 (local.set $now (call $monotonic-clock.now))
                 (call $check (i32.const 3) (i64.ge_u (local.get $now) (local.get $last)))
                 (local.set $last (local.get $now))
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (br_if $more (i32.lt_u (local.get $n) (i32.const 2000))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "the_wall_clock_is_later_than_this_suite",
            // 1 November 2026.
            "(func $run (result i32)
               (call $wall-clock.now (i32.const 16))
               (call $check (i32.const 2) (i64.gt_u (i64.load (i32.const 16)) (i64.const 1793491200)))
               (call $check (i32.const 3) (i32.lt_u (i32.load (i32.const 24)) (i32.const 1000000000)))
               (call $wall-clock.resolution (i32.const 32))
               (call $check (i32.const 4) (i32.or (i64.ne (i64.load (i32.const 32)) (i64.const 0)) (i32.load (i32.const 40))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "an_instant_is_waited_for_and_one_in_the_past_is_not",
            "(func $run (result i32) (local $at i64) (local $past i32)
               (local.set $past (call $monotonic-clock.subscribe-instant (i64.const 0)))
               (call $pollable.block (local.get $past))
               (call $check (i32.const 2) (call $pollable.ready (local.get $past)))
               (local.set $at (i64.add (call $monotonic-clock.now) (i64.const 20000000)))
               (call $pollable.block (call $monotonic-clock.subscribe-instant (local.get $at)))
               (call $check (i32.const 3) (i64.ge_u (call $monotonic-clock.now) (local.get $at)))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "a_timer_of_all_time_is_never_ready",
            "(func $run (result i32)
               (call $check (i32.const 2) (i32.eqz (call $pollable.ready (call $monotonic-clock.subscribe-duration (i64.const -1)))))
               (call $check (i32.const 3) (i32.eqz (call $pollable.ready (call $monotonic-clock.subscribe-instant (i64.const -1)))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "random_bytes_are_as_many_as_asked_and_differ",
            "(func $run (result i32)
               (call $random.get-random-bytes (i64.const 0) (i32.const 16))
               (call $check (i32.const 2) (i32.eqz (i32.load (i32.const 20))))
               (call $random.get-random-bytes (i64.const 65537) (i32.const 16))
               (call $check (i32.const 3) (i32.eq (i32.load (i32.const 20)) (i32.const 65537)))
               (call $check (i32.const 4) (i64.ne (i64.load (i32.load (i32.const 16))) (i64.load offset=8 (i32.load (i32.const 16)))))
               (call $insecure.get-insecure-random-bytes (i64.const 7) (i32.const 16))
               (call $check (i32.const 5) (i32.eq (i32.load (i32.const 20)) (i32.const 7)))
               (call $check (i32.const 6) (i64.ne (call $random.get-random-u64) (call $random.get-random-u64)))
               (call $check (i32.const 7) (i64.ne (call $insecure.get-insecure-random-u64) (call $insecure.get-insecure-random-u64)))
               (call $insecure-seed.insecure-seed (i32.const 32))
               (call $insecure-seed.insecure-seed (i32.const 48))
               (call $check (i32.const 8) (i64.eq (i64.load (i32.const 32)) (i64.load (i32.const 48))))
               (call $check (i32.const 9) (i64.ne (i64.load (i32.const 32)) (i64.load (i32.const 40))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "more_random_bytes_than_a_host_has_trap",
            "(func $run (result i32) (call $random.get-random-bytes (i64.const 0x4000001) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::RANDOM_SIZE),
        ),
        run(
            "more_insecure_random_bytes_than_a_host_has_trap",
            "(func $run (result i32) (call $insecure.get-insecure-random-bytes (i64.const -1) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::RANDOM_SIZE),
        ),
        run(
            "there_is_no_terminal",
            "(func $run (result i32)
               (i32.store (i32.const 16) (i32.const 255)) (i32.store (i32.const 24) (i32.const 255)) (i32.store (i32.const 32) (i32.const 255))
               (call $terminal-stdin.get-terminal-stdin (i32.const 16))
               (call $terminal-stdout.get-terminal-stdout (i32.const 24))
               (call $terminal-stderr.get-terminal-stderr (i32.const 32))
               (i32.or (i32.or (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 24))) (i32.load8_u (i32.const 32))))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "there_is_no_initial_working_directory",
            "(func $run (result i32)
               (i32.store (i32.const 16) (i32.const 255))
               (call $environment.initial-cwd (i32.const 16)) (i32.load8_u (i32.const 16)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
    ]
}
