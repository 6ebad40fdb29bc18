//! Streams in detail: what a call may write, what it does at the end, and the calls that programs seldom make.

use vyoma_capabilities::lifecycle::Ending;

use super::{run, trapped};
use crate::conformance::Run;
use crate::trap;

pub(super) fn cases() -> Vec<Run> {
    vec![
        run(
            "stdout_takes_4096_bytes_at_once",
            "(func $run (result i32) (local $out i32)
               (local.set $out (call $stdout.get-stdout))
               (call $output-stream.check-write (local.get $out) (i32.const 16))
               (call $check (i32.const 2) (i32.eqz (i32.load8_u (i32.const 16))))
               (call $check (i32.const 3) (i64.eq (i64.load (i32.const 24)) (i64.const 4096)))
               (call $output-stream.write (local.get $out) (i32.const 0) (i32.const 4096) (i32.const 16))
               (call $check (i32.const 4) (i32.eqz (i32.load8_u (i32.const 16))))
               (call $output-stream.flush (local.get $out) (i32.const 16))
               (call $check (i32.const 5) (i32.eqz (i32.load8_u (i32.const 16))))
               (call $output-stream.blocking-flush (local.get $out) (i32.const 16))
               (call $check (i32.const 6) (i32.eqz (i32.load8_u (i32.const 16))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)) && o.stdout.len() == 4096,
        ),
        run(
            "a_write_of_more_than_was_permitted_traps_and_writes_nothing",
            "(func $run (result i32) (local $out i32)
               (local.set $out (call $stdout.get-stdout))
               (call $output-stream.check-write (local.get $out) (i32.const 16))
               (call $output-stream.write (local.get $out) (i32.const 0) (i32.const 4097) (i32.const 16))
               (i32.const 0))",
            |o| trapped(o, trap::WRITE_BUDGET) && o.stdout.is_empty(),
        ),
        run(
            "a_blocking_write_of_more_than_4096_bytes_traps",
            "(func $run (result i32)
               (call $output-stream.blocking-write-and-flush (call $stdout.get-stdout) (i32.const 0) (i32.const 4097) (i32.const 16))
               (i32.const 0))",
            |o| trapped(o, trap::WRITE_SIZE) && o.stdout.is_empty(),
        ),
        run(
            "a_blocking_write_of_more_than_4096_zeroes_traps",
            "(func $run (result i32)
               (call $output-stream.blocking-write-zeroes-and-flush (call $stdout.get-stdout) (i64.const 4097) (i32.const 16))
               (i32.const 0))",
            |o| trapped(o, trap::WRITE_SIZE) && o.stdout.is_empty(),
        ),
        run(
            "more_zeroes_than_were_permitted_trap",
            "(func $run (result i32)
               (call $output-stream.write-zeroes (call $stdout.get-stdout) (i64.const 4097) (i32.const 16))
               (i32.const 0))",
            |o| trapped(o, trap::WRITE_BUDGET) && o.stdout.is_empty(),
        ),
        run(
            "zeroes_are_written",
            "(func $run (result i32) (local $out i32)
               (local.set $out (call $stdout.get-stdout))
               (call $output-stream.write-zeroes (local.get $out) (i64.const 4096) (i32.const 16))
               (call $check (i32.const 2) (i32.eqz (i32.load8_u (i32.const 16))))
               (call $output-stream.blocking-write-zeroes-and-flush (local.get $out) (i64.const 1000) (i32.const 16))
               (call $check (i32.const 3) (i32.eqz (i32.load8_u (i32.const 16))))
               (call $output-stream.write (local.get $out) (i32.const 0) (i32.const 0) (i32.const 16))
               (call $check (i32.const 4) (i32.eqz (i32.load8_u (i32.const 16))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)) && o.stdout == [0; 5096],
        ),
        Run {
            stdin: b"0123456789abcdef",
            ..run(
                "input_is_skipped_read_and_spliced_to_its_end",
                "(func $run (result i32) (local $in i32) (local $out i32)
                   (local.set $in (call $stdin.get-stdin))
                   (local.set $out (call $stdout.get-stdout))
                   (call $input-stream.blocking-skip (local.get $in) (i64.const 3) (i32.const 64))
                   (call $check (i32.const 2) (i32.eqz (i32.load8_u (i32.const 64))))
                   (call $check (i32.const 3) (i64.eq (i64.load (i32.const 72)) (i64.const 3)))
                   (call $input-stream.blocking-read (local.get $in) (i64.const 2) (i32.const 64))
                   (call $print (i32.load (i32.const 68)) (i32.load (i32.const 72)))
                   (call $output-stream.blocking-splice (local.get $out) (local.get $in) (i64.const 4) (i32.const 64))
                   (call $check (i32.const 4) (i32.eqz (i32.load8_u (i32.const 64))))
                   (call $check (i32.const 5) (i64.eq (i64.load (i32.const 72)) (i64.const 4)))
                   (call $input-stream.skip (local.get $in) (i64.const 1) (i32.const 64))
                   (call $check (i32.const 6) (i64.eq (i64.load (i32.const 72)) (i64.const 1)))
                   (call $output-stream.splice (local.get $out) (local.get $in) (i64.const 100) (i32.const 64))
                   (call $check (i32.const 7) (i64.eq (i64.load (i32.const 72)) (i64.const 6)))
                   (call $input-stream.blocking-read (local.get $in) (i64.const 2) (i32.const 64))
                   (call $check (i32.const 8) (i32.eq (i32.load8_u (i32.const 64)) (i32.const 1)))
                   (call $check (i32.const 9) (i32.eq (i32.load8_u (i32.const 68)) (i32.const 1)))
                   (call $output-stream.blocking-splice (local.get $out) (local.get $in) (i64.const 4) (i32.const 64))
                   (call $check (i32.const 10) (i32.eq (i32.load8_u (i32.const 64)) (i32.const 1)))
                   (call $check (i32.const 11) (i32.eq (i32.load8_u (i32.const 72)) (i32.const 1)))
                   (call $input-stream.blocking-skip (local.get $in) (i64.const 4) (i32.const 64))
                   (call $check (i32.const 12) (i32.eq (i32.load8_u (i32.const 64)) (i32.const 1)))
                   (i32.const 0))",
                |o| o.ended(&Ending::Exited(0)) && o.stdout == b"345678abcdef",
            )
        },
        Run {
            stdin_stays_open: true,
            ..run(
                "a_read_of_a_silent_stdin_gives_nothing_and_does_not_wait",
                "(func $run (result i32) (local $in i32)
                   (local.set $in (call $stdin.get-stdin))
                   (call $input-stream.read (local.get $in) (i64.const 100) (i32.const 16))
                   (call $check (i32.const 2) (i32.eqz (i32.load8_u (i32.const 16))))
                   (call $check (i32.const 3) (i32.eqz (i32.load (i32.const 24))))
                   (call $input-stream.skip (local.get $in) (i64.const 100) (i32.const 16))
                   (call $check (i32.const 4) (i32.eqz (i32.load8_u (i32.const 16))))
                   (call $check (i32.const 5) (i64.eqz (i64.load (i32.const 24))))
                   (i32.const 0))",
                |o| o.ended(&Ending::Exited(0)),
            )
        },
        Run {
            stdin: b"x",
            ..run(
                "a_read_of_no_bytes_gives_none_and_takes_none",
                "(func $run (result i32) (local $in i32)
                   (local.set $in (call $stdin.get-stdin))
                   (call $pollable.block (call $input-stream.subscribe (local.get $in)))
                   (call $input-stream.read (local.get $in) (i64.const 0) (i32.const 16))
                   (call $check (i32.const 2) (i32.eqz (i32.load8_u (i32.const 16))))
                   (call $check (i32.const 3) (i32.eqz (i32.load (i32.const 24))))
                   (call $input-stream.read (local.get $in) (i64.const -1) (i32.const 16))
                   (call $check (i32.const 4) (i32.eqz (i32.load8_u (i32.const 16))))
                   (call $check (i32.const 5) (i32.eq (i32.load (i32.const 24)) (i32.const 1)))
                   (i32.const 0))",
                |o| o.ended(&Ending::Exited(0)),
            )
        },
        Run {
            stdout_is_closed: true,
            ..run(
                "a_write_that_nobody_reads_is_a_closed_stream",
                "(func $run (result i32) (local $out i32)
                   (local.set $out (call $stdout.get-stdout))
                   (call $output-stream.blocking-write-and-flush (local.get $out) (i32.const 256) (i32.const 9) (i32.const 16))
                   (call $check (i32.const 2) (i32.eq (i32.load8_u (i32.const 16)) (i32.const 1)))
                   (call $check (i32.const 3) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 1)))
                   (call $output-stream.write (local.get $out) (i32.const 256) (i32.const 9) (i32.const 16))
                   (call $check (i32.const 4) (i32.eq (i32.load8_u (i32.const 20)) (i32.const 1)))
                   (i32.const 0))",
                |o| o.ended(&Ending::Exited(0)),
            )
        },
    ]
}
