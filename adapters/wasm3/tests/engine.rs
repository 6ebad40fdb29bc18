//! The engine core, as a firmware embeds it, on modules in text form. Runs with and without the feature `std`.

use vyoma_adapter_wasm3::engine::{Caller, Error, Host, Limits, Machine, Stop};
use vyoma_adapter_wasm3::words;

const LIMITS: Limits = Limits {
    stack_bytes: 64 << 10,
    memory_pages: 16,
    memory_bytes: None,
};

/// A host of one closure.
struct With<F>(F);

impl<F: FnMut(u32, &mut [u64], &mut Caller<'_>) -> Result<(), Stop>> Host for With<F> {
    fn call(&mut self, import: u32, slots: &mut [u64], guest: &mut Caller<'_>) -> Result<(), Stop> {
        (self.0)(import, slots, guest)
    }
}

fn nobody() -> impl Host {
    With(|_, _: &mut [u64], _: &mut Caller<'_>| Err(Stop))
}

/// Half a mebibyte of native stack below here.
fn stack(machine: &mut Machine<'_>) {
    let marker = 0_u8;
    machine.limit_native_stack((&raw const marker).addr() - (512 << 10));
}

/// Calls `run` of the module `text`.
fn run(text: &str) -> Result<Option<u64>, Error> {
    let module = wat::parse_str(text).unwrap();
    let mut machine = Machine::new(&module, &LIMITS)?;
    stack(&mut machine);
    let run = machine.function("run").unwrap();
    machine.call(run, &[], &mut nobody())
}

/// Calls `run` of a module of `body`, which gives an i64.
fn value(body: &str) -> u64 {
    run(&format!(
        "(module (memory 1) (func (export \"run\") (result i64) {body}))"
    ))
    .unwrap()
    .unwrap()
}

#[test]
fn embedding_takes_five_lines() {
    let module = wat::parse_str(
        r#"(module (import "host" "double" (func $double (param i32) (result i32)))
             (memory 1) (func (export "run") (param i32) (result i32) (call $double (local.get 0))))"#,
    )
    .unwrap();
    let mut machine = Machine::new(&module, &LIMITS).unwrap();
    let run = machine.function("run").unwrap();
    let mut double = With(|_, slots: &mut [u64], _: &mut Caller<'_>| {
        slots[0] = u64::from(slots[0] as u32) * 2;
        Ok(())
    });
    assert_eq!(machine.call(run, &[21], &mut double), Ok(Some(42)));
}

#[test]
fn arguments_of_every_type_arrive_and_imports_are_told_apart() {
    let module = wat::parse_str(
        r#"(module
             (import "a" "same" (func $first (param i32 i64 f32 f64)))
             (import "b" "same" (func $second (result f64)))
             (memory 1)
             (func (export "run") (result f64)
               (call $first (i32.const -1) (i64.const -2) (f32.const 1.5) (f64.const 2.5)) (call $second)))"#,
    )
    .unwrap();
    let mut machine = Machine::new(&module, &LIMITS).unwrap();
    assert_eq!(machine.imports(), 2);
    let run = machine.function("run").unwrap();
    let mut calls = Vec::new();
    let mut host = With(|import, slots: &mut [u64], _: &mut Caller<'_>| {
        calls.push(import);
        if import == 0 {
            assert_eq!(slots[0] as u32, u32::MAX);
            assert_eq!(slots[1] as i64, -2);
            assert_eq!(f32::from_bits(slots[2] as u32).to_bits(), 1.5_f32.to_bits());
            assert_eq!(slots[3], 2.5_f64.to_bits());
        } else {
            slots[0] = 6.25_f64.to_bits();
        }
        Ok(())
    });
    let result = machine.call(run, &[], &mut host).unwrap();
    assert_eq!(result, Some(6.25_f64.to_bits()));
    assert_eq!(calls, [0, 1]);
}

/// Calls the host with 17 parameters, which calls `grow` of the guest, which grows memory; then recurses without end.
const NESTED: &str = r#"(module
    (import "host" "call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory 1)
    (func (export "grow") (param i32 i32 i32 i32) (result i32) (memory.grow (local.get 3)))
    (func (export "leave") (result i32) (call $eight-hosts))
    (func $eight-hosts (result i32)
      (call $host (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6) (i32.const 7) (i32.const 8)
        (i32.const 9) (i32.const 10) (i32.const 11) (i32.const 12) (i32.const 13) (i32.const 14) (i32.const 15) (i32.const 16)
        (i32.const 17)))
    (func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
    (func (export "trap") unreachable)
    (func (export "run") (param i32) (result i32)
      (drop (call $eight-hosts))
      (if (local.get 0) (then (drop (call $deep (i32.const 0)))))
      (i32.load (i32.const 65536))))"#;

#[test]
fn a_host_function_calls_the_guest_and_memory_may_move_meanwhile() {
    let module = wat::parse_str(NESTED).unwrap();
    let mut machine = Machine::new(&module, &LIMITS).unwrap();
    stack(&mut machine);
    let [grow, run] = ["grow", "run"].map(|name| machine.function(name).unwrap());
    let mut host = With(|_, slots: &mut [u64], guest: &mut Caller<'_>| {
        assert_eq!(guest.memory().len(), 65536);
        assert_eq!(guest.call(grow, &[0, 0, 0, 3]), Ok(Some(1)));
        assert_eq!(guest.memory().len(), 4 * 65536);
        guest.memory()[65536..65540].copy_from_slice(&77_u32.to_le_bytes());
        // The nested call used the same place of the value stack.
        assert!(
            slots
                .iter()
                .zip(1..)
                .all(|(&slot, number)| slot as u32 == number)
        );
        slots[0] = 0;
        Ok(())
    });
    assert_eq!(machine.call(run, &[0], &mut host), Ok(Some(77)));
}

#[test]
fn the_value_stack_ends_where_it_did_after_memory_grew_within_a_host_call() {
    // Unpatched, wasm3 then took the end of the stack to be further up, and the guest wrote over the host's heap.
    let module = wat::parse_str(NESTED).unwrap();
    let mut machine = Machine::new(&module, &LIMITS).unwrap();
    let marker = 0_u8;
    machine.limit_native_stack((&raw const marker).addr() - (1 << 20));
    let [grow, run] = ["grow", "run"].map(|name| machine.function(name).unwrap());
    let mut host = With(|_, _: &mut [u64], guest: &mut Caller<'_>| {
        guest.call(grow, &[0, 0, 0, 1]).map(drop).map_err(|_| Stop)
    });
    assert_eq!(
        machine.call(run, &[1], &mut host),
        Err(Error::Trap(words::STACK))
    );
    assert!(machine.stack_used() <= 64 << 10);
    assert!(machine.stack_used() > 60 << 10, "{}", machine.stack_used());
}

#[test]
fn a_trap_in_a_nested_call_is_the_reason_of_the_end() {
    let module = wat::parse_str(NESTED).unwrap();
    let mut machine = Machine::new(&module, &LIMITS).unwrap();
    stack(&mut machine);
    let [trap, leave, run] = ["trap", "leave", "run"].map(|name| machine.function(name).unwrap());
    for (function, reason) in [(trap, words::UNREACHABLE), (leave, words::LEAVE)] {
        let mut host = With(|_, _: &mut [u64], guest: &mut Caller<'_>| {
            guest.call(function, &[]).map(drop).map_err(|_| Stop)
        });
        assert_eq!(machine.call(run, &[0], &mut host), Err(Error::Trap(reason)));
    }
    // And a host that ends the guest by itself is told apart.
    assert_eq!(machine.call(run, &[0], &mut nobody()), Err(Error::Host));
}

#[test]
fn memory_grows_to_its_limit_and_a_refusal_is_remembered_until_the_next_success() {
    let module = wat::parse_str(
        r#"(module (memory 1 8) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#,
    )
    .unwrap();
    let limits = Limits {
        memory_pages: 3,
        ..LIMITS
    };
    let mut machine = Machine::new(&module, &limits).unwrap();
    let grow = machine.function("grow").unwrap();
    let refused = Ok(Some(u64::from(u32::MAX)));
    for (pages, result, is_refused) in [
        (3, refused, true),
        (1, Ok(Some(1)), false),
        (u64::from(u32::MAX), refused, true),
        (1, Ok(Some(2)), false),
        (1, refused, true),
    ] {
        assert_eq!(machine.call(grow, &[pages], &mut nobody()), result);
        assert_eq!(machine.grow_refused(), is_refused, "{pages}");
    }
    assert_eq!(machine.memory().len(), 3 * 65536);
}

#[test]
fn declared_maxima_of_zero_hold() {
    let grown = run(r#"(module (memory 0 0) (table 0 0 funcref)
        (func (export "run") (result i32)
          (i32.add (memory.grow (i32.const 1)) (table.grow (ref.null func) (i32.const 1)))))"#);
    assert_eq!(grown, Ok(Some(u64::from((-2_i32).cast_unsigned()))));
}

#[test]
fn a_memory_cut_below_its_pages_traps_past_the_cut() {
    let module = wat::parse_str(
        r#"(module (memory 1) (data (i32.const 4090) "abcdef")
             (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#,
    )
    .unwrap();
    let limits = Limits {
        memory_pages: 1,
        memory_bytes: Some(4096),
        ..LIMITS
    };
    let mut machine = Machine::new(&module, &limits).unwrap();
    let load = machine.function("load").unwrap();
    assert_eq!(machine.memory().len(), 4096);
    assert_eq!(
        machine.call(load, &[4095], &mut nobody()),
        Ok(Some(u64::from(b'f')))
    );
    assert_eq!(
        machine.call(load, &[4096], &mut nobody()),
        Err(Error::Trap(words::MEMORY))
    );
}

#[test]
fn segments_that_do_not_fit_trap_when_the_machine_is_made_tables_first() {
    let made = |text: &str| {
        let module = wat::parse_str(text).unwrap();
        Machine::new(&module, &LIMITS).map(|_| ())
    };
    let memory = "(memory 1) (data (i32.const 65535) \"ab\")";
    let table = "(table 1 funcref) (func $f) (elem (i32.const 1) $f)";
    let far = "(memory 1) (data (i32.const -1) \"\")";
    assert_eq!(
        made(&format!("(module {memory})")),
        Err(Error::Trap(words::MEMORY))
    );
    assert_eq!(
        made(&format!("(module {far})")),
        Err(Error::Trap(words::MEMORY))
    );
    assert_eq!(
        made(&format!("(module {memory} {table})")),
        Err(Error::Trap(words::TABLE))
    );
}

#[test]
fn what_wasm3_lacks_shows_when_the_machine_is_made() {
    let module =
        wat::parse_str("(module (memory 1) (func (drop (v128.const i32x4 0 0 0 0))))").unwrap();
    let Err(error) = Machine::new(&module, &LIMITS) else {
        panic!("vectors are not refused")
    };
    assert!(matches!(error, Error::Module(_)), "{error}");
}

#[test]
fn the_start_function_runs_once_before_the_first_call() {
    let module = wat::parse_str(
        r#"(module (memory 1) (global $n (mut i32) (i32.const 0)) (start $start)
             (func $start (global.set $n (i32.add (global.get $n) (i32.const 5))))
             (func (export "n") (result i32) (global.get $n)))"#,
    )
    .unwrap();
    let mut machine = Machine::new(&module, &LIMITS).unwrap();
    let n = machine.function("n").unwrap();
    for _ in 0..2 {
        assert_eq!(machine.call(n, &[], &mut nobody()), Ok(Some(5)));
    }
}

#[test]
fn operations_take_no_native_stack() {
    // Ten thousand additions before a host call: were their tail calls not real, each would leave a frame behind.
    let additions = "(local.set 0 (i32.add (local.get 0) (call $one)))".repeat(10)
        + &"(local.set 0 (i32.xor (i32.mul (local.get 0) (local.get 0)) (i32.const 7)))"
            .repeat(5000);
    let module = wat::parse_str(format!(
        r#"(module (import "" "host" (func $host)) (memory 1) (func $one (result i32) (i32.const 1))
             (func (export "run") (param i32) {additions} (call $host)))"#
    ))
    .unwrap();
    let mut machine = Machine::new(&module, &LIMITS).unwrap();
    stack(&mut machine);
    let run = machine.function("run").unwrap();
    let marker = 0_u8;
    let here = (&raw const marker).addr();
    let mut depth = 0;
    let mut host = With(|_, _: &mut [u64], _: &mut Caller<'_>| {
        let marker = 0_u8;
        depth = here - (&raw const marker).addr();
        Ok(())
    });
    machine.call(run, &[1], &mut host).unwrap();
    assert!(depth > 0 && depth < 4096, "{depth} bytes");
}

#[test]
fn moving_a_float_never_changes_its_bits() {
    // A signalling NaN with a payload, through loads, stores, locals, globals, select, calls, blocks and sign operations.
    let f32s = 0x7fa1_2345_u32;
    let store = format!("(i32.store (i32.const 0) (i32.const {f32s}))");
    let widened = |get: &str| {
        value(&format!(
            "(local $f f32) {store} (i64.extend_i32_u (i32.reinterpret_f32 {get}))"
        ))
    };
    let load = "(f32.load (i32.const 0))";
    let expected = u64::from(f32s);
    assert_eq!(widened(load), expected);
    assert_eq!(widened(&format!("(local.tee $f {load})")), expected);
    assert_eq!(
        widened(&format!("(select {load} {load} (i32.load (i32.const 4)))")),
        expected
    );
    assert_eq!(widened(&format!("(block (result f32) {load})")), expected);
    assert_eq!(widened(&format!("(f32.neg (f32.neg {load}))")), expected);
    assert_eq!(widened(&format!("(f32.abs (f32.neg {load}))")), expected);
    assert_eq!(
        widened(&format!("(f32.copysign {load} (f32.const -1))")),
        expected | 0x8000_0000
    );
    assert_eq!(
        value(&format!(
            "{store} (f32.store (i32.const 8) (f32.load (i32.const 0))) (i64.load32_u (i32.const 8))"
        )),
        expected
    );
    let through = run(&format!(
        r#"(module (memory 1) (global $g (mut f32) (f32.const 0))
             (func $same (param f32) (result f32) (local.get 0))
             (func (export "run") (result i32)
               (global.set $g (call $same (f32.reinterpret_i32 (i32.const {f32s}))))
               (i32.reinterpret_f32 (global.get $g))))"#
    ));
    assert_eq!(through, Ok(Some(expected)));
}

#[test]
fn arithmetic_gives_the_canonical_nan_and_only_arithmetic() {
    // Operands are NaNs with payload and sign, out of memory so that nothing is folded.
    let f64s = 0xfff1_2345_6789_abcd_u64;
    let f32s = 0xffa1_2345_u32;
    let prepare = format!(
        "(i64.store (i32.const 0) (i64.const {f64s})) (i32.store (i32.const 8) (i32.const {f32s}))"
    );
    for operation in ["add", "sub", "mul", "div", "min", "max"] {
        for (left, right) in [
            ("(load)", "(one)"),
            ("(one)", "(load)"),
            ("(load)", "(load)"),
        ] {
            let of = |kind: &str, load: &str| {
                format!("({kind}.{operation} {left} {right})")
                    .replace("(load)", load)
                    .replace("(one)", &format!("({kind}.const 1)"))
            };
            let wide = of("f64", "(f64.load (i32.const 0))");
            assert_eq!(
                value(&format!("{prepare} (i64.reinterpret_f64 {wide})")),
                0x7ff8_0000_0000_0000,
                "{wide}"
            );
            let narrow = of("f32", "(f32.load (i32.const 8))");
            assert_eq!(
                value(&format!(
                    "{prepare} (i64.extend_i32_u (i32.reinterpret_f32 {narrow}))"
                )),
                0x7fc0_0000,
                "{narrow}"
            );
        }
    }
    for operation in ["sqrt", "ceil", "floor", "trunc", "nearest"] {
        let wide = format!("(f64.{operation} (f64.load (i32.const 0)))");
        assert_eq!(
            value(&format!("{prepare} (i64.reinterpret_f64 {wide})")),
            0x7ff8_0000_0000_0000,
            "{wide}"
        );
        let narrow = format!("(f32.{operation} (f32.load (i32.const 8)))");
        assert_eq!(
            value(&format!(
                "{prepare} (i64.extend_i32_u (i32.reinterpret_f32 {narrow}))"
            )),
            0x7fc0_0000,
            "{narrow}"
        );
    }
    let promoted = "(i64.reinterpret_f64 (f64.promote_f32 (f32.load (i32.const 8))))";
    assert_eq!(
        value(&format!("{prepare} {promoted}")),
        0x7ff8_0000_0000_0000
    );
    let demoted =
        "(i64.extend_i32_u (i32.reinterpret_f32 (f32.demote_f64 (f64.load (i32.const 0)))))";
    assert_eq!(value(&format!("{prepare} {demoted}")), 0x7fc0_0000);
    // The root of a negative number, made here.
    assert_eq!(
        value("(i64.reinterpret_f64 (f64.sqrt (f64.sub (f64.load (i32.const 0)) (f64.const 4))))"),
        0x7ff8_0000_0000_0000
    );
}

#[test]
fn floats_compute_and_round_as_ieee_754_has_it() {
    let values = [
        0.0_f64,
        -0.0,
        0.4,
        -0.4,
        0.5,
        -0.5,
        0.6,
        1.5,
        -1.5,
        2.5,
        -2.5,
        1e10,
        -1e300,
        4_503_599_627_370_497.5,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    type Wide = fn(f64) -> f64;
    type Narrow = fn(f32) -> f32;
    let operations: [(&str, Wide, Narrow); 6] = [
        ("ceil", f64::ceil, f32::ceil),
        ("floor", f64::floor, f32::floor),
        ("trunc", f64::trunc, f32::trunc),
        ("nearest", f64::round_ties_even, f32::round_ties_even),
        ("abs", f64::abs, f32::abs),
        ("neg", |x| -x, |x| -x),
    ];
    for (name, wide, narrow) in operations {
        let module = wat::parse_str(format!(
            r#"(module (memory 1)
                 (func (export "wide") (param f64) (result f64) (f64.{name} (local.get 0)))
                 (func (export "narrow") (param f32) (result f32) (f32.{name} (local.get 0))))"#
        ))
        .unwrap();
        let mut machine = Machine::new(&module, &LIMITS).unwrap();
        let [of_wide, of_narrow] = ["wide", "narrow"].map(|name| machine.function(name).unwrap());
        for value in values {
            let got = machine.call(of_wide, &[value.to_bits()], &mut nobody());
            assert_eq!(
                got,
                Ok(Some(wide(value).to_bits())),
                "f64.{name} of {value}"
            );
            let value = value as f32;
            let got = machine.call(of_narrow, &[u64::from(value.to_bits())], &mut nobody());
            let expected = u64::from(narrow(value).to_bits());
            assert_eq!(got, Ok(Some(expected)), "f32.{name} of {value}");
        }
    }
}

#[test]
fn a_deep_recursion_ends_and_many_nested_loops_fit() {
    let deep = r#"(module (memory 1)
        (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
        (func (export "run") (result i32) (call $deep (i32.const 0))))"#;
    assert_eq!(run(deep), Err(Error::Trap(words::STACK)));
    // What admission lets through; a microcontroller has room for 64.
    let nested = if cfg!(feature = "small") { 60 } else { 2000 };
    let loops = format!(
        r#"(module (memory 1) (func (export "run") (result i32) {} (i32.const 3) {}))"#,
        "(loop (result i32)".repeat(nested),
        ")".repeat(nested)
    );
    assert_eq!(run(&loops), Ok(Some(3)));
}
