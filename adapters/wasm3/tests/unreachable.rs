//! Code that can't be reached is valid in more ways than code that can: its operands have no types. It is loaded and changes
//! nothing. Runs with the settings of either build (feature `small`).

use vyoma_adapter_wasm3::engine::{Caller, Error, Host, Limits, Machine, Stop};

struct Nobody;

impl Host for Nobody {
    fn call(&mut self, _: u32, _: &mut [u64], _: &mut Caller<'_>) -> Result<(), Stop> {
        Err(Stop)
    }
}

/// What every module here has for dead code to name.
const AROUND: &str = "(memory 1) (table 4 funcref) (table $other 4 funcref) (elem $segment func $callee) (data $bytes \"abc\")
    (global $g (mut i32) (i32.const 0)) (elem declare func $callee)
    (type $pair (func (param i64 f32) (result f64 i32)))
    (func $callee (param i64 f32) (result f64 i32) (f64.const 0) (i32.const 0))";

/// Calls `run`, whose body this is, with 5 and the result.
fn run(results: &str, body: &str) -> Result<Option<u64>, Error> {
    let text = format!(
        "(module {AROUND} (func (export \"run\") (param i32) {results} (local i64 f32 f64) {body}))"
    );
    let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    wasmparser::validate(&module).unwrap_or_else(|error| panic!("{error}: {body}"));
    let limits = Limits {
        stack_bytes: 64 << 10,
        memory_pages: 1,
        memory_bytes: None,
    };
    let mut machine = Machine::new(&module, &limits).map_err(|error| panic!("{error}: {body}"))?;
    let marker = 0_u8;
    machine.limit_native_stack((&raw const marker).addr() - (512 << 10));
    let run = machine.function("run").unwrap();
    machine.call(run, &[5], &mut Nobody)
}

/// Every instruction whose immediates have a form of their own, and operations of every type without operands at hand.
const DEAD: &[&str] = &[
    "",
    "nop",
    "unreachable",
    "drop drop drop",
    "i32.add i64.extend_i32_s f32.convert_i64_u f64.promote_f32 drop",
    "f64.const 1 f64.add f32.demote_f64 i32.trunc_sat_f32_u i32.eqz drop",
    "i64.const -9223372036854775808 i64.sub i64.eqz drop",
    "f32.const 11 f32.lt drop",
    "i32.const -2147483648 i32.store8 offset=4294967295",
    "i64.load32_u offset=2147483648 align=1 f64.reinterpret_i64 f64.store",
    "select drop",
    "i32.const 1 select drop",
    "f64.const 1 i32.const 1 select drop",
    "select (result i64) drop",
    "local.get 1 local.tee 1 local.set 1 local.set 3",
    "global.get $g i32.add global.set $g",
    "call $callee drop drop",
    "i32.const 3 call_indirect $other (type $pair) drop drop",
    "call_indirect (type $pair) drop drop",
    "return",
    "i32.const 1 drop return",
    "memory.size memory.grow drop",
    "memory.copy memory.fill memory.init $bytes data.drop $bytes",
    "table.copy $other 0 table.init $other $segment elem.drop $segment",
    "table.get $other table.set 0 table.size $other table.grow 0 table.fill $other",
    "ref.null func ref.is_null drop ref.func $callee drop",
    "br 0",
    "br_if 0",
    "br_table 0 0 0",
    "block end loop end if else end",
    "block (result i64) unreachable end drop loop (param i32) (result f64 i32) unreachable end drop drop",
    "if (result i32) i32.const 1 else i32.const 2 br 0 end drop",
    "if (type $pair) unreachable else unreachable drop end drop drop",
    "block block unreachable br_table 0 1 0 end unreachable if loop br 0 end else unreachable end end",
];

/// Ways to leave the block around for good, leaving nothing behind.
const LEAVE: &[&str] = &[
    "br 0",
    "(br_table 0 (local.get 0))",
    "(br_table 0 0 0 (local.get 0))",
    "(if (local.get 0) (then br 1) (else br 1)) unreachable",
];

#[test]
fn after_a_branch_out_of_a_block_any_valid_code_is_loaded_and_does_nothing() {
    for leave in LEAVE {
        for dead in DEAD {
            let body = format!("block {leave} {dead} end (i32.add (local.get 0) (i32.const 1))");
            assert_eq!(run("(result i32)", &body), Ok(Some(6)), "{body}");
        }
    }
}

#[test]
fn what_a_branch_took_along_is_the_result_of_the_block() {
    for (ty, value, bits) in [
        ("i32", "(i32.sub (local.get 0) (i32.const 3))", 2),
        ("i64", "(i64.extend_i32_u (local.get 0))", 5),
        (
            "f32",
            "(f32.convert_i32_u (local.get 0))",
            u64::from(5_f32.to_bits()),
        ),
        ("f64", "(f64.convert_i32_u (local.get 0))", 5_f64.to_bits()),
        // Out of a constant and out of a local.
        ("i64", "(i64.const 7)", 7),
        ("f64", "(local.get 3)", 0),
    ] {
        for leave in [
            "br 0",
            "(br_table 0 0 (local.get 0))",
            "(br_if 0 (local.get 0)) unreachable",
        ] {
            for dead in DEAD {
                // The result of whatever is dead need not be there; a loop and a block around change nothing.
                let dead = format!("{dead} unreachable");
                for body in [
                    format!("block (result {ty}) {value} {leave} {dead} end"),
                    format!(
                        "loop (result {ty}) block (result {ty}) {value} {leave} {dead} end br 1 {dead} end"
                    ),
                ] {
                    let results = format!("(result {ty})");
                    assert_eq!(run(&results, &body), Ok(Some(bits)), "{body}");
                }
            }
        }
    }
}

#[test]
fn a_function_may_return_early_and_go_on_with_anything() {
    for leave in [
        "(return (local.get 0))",
        "(br 0 (local.get 0))",
        "(br_table 0 0 (local.get 0) (i32.const 9))",
        "block (return (local.get 0)) end unreachable",
    ] {
        for dead in DEAD {
            let body = format!("{leave} {dead} unreachable");
            assert_eq!(run("(result i32)", &body), Ok(Some(5)), "{body}");
        }
    }
}
