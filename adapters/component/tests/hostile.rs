//! Whatever the bytes are, reading them ends soon and without a panic.

mod fixtures;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vyoma_component::program::Program;

/// More than a hundred times what the slowest of these takes, optimised or not.
const SOON: Duration = Duration::from_secs(5);

static COMPONENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let linked = fixtures::command(
        r#"(core module $env
             (memory (export "memory") 1)
             (table (export "table") 4 funcref)
             (global (export "base") i32 (i32.const 256))
             (func $start) (start $start))
           (core instance $env (instantiate $env))
           (core module $m
             (import "env" "base" (global $base i32))
             (import "env" "memory" (memory 1))
             (import "env" "table" (table 4 funcref))
             (data (global.get $base) "text")
             (elem (i32.const 1) func $run)
             (func $run (export "run") (result i32)
               (call_indirect (result i32) (i32.load (global.get $base)))))
           (core instance $main (instantiate $m (with "env" (instance $env))))"#,
    );
    vec![fixtures::plain(), fixtures::preview1(), linked]
});

#[track_caller]
fn read(bytes: &[u8]) {
    let start = Instant::now();
    if let Ok(program) = Program::of(bytes) {
        assert!(program.module.len() < 16 * bytes.len() + 1024);
    }
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
}

/// A change of a part of the bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Swap(prop::sample::Index, prop::sample::Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Self::Repeat(at, count) => {
                let at = at.index(length);
                let part = bytes[at..(at + count).min(length)].to_vec();
                bytes.splice(at..at, part);
            }
            Self::Swap(one, other) => bytes.swap(one.index(length), other.index(length)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>();
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at.clone(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at.clone(), 1..40_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at.clone(), 1..40_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        (at.clone(), at).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_component_is_read_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..5),
    ) {
        let mut bytes = COMPONENTS[which.index(COMPONENTS.len())].clone();
        for change in &changes {
            change.apply(&mut bytes);
        }
        read(&bytes);
    }

    #[test]
    fn any_bytes_after_the_preamble_are_read_or_refused(rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend(rest);
        read(&bytes);
    }
}

#[test]
fn each_byte_of_a_component_may_be_anything() {
    // The beginning, and the end, where the modules are connected.
    for component in COMPONENTS.iter() {
        let parts = (0..component.len().min(150))
            .chain(component.len().saturating_sub(600)..component.len());
        for at in parts {
            for byte in [0x00, 0x01, 0xff] {
                let mut bytes = component.clone();
                bytes[at] = byte;
                read(&bytes);
            }
        }
    }
}

#[test]
fn types_nested_without_end_are_refused() {
    // A type section with an instance type that declares an instance type that ...
    let mut ty = vec![0x40, 0, 1, 0];
    for _ in 0..100_000 {
        ty.splice(0..0, [0x42, 1, 1]);
        if ty.len() > 3000 {
            break;
        }
    }
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.push(7);
    let length = ty.len() + 1;
    bytes.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8, 1]);
    bytes.extend(ty);
    let refusal = Program::of(&bytes).unwrap_err().to_string();
    assert!(refusal.contains("at most 8 deep"), "{refusal}");
}

#[test]
fn many_aliases_of_aliases_end_soon() {
    use std::fmt::Write;
    let mut text = String::from(
        r#"(import "wasi:cli/exit@0.2.6" (instance $exit (export "exit" (func (param "status" (result))))))
           (core func $f0 (canon lower (func $exit "exit")))"#,
    );
    for at in 0..3000 {
        let _ = write!(
            text,
            r#"(core instance $i{at} (export "f" (func $f{at})))
               (alias core export $i{at} "f" (core func $f{}))"#,
            at + 1
        );
    }
    text.push_str(
        r#"(core module $m (import "h" "f" (func (param i32))) (func (export "run") (result i32) (i32.const 0)))
           (core instance $main (instantiate $m (with "h" (instance $i2999))))"#,
    );
    let component = fixtures::command(&text);
    let start = Instant::now();
    let refusal = Program::of(&component).unwrap_err().to_string();
    assert!(refusal.contains("more than 32 steps"), "{refusal}");
    assert!(start.elapsed() < SOON);
}
