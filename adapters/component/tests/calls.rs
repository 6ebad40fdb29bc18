//! Whole calls by the canonical ABI: what is lifted before a host function runs, and what is checked after it.

#![allow(
    clippy::unnecessary_wraps,
    reason = "host functions have one shape, whether they can trap or not"
)]

mod common;

use common::Run;
use vyoma_component::handles::{Borrow, Own};
use vyoma_component::host::{Context, Interface, Platform};
use vyoma_component::program::CoreType::{I32, I64};
use vyoma_component::trap::Trap;
use vyoma_component::{enumeration, function, resource, variant};

struct Thing;

enumeration! {
    #[derive(Debug, Clone, Copy)]
    enum Colour {
        Red,
    }
}

#[derive(Debug)]
enum Shape {
    Name(String),
    Circle(f32),
    Point((u8, u64, i16)),
}
variant!(Shape { 0 Circle(f32), 1 Point((u8, u64, i16)), 2 Name(String) });

fn is_abi<T>(outcome: &Result<T, Trap>) -> bool {
    matches!(outcome, Err(Trap::Abi(_)))
}

/// Host functions that show what a call does.
#[derive(Default)]
struct Recorder {
    seen: Vec<String>,
}

fn mixed(
    cx: &mut Context<'_, Recorder>,
    (a, b, c): (u8, Option<Shape>, Borrow<Thing>),
) -> Result<Result<String, Colour>, Trap> {
    cx.services.seen.push(format!("{a} {b:?} {}", c.0));
    Ok(Ok("done".to_owned()))
}

fn scalar(cx: &mut Context<'_, Recorder>, (): ()) -> Result<i8, Trap> {
    cx.services.seen.push("scalar".to_owned());
    Ok(-1)
}

fn make(cx: &mut Context<'_, Recorder>, (): ()) -> Result<Own<Thing>, Trap> {
    cx.handles.push(Thing)
}

fn take(cx: &mut Context<'_, Recorder>, (things,): (Vec<Own<Thing>>,)) -> Result<(), Trap> {
    for thing in things {
        cx.handles.remove::<Thing>(thing.0)?;
    }
    Ok(())
}

impl Platform for Recorder {
    fn packages() -> &'static [&'static [&'static Interface<Self>]] {
        &[&[&Interface {
            name: "test:abi/calls",
            functions: &[
                function!("mixed", mixed),
                function!("scalar", scalar),
                function!("make", make),
                function!("take", take),
            ],
            resources: &[resource!("thing", Thing)],
        }]]
    }
}

const CALLS: &str = "test:abi/calls";

#[test]
fn a_call_lifts_its_arguments_and_stores_a_large_result_where_the_guest_says() {
    let mut run = Run::on(Recorder::default());
    let thing = run.value(CALLS, "make", &[]).unwrap();
    let flat = [I32, I32, I32, I32, I64, I32, I32, I32];
    let signature = common::signature_of::<Recorder>(CALLS, "mixed");
    assert_eq!(
        (signature.params.as_slice(), signature.result),
        (&flat[..], None)
    );
    run.memory.put(500, b"x");
    run.call(CALLS, "mixed", &[3, 1, 2, 500, 1, 0, thing, 32])
        .unwrap();
    assert_eq!(run.services.seen, ["3 Some(Name(\"x\")) 1"]);
    assert_eq!(run.memory.bytes[32], 0);
    assert_eq!(run.memory.list(36), b"done");
}

#[test]
fn a_place_for_the_result_outside_memory_or_not_aligned_is_a_trap_after_the_call() {
    for place in [65536 - 8, 65536, u64::from(u32::MAX) - 3, 33, 34] {
        let mut run = Run::on(Recorder::default());
        let thing = run.value(CALLS, "make", &[]).unwrap();
        let outcome = run.call(CALLS, "mixed", &[3, 0, 0, 0, 0, 0, thing, place]);
        assert!(is_abi(&outcome), "{place}");
        assert_eq!(run.services.seen.len(), 1);
        assert_eq!(run.memory.calls, []);
    }
    let mut run = Run::on(Recorder::default());
    let thing = run.value(CALLS, "make", &[]).unwrap();
    run.call(CALLS, "mixed", &[3, 0, 0, 0, 0, 0, thing, 65536 - 12])
        .unwrap();
}

#[test]
fn a_wrong_argument_is_a_trap_before_the_call() {
    let mut run = Run::on(Recorder::default());
    let outcome = run.call(CALLS, "mixed", &[3, 0, 0, 0, 0, 0, 9, 32]);
    assert_eq!(outcome, Err(Trap::UnknownHandle(9)));
    assert_eq!(run.services.seen, Vec::<String>::new());
}

#[test]
fn a_small_result_comes_in_the_first_slot() {
    let mut run = Run::on(Recorder::default());
    assert_eq!(run.value(CALLS, "scalar", &[]), Ok(0xffff_ffff));
}

#[test]
fn an_owned_handle_that_was_given_away_is_gone_and_can_not_be_given_twice() {
    let mut run = Run::on(Recorder::default());
    let first = run.value(CALLS, "make", &[]).unwrap() as u32;
    let second = run.value(CALLS, "make", &[]).unwrap() as u32;
    run.memory.put_words(0, &[second, first, first]);
    run.call(CALLS, "take", &[0, 1]).unwrap();
    assert_eq!(
        run.drop(CALLS, "thing", second),
        Err(Trap::UnknownHandle(second))
    );
    assert_eq!(
        run.call(CALLS, "take", &[4, 2]),
        Err(Trap::UnknownHandle(first))
    );
}
