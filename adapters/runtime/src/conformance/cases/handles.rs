//! Handles: what the canonical ABI and WASI say of those that are stale, foreign or of another type.

use vyoma_capabilities::lifecycle::Ending;

use super::{run, trapped};
use crate::conformance::Run;
use crate::trap;

pub(super) fn cases() -> Vec<Run> {
    vec![
        run(
            "a_handle_that_was_never_given_traps",
            "(func $run (result i32) (call $pollable.block (i32.const 77)) (i32.const 0))",
            |o| trapped(o, &trap::unknown_handle(77)),
        ),
        run(
            "handle_0_is_never_given",
            "(func $run (result i32) (call $pollable.block (i32.const 0)) (i32.const 0))",
            |o| trapped(o, &trap::unknown_handle(0)),
        ),
        run(
            "a_handle_past_all_tables_traps",
            "(func $run (result i32) (call $output-stream.drop (i32.const 0xffffffff)) (i32.const 0))",
            |o| trapped(o, &trap::unknown_handle(0xffff_ffff)),
        ),
        run(
            "a_dropped_handle_traps",
            "(func $run (result i32)
               (call $output-stream.drop (call $stdout.get-stdout))
               (call $output-stream.check-write (i32.const 1) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, &trap::unknown_handle(1)),
        ),
        run(
            "a_handle_dropped_twice_traps",
            "(func $run (result i32)
               (call $output-stream.drop (call $stdout.get-stdout)) (call $output-stream.drop (i32.const 1)) (i32.const 0))",
            |o| trapped(o, &trap::unknown_handle(1)),
        ),
        run(
            "a_handle_of_another_type_traps",
            "(func $run (result i32)
               (call $output-stream.check-write (call $stdin.get-stdin) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, &trap::wrong_handle(1)),
        ),
        run(
            "dropping_a_handle_as_another_type_traps",
            "(func $run (result i32) (call $output-stream.drop (call $stdin.get-stdin)) (i32.const 0))",
            |o| trapped(o, &trap::wrong_handle(1)),
        ),
        run(
            "a_handle_in_a_list_is_checked_too",
            "(func $run (result i32)
               (i32.store (i32.const 256) (call $monotonic-clock.subscribe-duration (i64.const 0)))
               (i32.store (i32.const 260) (call $stdin.get-stdin))
               (call $poll.poll (i32.const 256) (i32.const 2) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, &trap::wrong_handle(2)),
        ),
        run(
            "an_unknown_handle_in_a_list_traps",
            "(func $run (result i32)
               (i32.store (i32.const 256) (i32.const 9))
               (call $poll.poll (i32.const 256) (i32.const 1) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, &trap::unknown_handle(9)),
        ),
        run(
            "a_resource_with_a_living_child_can_not_be_dropped",
            "(func $run (result i32) (local $out i32)
               (local.set $out (call $stdout.get-stdout))
               (drop (call $output-stream.subscribe (local.get $out)))
               (call $output-stream.drop (local.get $out)) (i32.const 0))",
            |o| trapped(o, trap::CHILDREN),
        ),
        run(
            "a_child_is_dropped_before_its_parent",
            "(func $run (result i32) (local $in i32)
               (local.set $in (call $stdin.get-stdin))
               (call $pollable.drop (call $input-stream.subscribe (local.get $in)))
               (call $input-stream.drop (local.get $in)) (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "handles_are_numbered_from_1_and_the_last_freed_is_the_next_given",
            "(func $run (result i32)
               (call $check (i32.const 1) (i32.eq (call $stdin.get-stdin) (i32.const 1)))
               (call $check (i32.const 2) (i32.eq (call $stdout.get-stdout) (i32.const 2)))
               (call $check (i32.const 3) (i32.eq (call $monotonic-clock.subscribe-duration (i64.const 0)) (i32.const 3)))
               (call $input-stream.drop (i32.const 1))
               (call $output-stream.drop (i32.const 2))
               (call $check (i32.const 4) (i32.eq (call $stderr.get-stderr) (i32.const 2)))
               (call $check (i32.const 5) (i32.eq (call $stdout.get-stdout) (i32.const 1)))
               (call $check (i32.const 6) (i32.eq (call $stdin.get-stdin) (i32.const 4)))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "streams_got_twice_are_two_handles_of_one_stream",
            "(data (i32.const 256) \"ab\")
             (func $run (result i32) (local $one i32) (local $two i32)
               (local.set $one (call $stdout.get-stdout))
               (local.set $two (call $stdout.get-stdout))
               (call $check (i32.const 1) (i32.ne (local.get $one) (local.get $two)))
               (call $print-to (local.get $one) (i32.const 256) (i32.const 1))
               (call $output-stream.drop (local.get $one))
               (call $print-to (local.get $two) (i32.const 257) (i32.const 1))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)) && o.stdout == b"ab",
        ),
        run(
            "a_guest_that_hoards_handles_is_stopped",
            "(func $run (result i32) (local $n i32)
               (loop $more
                 (drop (call $monotonic-clock.subscribe-duration (i64.const 1000000000)))
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (br_if $more (i32.lt_u (local.get $n) (i32.const 100000))))
               (i32.const 0))",
            |o| trapped(o, trap::HANDLES) && (4000..=8200).contains(&o.calls),
        ),
    ]
}
