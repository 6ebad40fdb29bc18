//! Traps of instructions.

use vyoma_capabilities::lifecycle::Ending;

use super::{run, trapped};
use crate::conformance::Run;
use crate::trap;

pub(super) fn cases() -> Vec<Run> {
    vec![
        run("unreachable_is_told", "(func $run (result i32) unreachable)", |o| trapped(o, trap::UNREACHABLE)),
        run(
            "an_access_outside_memory_is_told",
            "(func $run (result i32) (i32.load (i32.const 0xfffffff0)))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "an_access_across_the_end_of_memory_is_told",
            "(func $run (result i32) (i32.load (i32.const 65533)))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "division_by_zero_is_told",
            "(func $run (result i32) (i32.div_u (i32.const 1) (i32.load (i32.const 0))))",
            |o| trapped(o, trap::DIVIDE_BY_ZERO),
        ),
        run(
            "overflow_of_a_division_is_told",
            "(func $run (result i32) (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 0)) (i32.const 1))))",
            |o| trapped(o, trap::OVERFLOW),
        ),
        run(
            "a_nan_truncated_to_an_integer_is_told",
            "(func $run (result i32) (i32.trunc_f64_s (f64.div (f64.const 0) (f64.load (i32.const 0)))))",
            |o| trapped(o, trap::CONVERSION),
        ),
        run(
            "endless_recursion_is_told",
            "(func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
             (func $run (result i32) (call $deep (i32.const 0)))",
            |o| trapped(o, trap::STACK),
        ),
        run(
            "a_call_of_another_signature_is_told",
            "(table 2 funcref) (elem (i32.const 0) $run)
             (func $run (result i32) (call_indirect (param i32) (result i32) (i32.const 1) (i32.load (i32.const 0))))",
            |o| trapped(o, trap::SIGNATURE),
        ),
        run(
            "a_call_of_an_empty_table_entry_is_told",
            "(table 2 funcref)
             (func $run (result i32) (call_indirect (result i32) (i32.add (i32.load (i32.const 0)) (i32.const 1))))",
            |o| trapped(o, trap::NULL_CALL),
        ),
        run(
            "a_call_outside_the_table_is_told",
            "(table 2 funcref)
             (func $run (result i32) (call_indirect (result i32) (i32.add (i32.load (i32.const 0)) (i32.const 7))))",
            |o| trapped(o, trap::TABLE),
        ),
        run(
            "a_recursion_of_2000_calls_is_no_recursion_without_end",
            "(func $deep (param i32) (result i32)
               (if (result i32) (local.get 0)
                 (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
                 (else (i32.const 0))))
             (func $run (result i32) (i32.ne (call $deep (i32.const 2000)) (i32.const 2000)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "nans_have_the_same_bits_everywhere",
            "(func $run (result i32)
               (i64.store (i32.const 256) (i64.reinterpret_f64 (f64.div (f64.load (i32.const 0)) (f64.load (i32.const 0)))))
               (i64.ne (i64.load (i32.const 256)) (i64.const 0x7ff8000000000000)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
    ]
}
