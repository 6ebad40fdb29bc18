//! Waiting for one of several things.

use vyoma_capabilities::lifecycle::Ending;

use super::{run, trapped};
use crate::conformance::Run;
use crate::trap;

pub(super) fn cases() -> Vec<Run> {
    vec![
        run(
            "poll_of_nothing_traps",
            "(func $run (result i32) (call $poll.poll (i32.const 256) (i32.const 0) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::EMPTY_POLL),
        ),
        Run {
            stdin_stays_open: true,
            ..run(
                "poll_of_a_silent_stdin_and_a_timer_tells_the_timer",
                "(func $run (result i32)
                   (i32.store (i32.const 256) (call $input-stream.subscribe (call $stdin.get-stdin)))
                   (i32.store (i32.const 260) (call $monotonic-clock.subscribe-duration (i64.const 20000000)))
                   (call $poll.poll (i32.const 256) (i32.const 2) (i32.const 16))
                   (call $check (i32.const 2) (i32.eq (i32.load (i32.const 20)) (i32.const 1)))
                   (call $check (i32.const 3) (i32.eq (i32.load (i32.load (i32.const 16))) (i32.const 1)))
                   (call $check (i32.const 4) (i32.eqz (call $pollable.ready (i32.load (i32.const 256)))))
                   (call $check (i32.const 5) (call $pollable.ready (i32.load (i32.const 260))))
                   (i32.const 0))",
                |o| o.ended(&Ending::Exited(0)),
            )
        },
        Run {
            stdin: b"x",
            stdin_stays_open: true,
            ..run(
                "poll_of_a_far_timer_and_a_fed_stdin_tells_stdin",
                "(func $run (result i32)
                   (i32.store (i32.const 256) (call $monotonic-clock.subscribe-duration (i64.const 30000000000)))
                   (i32.store (i32.const 260) (call $input-stream.subscribe (call $stdin.get-stdin)))
                   (call $poll.poll (i32.const 256) (i32.const 2) (i32.const 16))
                   (call $check (i32.const 2) (i32.eq (i32.load (i32.const 20)) (i32.const 1)))
                   (call $check (i32.const 3) (i32.eq (i32.load (i32.load (i32.const 16))) (i32.const 1)))
                   (i32.const 0))",
                |o| o.ended(&Ending::Exited(0)),
            )
        },
        run(
            "stdin_at_its_end_is_ready",
            "(func $run (result i32) (call $pollable.block (call $input-stream.subscribe (call $stdin.get-stdin))) (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "poll_tells_all_that_is_ready_and_nothing_else",
            "(func $run (result i32)
               (i32.store (i32.const 256) (call $monotonic-clock.subscribe-duration (i64.const 60000000000)))
               (i32.store (i32.const 260) (call $output-stream.subscribe (call $stdout.get-stdout)))
               (i32.store (i32.const 264) (call $monotonic-clock.subscribe-duration (i64.const 60000000000)))
               (i32.store (i32.const 268) (call $monotonic-clock.subscribe-instant (i64.const 0)))
               (i32.store (i32.const 272) (i32.load (i32.const 260)))
               (call $pollable.block (i32.load (i32.const 268)))
               (call $poll.poll (i32.const 256) (i32.const 5) (i32.const 16))
               (call $check (i32.const 2) (i32.eq (i32.load (i32.const 20)) (i32.const 3)))
               (call $exit.exit-with-code (call $told)) unreachable)",
            |o| o.ended(&Ending::Exited(0b11010)),
        ),
        run(
            "one_pollable_twice_in_a_list_is_told_twice",
            "(func $run (result i32)
               (i32.store (i32.const 256) (call $monotonic-clock.subscribe-duration (i64.const 1000000)))
               (i32.store (i32.const 260) (i32.load (i32.const 256)))
               (call $poll.poll (i32.const 256) (i32.const 2) (i32.const 16))
               (call $check (i32.const 4) (i32.eq (i32.load (i32.const 20)) (i32.const 2)))
               (call $exit.exit-with-code (call $told)) unreachable)",
            |o| o.ended(&Ending::Exited(0b11)),
        ),
        run(
            "a_timer_is_ready_after_it_was_waited_for_and_stays_so",
            "(func $run (result i32) (local $timer i32)
               (local.set $timer (call $monotonic-clock.subscribe-duration (i64.const 30000000)))
               (call $check (i32.const 2) (i32.eqz (call $pollable.ready (local.get $timer))))
               (call $pollable.block (local.get $timer))
               (call $check (i32.const 3) (call $pollable.ready (local.get $timer)))
               (call $pollable.block (local.get $timer))
               (call $pollable.drop (local.get $timer))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
    ]
}
