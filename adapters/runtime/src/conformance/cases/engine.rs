//! Instructions and module parts in which engines differ when they are not careful.

use vyoma_capabilities::lifecycle::Ending;

use super::{run, trapped};
use crate::conformance::Run;
use crate::trap;

pub(super) fn cases() -> Vec<Run> {
    let mut cases = traps();
    cases.extend(parts());
    cases
}

fn traps() -> Vec<Run> {
    vec![
        run(
            "a_number_too_large_for_an_integer_is_an_overflow",
            "(func $run (result i32) (i32.trunc_f64_s (f64.add (f64.load (i32.const 0)) (f64.const 2147483648))))",
            |o| trapped(o, trap::OVERFLOW),
        ),
        run(
            "a_negative_number_for_an_unsigned_integer_is_an_overflow",
            "(func $run (result i32) (i32.wrap_i64 (i64.trunc_f32_u (f32.sub (f32.load (i32.const 0)) (f32.const 1)))))",
            |o| trapped(o, trap::OVERFLOW),
        ),
        run(
            "the_remainder_of_the_smallest_integer_and_minus_1_is_0",
            "(func $run (result i32)
               (i32.or (i32.rem_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 0)) (i32.const 1)))
                 (i32.wrap_i64 (i64.rem_s (i64.const 0x8000000000000000) (i64.sub (i64.load (i32.const 0)) (i64.const 1))))))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "the_remainder_of_a_division_by_zero_is_told",
            "(func $run (result i32) (i32.wrap_i64 (i64.rem_u (i64.const 7) (i64.load (i32.const 0)))))",
            |o| trapped(o, trap::DIVIDE_BY_ZERO),
        ),
        run(
            "overflow_of_a_long_division_is_told",
            "(func $run (result i32)
               (i32.wrap_i64 (i64.div_s (i64.const 0x8000000000000000) (i64.sub (i64.load (i32.const 0)) (i64.const 1)))))",
            |o| trapped(o, trap::OVERFLOW),
        ),
        run(
            "memory_fill_across_the_end_writes_nothing",
            "(func $run (result i32) (memory.fill (i32.const 65530) (i32.const 1) (i32.const 7)) (i32.const 0))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "memory_copy_outside_memory_is_told",
            "(func $run (result i32) (memory.copy (i32.const 0) (i32.const 0xffffffff) (i32.const 2)) (i32.const 0))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "memory_init_of_a_dropped_segment_is_told",
            "(data $d \"abc\")
             (func $run (result i32)
               (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3))
               (data.drop $d)
               (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
               (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))
               (i32.const 0))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "an_access_past_4_gib_does_not_wrap",
            "(func $run (result i32) (i32.load offset=0xffffffff (i32.const 1)))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "a_store_across_the_end_of_memory_is_told",
            "(func $run (result i32) (i64.store (i32.const 65529) (i64.const -1)) (i32.const 0))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "a_read_outside_a_table_is_told",
            "(table 2 funcref)
             (func $run (result i32) (ref.is_null (table.get 0 (i32.add (i32.load (i32.const 0)) (i32.const 2)))))",
            |o| trapped(o, trap::TABLE),
        ),
        run(
            "a_write_outside_a_table_is_told",
            "(table 2 funcref)
             (func $run (result i32) (table.set 0 (i32.const -1) (ref.null func)) (i32.const 0))",
            |o| trapped(o, trap::TABLE),
        ),
        run(
            "table_init_of_a_dropped_segment_is_told",
            "(table 2 funcref) (elem $e func $run)
             (func $run (result i32) (elem.drop $e) (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 0))",
            |o| trapped(o, trap::TABLE),
        ),
        run(
            "endless_mutual_recursion_through_a_table_is_told",
            "(type $f (func (param i64) (result i64)))
             (table funcref (elem $a $b))
             (func $a (type $f) (i64.add (i64.const 1) (call_indirect (type $f) (local.get 0) (i32.const 1))))
             (func $b (type $f) (i64.add (i64.const 1) (call_indirect (type $f) (local.get 0) (i32.const 0))))
             (func $run (result i32) (i32.wrap_i64 (call $a (i64.const 0))))",
            |o| trapped(o, trap::STACK),
        ),
        run(
            "a_trap_leaves_what_was_written_before_it",
            "(data (i32.const 256) \"before\")
             (func $run (result i32) (call $print (i32.const 256) (i32.const 6)) unreachable)",
            |o| trapped(o, trap::UNREACHABLE) && o.stdout == b"before",
        ),
    ]
}

fn parts() -> Vec<Run> {
    vec![
        run(
            "the_start_function_runs_before_the_program",
            "(func $begin (i32.store (i32.const 256) (i32.const 42))) (start $begin)
             (func $run (result i32) (i32.ne (i32.load (i32.const 256)) (i32.const 42)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "a_trap_in_the_start_function_is_told",
            "(func $begin unreachable) (start $begin) (func $run (result i32) (i32.const 0))",
            |o| trapped(o, trap::UNREACHABLE),
        ),
        run(
            "tables_grow_and_hold_references",
            "(table $t 1 10 funcref) (elem declare func $one)
             (type $f (func (result i32)))
             (func $one (result i32) (i32.const 1))
             (func $run (result i32)
               (call $check (i32.const 2) (i32.eq (table.grow $t (ref.func $one) (i32.const 4)) (i32.const 1)))
               (call $check (i32.const 3) (i32.eq (table.grow $t (ref.null func) (i32.const 6)) (i32.const -1)))
               (call $check (i32.const 4) (i32.eq (table.size $t) (i32.const 5)))
               (call $check (i32.const 5) (call_indirect $t (type $f) (i32.const 4)))
               (table.fill $t (i32.const 3) (ref.null func) (i32.const 2))
               (call $check (i32.const 6) (ref.is_null (table.get $t (i32.const 4))))
               (table.copy $t $t (i32.const 4) (i32.const 1) (i32.const 1))
               (i32.sub (call_indirect $t (type $f) (i32.const 4)) (i32.const 1)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "a_block_may_take_and_give_several_values",
            "(func $swap (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
             (func $run (result i32) (local $a i64) (local $b i32)
               (call $swap (i32.const 7) (i64.const 9))
               (local.set $b) (local.set $a)
               (i32.const 1) (i32.const 2)
               (block (param i32 i32) (result i32 i32) (i32.add) (i32.const 3) (br 0))
               i32.mul
               (i32.add (i32.add (local.get $b) (i32.wrap_i64 (local.get $a))))
               (i32.sub (i32.const 25)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "floats_are_rounded_and_ordered_alike",
            "(func $bits (param f64 i64) (call $check (i32.const 2) (i64.eq (i64.reinterpret_f64 (local.get 0)) (local.get 1))))
             (func $run (result i32) (local $z f64) (local $m f64)
               (local.set $z (f64.load (i32.const 0)))
               (local.set $m (f64.neg (local.get $z)))
               (call $bits (f64.min (local.get $z) (local.get $m)) (i64.const 0x8000000000000000))
               (call $bits (f64.max (local.get $m) (local.get $z)) (i64.const 0))
               (call $bits (f64.nearest (f64.add (local.get $z) (f64.const 2.5))) (i64.const 0x4000000000000000))
               (call $bits (f64.nearest (f64.add (local.get $z) (f64.const -0.5))) (i64.const 0x8000000000000000))
               (call $bits (f64.ceil (f64.add (local.get $z) (f64.const -0.5))) (i64.const 0x8000000000000000))
               (call $bits (f64.sqrt (local.get $m)) (i64.const 0x8000000000000000))
               (call $bits (f64.promote_f32 (f32.demote_f64 (f64.add (local.get $z) (f64.const 1e300)))) (i64.const 0x7ff0000000000000))
               (call $bits (f64.convert_i64_u (i64.sub (i64.load (i32.const 0)) (i64.const 1))) (i64.const 0x43f0000000000000))
               (call $bits (f64.promote_f32 (f32.convert_i64_u (i64.add (i64.load (i32.const 0)) (i64.const 0x8000008000000001)))) (i64.const 0x43e0000020000000))
               (call $bits (f64.copysign (f64.const nan:0x123) (local.get $m)) (i64.const 0xfff0000000000123))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "nans_of_32_bits_have_the_same_bits_everywhere",
            "(func $run (result i32) (local $x f32)
               (local.set $x (f32.reinterpret_i32 (i32.add (i32.load (i32.const 0)) (i32.const 0xffa00001))))
               (call $check (i32.const 2) (i32.eq (i32.reinterpret_f32 (f32.add (local.get $x) (f32.const 1))) (i32.const 0x7fc00000)))
               (call $check (i32.const 3) (i32.eq (i32.reinterpret_f32 (f32.min (f32.const 1) (local.get $x))) (i32.const 0x7fc00000)))
               (call $check (i32.const 4) (i32.eq (i32.reinterpret_f32 (f32.sqrt (f32.const -1))) (i32.const 0x7fc00000)))
               (call $check (i32.const 5) (i32.eq (i32.reinterpret_f32 (f32.floor (local.get $x))) (i32.const 0x7fc00000)))
               (call $check (i32.const 6) (i64.eq (i64.reinterpret_f64 (f64.promote_f32 (local.get $x))) (i64.const 0x7ff8000000000000)))
               ;; Not arithmetic: these keep every bit.
               (call $check (i32.const 7) (i32.eq (i32.reinterpret_f32 (f32.neg (local.get $x))) (i32.const 0x7fa00001)))
               (f32.store (i32.const 256) (local.get $x))
               (call $check (i32.const 8) (i32.eq (i32.load (i32.const 256)) (i32.const 0xffa00001)))
               (call $check (i32.const 9) (i32.eq (i32.reinterpret_f32 (f32.load (i32.const 256))) (i32.const 0xffa00001)))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "truncation_that_saturates_does_not_trap",
            "(func $run (result i32)
               (call $check (i32.const 2) (i32.eqz (i32.trunc_sat_f32_s (f32.div (f32.load (i32.const 0)) (f32.load (i32.const 0))))))
               (call $check (i32.const 3) (i64.eq (i64.trunc_sat_f64_u (f64.add (f64.load (i32.const 0)) (f64.const 1e30))) (i64.const -1)))
               (call $check (i32.const 4) (i64.eq (i64.trunc_sat_f64_s (f64.sub (f64.load (i32.const 0)) (f64.const 1e30))) (i64.const 0x8000000000000000)))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "memory_starts_as_zeroes_and_grows_as_zeroes",
            "(memory $memory 1 3)
             (func $run (result i32)
               (call $check (i32.const 2) (i32.eq (memory.grow (i32.const 1)) (i32.const 1)))
               (call $check (i32.const 3) (i64.eqz (i64.load (i32.const 131064))))
               (call $check (i32.const 4) (i32.eq (memory.grow (i32.const 2)) (i32.const -1)))
               (call $check (i32.const 5) (i32.eq (memory.grow (i32.const 0x10000)) (i32.const -1)))
               (call $check (i32.const 6) (i32.eq (memory.size) (i32.const 2)))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "a_jump_table_takes_the_last_way_for_what_it_does_not_have",
            "(func $pick (param i32) (result i32)
               (block $c (block $b (block $a (br_table $a $b $c (local.get 0)))
                 (return (i32.const 10))) (return (i32.const 20))) (i32.const 30))
             (func $run (result i32)
               (call $check (i32.const 2) (i32.eq (call $pick (i32.const 0)) (i32.const 10)))
               (call $check (i32.const 3) (i32.eq (call $pick (i32.const 1)) (i32.const 20)))
               (call $check (i32.const 4) (i32.eq (call $pick (i32.const -1)) (i32.const 30)))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)),
        ),
    ]
}
