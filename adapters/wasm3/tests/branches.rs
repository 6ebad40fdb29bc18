//! What branches take along, and what they leave where it was. Runs with the settings of either build (feature `small`).

use vyoma_adapter_wasm3::engine::{Caller, Error, Host, Limits, Machine, Stop};

struct Nobody;

impl Host for Nobody {
    fn call(&mut self, _: u32, _: &mut [u64], _: &mut Caller<'_>) -> Result<(), Stop> {
        Err(Stop)
    }
}

const LIMITS: Limits = Limits {
    stack_bytes: 64 << 10,
    memory_pages: 1,
    memory_bytes: None,
};

/// Half a mebibyte of native stack below here.
fn stack(machine: &mut Machine<'_>) {
    let marker = 0_u8;
    machine.limit_native_stack((&raw const marker).addr() - (512 << 10));
}

/// Calls `run` of a module of these fields.
fn run(fields: &str, arguments: &[u64]) -> Result<Option<u64>, Error> {
    let module = wat::parse_str(format!("(module (memory 1) {fields})")).unwrap();
    wasmparser::validate(&module).unwrap_or_else(|error| panic!("{error}: {fields}"));
    let mut machine = Machine::new(&module, &LIMITS)?;
    stack(&mut machine);
    let run = machine.function("run").unwrap();
    machine.call(run, arguments, &mut Nobody)
}

/// A number as a value of the type.
fn bits(ty: &str, value: u16) -> u64 {
    match ty {
        "f32" => u64::from(f32::from(value).to_bits()),
        "f64" => f64::from(value).to_bits(),
        _ => u64::from(value),
    }
}

#[test]
fn a_branch_back_to_a_loop_takes_the_loops_parameters_along() {
    // Fibonacci: both parameters move at once.
    for (branch, ty) in [
        ("(br_if $again (i32.const 1)) unreachable", "i32"),
        ("br $again", "i32"),
        ("(br_table $again $again (local.get 0))", "i32"),
        ("br $again", "i64"),
        ("br $again", "f32"),
        ("br $again", "f64"),
    ] {
        let fields = format!(
            r#"(func (export "run") (param i32) (result {ty}) (local $a {ty}) (local $b {ty})
                 {ty}.const 0 {ty}.const 1
                 loop $again (param {ty} {ty}) (result {ty})
                   local.set $b local.set $a
                   (if (i32.eqz (local.get 0)) (then (return (local.get $a))))
                   (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                   (local.get $b) ({ty}.add (local.get $a) (local.get $b)) {branch}
                 end)"#
        );
        assert_eq!(run(&fields, &[10]), Ok(Some(bits(ty, 55))), "{branch} {ty}");
    }
}

#[test]
fn a_value_below_what_a_branch_takes_is_there_when_the_branch_is_not_taken() {
    for (top, expected) in [
        ("(f64.const 1)", 9.0),
        ("(local.get 1)", 6.0),
        ("(f64.neg (local.get 1))", 14.0),
    ] {
        let fields = format!(
            r#"(func (export "run") (param i32 f64) (result f64)
                 block (result f64)
                   (f64.add (f64.const 6) (local.get 1)) {top} (br_if 0 (local.get 0)) f64.sub
                 end)"#
        );
        assert_eq!(
            run(&fields, &[0, 4_f64.to_bits()]),
            Ok(Some(f64::to_bits(expected))),
            "{top}"
        );
    }
}

#[test]
fn each_target_of_a_table_gets_its_values() {
    for ty in ["i32", "i64", "f32", "f64"] {
        for index in 0..3 {
            let fields = format!(
                r#"(func (export "run") (param i32 {ty}) (result {ty})
                     block $two (result {ty} {ty})
                       block $one (result {ty} {ty})
                         block $none (result {ty} {ty})
                           ({ty}.add (local.get 1) (local.get 1)) ({ty}.const 3) (br_table $none $one $two (local.get 0))
                         end
                         {ty}.sub ({ty}.const 100)
                       end
                       {ty}.add ({ty}.const 1000)
                     end
                     {ty}.add)"#
            );
            let bits = |value| bits(ty, value);
            let expected = [(16 - 3) + 100 + 1000, 16 + 3 + 1000, 16 + 3][index as usize];
            assert_eq!(
                run(&fields, &[index, bits(8)]),
                Ok(Some(bits(expected))),
                "{ty} {index}"
            );
        }
    }
}

#[test]
fn a_table_is_entered_by_its_index_whatever_is_put_aside_before() {
    // The sum is in the float register, below another value and the index, which a call left in a slot.
    for ty in ["f32", "f64"] {
        for (index, expected) in [(0, 100), (1, 200), (2, 300), (9, 300)] {
            let fields = format!(
                r#"(func $same (param i32) (result i32) (local.get 0))
                   (func (export "run") (param i32 {ty}) (result i32)
                     block $two
                       block $one
                         block $none
                           ({ty}.add (local.get 1) (local.get 1)) (local.get 0) (call $same (local.get 0)) (br_table $none $one $two)
                         end
                         (return (i32.const 100))
                       end
                       (return (i32.const 200))
                     end
                     (i32.const 300))"#
            );
            assert_eq!(
                run(&fields, &[index, bits(ty, 8)]),
                Ok(Some(expected)),
                "{ty} {index}"
            );
        }
    }
}

#[test]
fn a_local_may_be_read_hundreds_of_times_before_it_is_set() {
    // A microcontroller has room for 192 operands.
    let count = if cfg!(feature = "small") { 180 } else { 300 };
    let fields = format!(
        r#"(func (export "run") (param i32) (result i32)
             {} (local.set 0 (i32.const 0)) {})"#,
        "local.get 0 ".repeat(count),
        "i32.add ".repeat(count - 1)
    );
    assert_eq!(run(&fields, &[2]), Ok(Some(2 * count as u64)));
}

#[test]
fn values_that_exchange_places_all_arrive() {
    // Three results, of which the second and third are one local as it was, where the first goes to.
    for ty in ["i32", "i64", "f32", "f64"] {
        let fields = format!(
            r#"(func $three (param {ty}) (result {ty} {ty} {ty})
                 block (result {ty} {ty} {ty})
                   {ty}.const 7 local.get 0 local.get 0 (local.set 0 ({ty}.const 90))
                 end)
               (func (export "run") (result {ty}) (local $a {ty}) (local $b {ty}) (local $c {ty})
                 (call $three ({ty}.const 20)) local.set $c local.set $b local.set $a
                 ({ty}.add (local.get $a) ({ty}.add (local.get $b) ({ty}.add (local.get $c) (local.get $c)))))"#
        );
        assert_eq!(run(&fields, &[]), Ok(Some(bits(ty, 67))), "{ty}");
    }
}

#[test]
fn parameters_of_a_loop_are_places_of_their_own() {
    for ty in ["i32", "i64", "f32", "f64"] {
        // Below them is an operand, and both are, at first, what that is: 1. They become 1 and 2, then 2 and 3.
        let fields = format!(
            r#"(func (export "run") (param i32 {ty}) (result {ty}) (local $a {ty}) (local $b {ty})
                 local.get 1 local.get 1 local.get 1
                 loop $again (param {ty} {ty}) (result {ty} {ty})
                   local.set $b local.set $a
                   (local.get $b) ({ty}.add (local.get $b) ({ty}.const 1))
                   (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                   (br_if $again (local.get 0))
                 end
                 {ty}.const 10 {ty}.mul {ty}.add {ty}.const 10 {ty}.mul {ty}.add)"#
        );
        let bits = |value| bits(ty, value);
        assert_eq!(run(&fields, &[2, bits(1)]), Ok(Some(bits(321))), "{ty}");
    }
}

#[test]
fn parameters_of_a_block_that_are_one_local_stay_until_each_was_taken() {
    for ty in ["i32", "i64", "f32", "f64"] {
        let fields = format!(
            r#"(func (export "run") (param {ty} {ty}) (result {ty})
                 local.get 0 local.get 0 local.get 0
                 block (param {ty} {ty} {ty}) (result {ty})
                   ({ty}.mul (local.get 1) ({ty}.const 3)) {ty}.mul
                   ({ty}.mul (local.get 1) ({ty}.const 5)) {ty}.add {ty}.add {ty}.add
                 end)"#
        );
        let bits = |value| bits(ty, value);
        // 4, 4 and 4 * 6 + 10
        assert_eq!(
            run(&fields, &[bits(4), bits(2)]),
            Ok(Some(bits(42))),
            "{ty}"
        );
    }
}

#[test]
fn branches_that_put_values_aside_do_not_make_frames_larger() {
    // Each branch would take along two values, either of which is where the other one goes to. The stack has room for 8192.
    let exchange = "local.get $a local.get $b (local.set $b (local.get $zero)) (local.set $a (local.get $zero))
        (br_if $end (local.get $zero)) local.set $b local.set $a "
        .repeat(9000);
    let fields = format!(
        r#"(func (export "run") (param $a i32) (param $b i32) (result i32) (local $zero i32)
             block $end (result i32 i32)
               {exchange} local.get $a local.get $b
             end
             i32.sub)"#
    );
    assert_eq!(run(&fields, &[9, 4]), Ok(Some(5)));
}
