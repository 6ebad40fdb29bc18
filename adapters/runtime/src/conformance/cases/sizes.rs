//! Functions as large as any that is admitted ([`crate::sizes`]), and code that is valid for odd reasons.

use std::fmt::Write;

use vyoma_capabilities::lifecycle::Ending;

use super::{run, trapped};
use crate::conformance::{Outcome, Program, Run};
use crate::sizes::{ADMITTED, EXPORTS, TYPES};
use crate::trap;

/// A run of a guest whose text is long, which exits well.
fn large(name: &'static str, body: fn() -> String) -> Run {
    Run {
        program: Program::Made(body),
        ..run(name, "", |o| o.ended(&Ending::Exited(0)))
    }
}

pub(super) fn cases() -> Vec<Run> {
    let mut cases = unreachable();
    cases.extend([
        large("a_function_may_hold_8000_values_at_once", || {
            held(ADMITTED.values)
        }),
        large("blocks_may_be_nested_2000_deep", || {
            blocks(ADMITTED.nesting)
        }),
        large("loops_may_be_nested_2000_deep", || loops(ADMITTED.nesting)),
        large("ifs_with_results_may_be_nested_2000_deep", || {
            ifs(ADMITTED.nesting)
        }),
        large(
            "a_local_may_be_set_20000_times_while_its_old_value_is_an_operand",
            || old_values(20_000),
        ),
        large("a_function_may_have_1000_parameters_and_results", signature),
        large("a_module_may_have_thousands_of_types_and_exports", parts),
    ]);
    cases
}

/// Half of the values are locals, the other half are operands that were read from them before they changed.
pub(super) fn held(values: u32) -> String {
    let locals = values / 2;
    let mut body = format!(
        "(func $hold (result i64) (local {}) ",
        "i64 ".repeat(locals as usize)
    );
    let each = |body: &mut String, what: &dyn Fn(u32) -> String| {
        for local in 0..locals {
            body.push_str(&what(local));
        }
    };
    each(&mut body, &|local| {
        format!("(local.set {local} (i64.add (i64.load (i32.const 0)) (i64.const {local})))\n")
    });
    each(&mut body, &|local| format!("local.get {local}\n"));
    for _ in locals * 2..values {
        body.push_str("i64.const 0\n");
    }
    // One more operand for a moment would be one too many.
    for _ in 1..values - locals {
        body.push_str("i64.add\n");
    }
    each(&mut body, &|local| format!("local.get {local} i64.sub\n"));
    body.push_str(") (func $run (result i32) (i64.ne (call $hold) (i64.const 0)))");
    body
}

/// A jump out of as many blocks as the parameter says, from the innermost of them; the result is how many are left.
pub(super) fn blocks(depth: u32) -> String {
    let mut body = String::from("(func $leave (param i32) (result i32) (local $left i32) ");
    body.push_str(&"block ".repeat(depth as usize));
    body.push_str("local.get 0 br_table ");
    for target in 0..depth {
        let _ = write!(body, "{target} ");
    }
    for _ in 0..depth {
        body.push_str("end (local.set $left (i32.add (local.get $left) (i32.const 1)))\n");
    }
    let last = depth - 1;
    let _ = write!(
        body,
        "local.get $left)
         (func $run (result i32)
           (call $check (i32.const 2) (i32.eq (call $leave (i32.const 0)) (i32.const {depth})))
           (call $check (i32.const 3) (i32.eq (call $leave (i32.const {last})) (i32.const 1)))
           (i32.const 0))"
    );
    body
}

/// Each loop goes round once more the first time that it is entered.
fn loops(depth: u32) -> String {
    let each = "(local.set $rounds (i32.add (local.get $rounds) (i32.const 1)))
        (br_if 0 (i32.eq (local.get $rounds) (i32.const 1))) end\n";
    format!(
        "(func $run (result i32) (local $rounds i32) {} {} (i32.ne (local.get $rounds) (i32.const {})))",
        "loop ".repeat(depth as usize),
        each.repeat(depth as usize),
        depth + 1
    )
}

/// The innermost arm is taken, and each level adds 1 to its result.
fn ifs(depth: u32) -> String {
    format!(
        "(func $run (result i32) (local $yes i32) (local.set $yes (i32.eqz (i32.load (i32.const 0))))
           {} i32.const 0 {} i32.const {depth} i32.ne)",
        "local.get $yes if (result i32) ".repeat(depth as usize),
        "i32.const 1 i32.add else i32.const -9 end ".repeat(depth as usize)
    )
}

fn old_values(times: usize) -> String {
    let one = "local.get $n (local.set $n (i64.add (local.get $n) (i64.const 1))) local.get $sum i64.add local.set $sum\n";
    format!(
        "(func $run (result i32) (local $n i64) (local $sum i64) {} (i64.ne (local.get $sum) (i64.const {})))",
        one.repeat(times),
        times * (times - 1) / 2
    )
}

/// 600 parameters, of which the last 400 are the results; called by its name and through a table.
fn signature() -> String {
    let numbers = |from: u32, what: &str| {
        (from..600).fold(String::new(), |text, number| {
            text + &format!("{what} {number}\n")
        })
    };
    let call = |call: &str| {
        format!(
            "{} {call} {} (if (i64.ne (i64.const {})) (then (return (i32.const 1))))\n",
            numbers(0, "i64.const"),
            "i64.add ".repeat(399),
            (200..600).sum::<u32>()
        )
    };
    format!(
        "(type $many (func (param {}) (result {}))) (table funcref (elem $many))
         (func $many (type $many) {})
         (func $run (result i32) {} {} (i32.const 0))",
        "i64 ".repeat(600),
        "i64 ".repeat(400),
        numbers(200, "local.get"),
        call("call $many"),
        call("(call_indirect (type $many) (i32.load (i32.const 0)))"),
    )
}

/// Types that are all different, and exports besides the three that a program has.
fn parts() -> String {
    let mut body = String::from("(func $run (result i32) (i32.const 0))\n");
    for number in 3..EXPORTS {
        let _ = write!(body, "(export \"{}{number}\" (func $run))", "n".repeat(20));
    }
    for number in 0..TYPES - 50 {
        let params: String = (0..14)
            .map(|bit| {
                if number >> bit & 1 == 0 {
                    "i32 "
                } else {
                    "i64 "
                }
            })
            .collect();
        let _ = write!(body, "(type (func (param {params})))");
    }
    body
}

/// What comes after a branch has no types; any of it is valid.
fn unreachable() -> Vec<Run> {
    let exits = |o: &Outcome| o.ended(&Ending::Exited(0));
    vec![
        run(
            "operations_without_operands_after_a_branch_do_nothing",
            "(func $run (result i32) (local $x i32) (local $f f64)
               block
                 br 0
                 i32.add i64.extend_i32_u f32.convert_i64_s f64.promote_f32 local.set $f
                 f64.store i32.store8 select drop local.tee $x memory.grow drop
                 if (result i64) unreachable else i64.const 1 end drop
                 loop (result f32) unreachable end drop
                 br_table 0 0 0
               end
               local.get $x)",
            exits,
        ),
        run(
            "a_block_that_is_left_early_has_the_result_of_the_branch",
            "(func $pick (param i32) (result f64)
               block (result f64)
                 (f64.convert_i32_s (local.get 0)) br 0 f64.add f64.neg
               end)
             (func $run (result i32)
               (call $check (i32.const 2) (f64.eq (call $pick (i32.const 7)) (f64.const 7)))
               block (result i32) i32.const 0 return unreachable drop end)",
            exits,
        ),
        run(
            "both_arms_of_an_if_may_leave_for_good",
            "(func $sign (param i32) (result i32)
               (i32.lt_s (local.get 0) (i32.const 0))
               if (result i64) i32.const 1 return i64.clz else i32.const 2 return i64.ctz end
               i64.popcnt i32.wrap_i64)
             (func $run (result i32)
               (call $check (i32.const 2) (i32.eq (call $sign (i32.const -5)) (i32.const 1)))
               (call $check (i32.const 3) (i32.eq (call $sign (i32.const 5)) (i32.const 2)))
               (i32.const 0))",
            exits,
        ),
        run(
            "an_unreachable_among_odd_code_is_told_when_it_is_reached",
            "(func $run (result i32) unreachable i64.eqz drop ref.is_null drop f32.demote_f64 drop i32.const 1 i32.const 2 i32.sub)",
            |o| trapped(o, trap::UNREACHABLE),
        ),
        run(
            "references_beside_floats_are_told_apart",
            "(table 1 funcref)
             (func $run (result i32) (local $f f32) (local $d f64)
               (local.set $f (f32.sqrt (f32.add (f32.load (i32.const 0)) (f32.const 4))))
               (local.set $d (f64.mul (f64.promote_f32 (local.get $f)) (f64.const 2)))
               (call $check (i32.const 2) (i32.eq (i32.trunc_f32_u (f32.nearest (local.get $f))) (i32.const 2)))
               (call $check (i32.const 3) (ref.is_null (table.get 0 (i32.const 0))))
               (f64.ne (local.get $d) (f64.const 4)))",
            exits,
        ),
        run(
            "a_branch_takes_values_along_and_leaves_those_below",
            "(func $less (param i32 f64) (result f64)
               block (result f64)
                 (f64.add (f64.const 6) (local.get 1)) (f64.const 1) (br_if 0 (local.get 0)) f64.sub
               end)
             (func $fibonacci (param i32) (result i64) (local $a i64) (local $b i64)
               i64.const 0 i64.const 1
               loop $again (param i64 i64) (result i64)
                 local.set $b local.set $a
                 (if (i32.eqz (local.get 0)) (then (return (local.get $a))))
                 (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                 (local.get $b) (i64.add (local.get $a) (local.get $b)) br $again
               end)
             (func $run (result i32)
               (call $check (i32.const 2) (f64.eq (call $less (i32.const 0) (f64.const 4)) (f64.const 9)))
               (call $check (i32.const 3) (f64.eq (call $less (i32.const 1) (f64.const 4)) (f64.const 1)))
               (i64.ne (call $fibonacci (i32.const 10)) (i64.const 55)))",
            exits,
        ),
        run(
            "operands_outside_a_block_stay_when_it_is_left_for_one_further_out",
            "(func $half (param f64) (result f64) (f64.mul (local.get 0) (f64.const 0.5)))
             (func $pick (param i32) (result i32 f64)
               (i32.add (local.get 0) (i32.const 40)) (call $half (f64.const 2)) (call $half (f64.const 2))
               block
                 (br_if 0 (local.get 0))
                 (i32.const 7) (f64.const 8) br 1
               end
               (call $half (f64.const 64)) f64.add f64.add)
             (func $run (result i32) (local $i i32) (local $f f64)
               (call $pick (i32.const 2)) (local.set $f) (local.set $i)
               (call $check (i32.const 2) (i32.eq (local.get $i) (i32.const 42)))
               (call $check (i32.const 3) (f64.eq (local.get $f) (f64.const 34)))
               (call $pick (i32.const 0)) (local.set $f) (local.set $i)
               (call $check (i32.const 4) (i32.eq (local.get $i) (i32.const 7)))
               (f64.ne (local.get $f) (f64.const 8)))",
            exits,
        ),
        run(
            "elements_that_do_not_fit_are_told_before_data_that_does_not",
            "(table 1 funcref) (elem (i32.const 1) $run) (data (i32.const -1) \"x\")
             (func $run (result i32) (i32.const 0))",
            |o| trapped(o, trap::TABLE),
        ),
        run(
            "operands_and_parameters_that_are_one_local_are_values_of_their_own",
            "(func $three (param i32) (result i32 i32 i32)
               block (result i32 i32 i32)
                 i32.const 7 local.get 0 local.get 0 (local.set 0 (i32.const 90))
               end)
             (func $run (result i32) (local $n i32)
               (call $three (i32.const 20)) i32.add i32.add (i32.ne (i32.const 47)) (if (then (return (i32.const 1))))
               (local.set $n (i32.const 2))
               local.get $n local.get $n
               loop $again (param i32 i32) (result i32 i32)
                 (i32.add (i32.const 10))
                 (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                 (br_if $again (local.get $n))
               end
               (i32.ne (i32.const 22)) (if (then (return (i32.const 1))))
               (i32.ne (i32.const 2)))",
            exits,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes;

    fn size(body: &str) -> sizes::FunctionSize {
        let module = wat::parse_str(format!(
            "(module (memory 1) (func $check (param i32 i32)) {body})"
        ))
        .unwrap();
        sizes::largest_function(&module).unwrap()
    }

    #[test]
    fn the_large_functions_are_exactly_as_large_as_any_that_is_admitted() {
        assert_eq!(size(&held(ADMITTED.values)).values, ADMITTED.values);
        for body in [blocks, loops, ifs] {
            assert_eq!(size(&body(ADMITTED.nesting)).nesting, ADMITTED.nesting);
        }
        assert_eq!(size(&loops(ADMITTED.loops)).loops, ADMITTED.loops);
    }
}
