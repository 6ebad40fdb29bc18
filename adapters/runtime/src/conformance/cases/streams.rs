//! Standard streams, clocks and what the watchdog hears of them.

use vyoma_capabilities::lifecycle::Ending;

use super::run;
use crate::conformance::Run;

pub(super) fn cases() -> Vec<Run> {
    vec![
        run(
            "stdout_and_stderr_reach_their_own_descriptors",
            "(data (i32.const 256) \"to stdout\\nto stderr\\n\")
             (func $run (result i32)
               (call $print (i32.const 256) (i32.const 10))
               (call $print-to (call $stderr) (i32.const 266) (i32.const 10))
               (i32.const 0))",
            |o| {
                o.ended(&Ending::Exited(0))
                    && o.stdout == b"to stdout\n"
                    && o.stderr == b"to stderr\n"
            },
        ),
        run(
            "a_large_output_arrives_whole",
            // 160 times 64 KiB, far more than a pipe holds.
            "(func $run (result i32) (local $n i32)
               (loop $more
                 (call $print (i32.const 0) (i32.const 65536))
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (br_if $more (i32.lt_u (local.get $n) (i32.const 160))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)) && o.stdout.len() == 160 * 65536,
        ),
        Run {
            stdin: include_bytes!("mod.rs"),
            ..run(
                "stdin_is_read_to_its_end",
                "(func $run (result i32) (local $in i32)
                   (local.set $in (call $stdin))
                   (block $end
                     (loop $more
                       (call $read (local.get $in) (i64.const 1000) (i32.const 16))
                       ;; closed: error case 1, closed
                       (if (i32.load8_u (i32.const 16)) (then (br $end)))
                       (call $print (i32.load (i32.const 20)) (i32.load (i32.const 24)))
                       (br $more)))
                   (i32.ne (i32.load8_u (i32.const 20)) (i32.const 1)))",
                |o| o.ended(&Ending::Exited(0)) && o.stdout == include_bytes!("mod.rs"),
            )
        },
        run(
            "a_timer_waits_at_least_as_long_as_asked",
            "(func $run (result i32) (local $start i64)
               (local.set $start (call $now))
               (call $block (call $after (i64.const 20000000)))
               (i64.lt_u (i64.sub (call $now) (local.get $start)) (i64.const 20000000)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "host_calls_are_told_to_the_watchdog_and_end",
            "(func $run (result i32) (drop (call $now)) (drop (call $random)) (drop (call $now)) (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)) && o.calls >= 3 && o.open_calls == 0,
        ),
    ]
}
