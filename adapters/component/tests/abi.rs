//! The canonical ABI: every type at the ends of memory, with every wrong value, and with allocators that misbehave.

mod common;

use common::{Allocator, Memory};
use proptest::prelude::*;
use vyoma_component::abi::{Buffer, Bytes, Lift, Lifting, Lower, Lowering, Slots, Value};
use vyoma_component::guest::Realloc;
use vyoma_component::handles::{Borrow, Handles, Own};
use vyoma_component::program::CoreType::{self, F32, F64, I32, I64};
use vyoma_component::trap::Trap;
use vyoma_component::{enumeration, flags, record, variant};

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    kind: u8,
    x: u64,
    y: i16,
}
record!(Point {
    kind: u8,
    x: u64,
    y: i16
});

enumeration! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Colour {
        Red,
        Green,
        Blue,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access(u8);
flags!(Access, 3);

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Nothing,
    Circle(f32),
    Name(String),
    Point(Point),
}
variant!(Shape { 0 Nothing, 1 Circle(f32), 2 Name(String), 3 Point(Point) });

#[derive(Debug, Clone, PartialEq)]
enum Number {
    Single(f32),
    Small(u32),
}
variant!(Number { 0 Single(f32), 1 Small(u32) });

#[derive(Debug, Clone, PartialEq)]
enum Wide {
    Single(f32),
    Signed(i8),
    Large(i64),
    Double(f64),
}
variant!(Wide { 0 Single(f32), 1 Signed(i8), 2 Large(i64), 3 Double(f64) });

#[derive(Debug, PartialEq)]
struct Thing;

fn lift<T: Lift>(memory: &mut Memory, slots: &[u64]) -> Result<T, Trap> {
    let mut handles = Handles::new(8);
    handles.push(Thing).unwrap();
    let mut cx = Lifting {
        guest: memory,
        handles: &mut handles,
    };
    T::lift(&mut cx, &mut Slots::new(slots))
}

fn load<T: Lift>(memory: &mut Memory, at: u32) -> Result<T, Trap> {
    let mut handles = Handles::new(8);
    handles.push(Thing).unwrap();
    let mut cx = Lifting {
        guest: memory,
        handles: &mut handles,
    };
    cx.check(at, T::SIZE.into(), T::ALIGN)?;
    T::load(&mut cx, at)
}

fn store<T: Lower>(memory: &mut Memory, at: u32, value: T) -> Result<(), Trap> {
    let mut cx = Lowering {
        guest: memory,
        realloc: Some(Realloc(0)),
    };
    cx.check(at, T::SIZE, T::ALIGN)?;
    value.store(&mut cx, at)
}

fn lower<T: Lower>(value: T) -> u64 {
    let mut memory = Memory::new(0);
    let mut cx = Lowering {
        guest: &mut memory,
        realloc: None,
    };
    value.lower(&mut cx).unwrap().unwrap()
}

fn is_abi<T>(outcome: &Result<T, Trap>) -> bool {
    matches!(outcome, Err(Trap::Abi(_)))
}

/// Size, alignment and core types, worked out by hand from CanonicalABI.md.
fn shape<T: Value>(size: u32, align: u32, flat: &[CoreType]) {
    let name = std::any::type_name::<T>();
    assert_eq!((T::SIZE, T::ALIGN), (size, align), "{name}");
    assert_eq!(T::TYPES.types(), flat, "{name}");
    assert_eq!(T::FLAT, flat.len(), "{name}");
}

#[test]
fn types_have_the_sizes_and_core_types_of_the_canonical_abi() {
    shape::<()>(0, 1, &[]);
    shape::<bool>(1, 1, &[I32]);
    shape::<i16>(2, 2, &[I32]);
    shape::<u64>(8, 8, &[I64]);
    shape::<f32>(4, 4, &[F32]);
    shape::<f64>(8, 8, &[F64]);
    shape::<char>(4, 4, &[I32]);
    shape::<String>(8, 4, &[I32, I32]);
    shape::<Vec<u64>>(8, 4, &[I32, I32]);
    shape::<Bytes>(8, 4, &[I32, I32]);
    shape::<Buffer>(8, 4, &[I32, I32]);
    shape::<Own<Thing>>(4, 4, &[I32]);
    shape::<Borrow<Thing>>(4, 4, &[I32]);
    shape::<(u8, u16, u8)>(6, 2, &[I32, I32, I32]);
    shape::<(u8, u64)>(16, 8, &[I32, I64]);
    shape::<Point>(24, 8, &[I32, I64, I32]);
    shape::<Colour>(1, 1, &[I32]);
    shape::<Access>(1, 1, &[I32]);
    shape::<Option<()>>(1, 1, &[I32]);
    shape::<Option<u8>>(2, 1, &[I32, I32]);
    shape::<Option<Point>>(32, 8, &[I32, I32, I64, I32]);
    shape::<Result<(), ()>>(1, 1, &[I32]);
    shape::<Result<u64, Colour>>(16, 8, &[I32, I64]);
    shape::<Result<f32, String>>(12, 4, &[I32, I32, I32]);
    shape::<Result<String, f64>>(16, 8, &[I32, I64, I32]);
    shape::<Result<(), (u16, u8)>>(6, 2, &[I32, I32, I32]);
    // Joined: {f32}, {i32, i32}, {i32, i64, i32}.
    shape::<Shape>(32, 8, &[I32, I32, I64, I32]);
    shape::<Number>(8, 4, &[I32, I32]);
    shape::<Wide>(16, 8, &[I32, I64]);
}

#[test]
fn narrow_integers_are_extended_by_their_sign_to_32_bits_only() {
    assert_eq!(lower(0x80_u8), 0x80);
    assert_eq!(lower(-1_i8), 0xffff_ffff);
    assert_eq!(lower(i8::MIN), 0xffff_ff80);
    assert_eq!(lower(0x8000_u16), 0x8000);
    assert_eq!(lower(i16::MIN), 0xffff_8000);
    assert_eq!(lower(i16::MAX), 0x7fff);
    assert_eq!(lower(u32::MAX), 0xffff_ffff);
    assert_eq!(lower(-2_i32), 0xffff_fffe);
    assert_eq!(lower(u64::MAX), u64::MAX);
    assert_eq!(lower(-2_i64), 0xffff_ffff_ffff_fffe);
    assert_eq!(lower(-0.0_f32), 0x8000_0000);
    assert_eq!(lower(-0.0_f64), 0x8000_0000_0000_0000);
    assert_eq!(lower('é'), 0xe9);
    assert_eq!(lower(true), 1);
    assert_eq!(lower(Colour::Blue), 2);
    assert_eq!(lower(Access(5)), 5);
    assert_eq!(lower(Err::<(), ()>(())), 1);
    assert_eq!(lower((7_u8,)), 7);
}

#[test]
fn narrow_integers_take_the_low_bits_whatever_the_others_are() {
    let mut memory = Memory::new(0);
    let bits = [0xdead_beef_1234_ff80];
    assert_eq!(lift::<u8>(&mut memory, &bits), Ok(0x80));
    assert_eq!(lift::<i8>(&mut memory, &bits), Ok(-128));
    assert_eq!(lift::<u16>(&mut memory, &bits), Ok(0xff80));
    assert_eq!(lift::<i16>(&mut memory, &bits), Ok(-128));
    assert_eq!(lift::<u32>(&mut memory, &bits), Ok(0x1234_ff80));
    assert_eq!(lift::<i32>(&mut memory, &bits), Ok(0x1234_ff80));
    assert_eq!(lift::<u64>(&mut memory, &bits), Ok(bits[0]));
    assert_eq!(lift::<bool>(&mut memory, &bits), Ok(true));
    assert_eq!(
        lift::<bool>(&mut memory, &[0xdead_beef_0000_0000]),
        Ok(false)
    );
    // All bits of an i32 count for a discriminant, and none of the slot's high half.
    let high = 0xdead_beef_0000_0000;
    assert_eq!(lift::<Colour>(&mut memory, &[high | 1]), Ok(Colour::Green));
    assert!(is_abi(&lift::<Colour>(&mut memory, &[0x101])));
    assert_eq!(lift::<Access>(&mut memory, &[high | 0xfe]), Ok(Access(6)));
    assert_eq!(lift::<char>(&mut memory, &[high | 0x41]), Ok('A'));
    assert_eq!(lift::<Option<u8>>(&mut memory, &[high | 1, 7]), Ok(Some(7)));
}

#[test]
fn a_wrong_discriminant_is_a_trap() {
    let mut memory = Memory::new(64);
    for tag in [2, 3, 255, 256, 0x8000_0000, 0xffff_ffff] {
        assert!(is_abi(&lift::<Option<u8>>(&mut memory, &[tag, 0])));
        assert!(is_abi(&lift::<Result<u8, u8>>(&mut memory, &[tag, 0])));
        assert!(is_abi(&lift::<Number>(&mut memory, &[tag, 0])));
    }
    assert!(is_abi(&lift::<Colour>(&mut memory, &[3])));
    assert!(is_abi(&lift::<Shape>(&mut memory, &[4, 0, 0, 0])));
    for tag in 2..=255 {
        memory.bytes[0] = tag;
        assert!(is_abi(&load::<Option<u8>>(&mut memory, 0)));
        assert!(is_abi(&load::<Result<u8, u8>>(&mut memory, 0)));
        assert!(is_abi(&load::<Number>(&mut memory, 0)));
        assert_eq!(is_abi(&load::<Colour>(&mut memory, 0)), tag > 2);
        assert_eq!(is_abi(&load::<Shape>(&mut memory, 0)), tag > 3);
        assert_eq!(load::<bool>(&mut memory, 0), Ok(true));
        assert_eq!(load::<Access>(&mut memory, 0), Ok(Access(tag & 7)));
    }
}

#[test]
fn a_case_takes_its_slots_from_the_joined_ones() {
    let mut memory = Memory::new(64);
    memory.put(10, b"name");
    let single = u64::from(1.5_f32.to_bits());
    let garbage = 0xdead_beef_dead_beef;
    assert_eq!(
        lift::<(Shape, u8)>(&mut memory, &[0, garbage, garbage, garbage, 7]),
        Ok((Shape::Nothing, 7))
    );
    assert_eq!(
        lift::<(Shape, u8)>(&mut memory, &[1, single, garbage, garbage, 7]),
        Ok((Shape::Circle(1.5), 7))
    );
    assert_eq!(
        lift::<(Shape, u8)>(&mut memory, &[2, 10, 0xdead_beef_0000_0004, garbage, 7]),
        Ok((Shape::Name("name".to_owned()), 7))
    );
    let point = Point {
        kind: 1,
        x: garbage,
        y: -2,
    };
    assert_eq!(
        lift::<(Shape, u8)>(&mut memory, &[3, 1, garbage, 0xfffe, 7]),
        Ok((Shape::Point(point), 7))
    );
    assert_eq!(
        lift::<Number>(&mut memory, &[0, single]),
        Ok(Number::Single(1.5))
    );
    assert_eq!(
        lift::<Wide>(&mut memory, &[0, 0xdead_beef_0000_0000 | single]),
        Ok(Wide::Single(1.5))
    );
    assert_eq!(
        lift::<Wide>(&mut memory, &[1, garbage]),
        Ok(Wide::Signed(-17))
    );
    assert_eq!(
        lift::<Wide>(&mut memory, &[2, garbage]),
        Ok(Wide::Large(garbage as i64))
    );
    assert_eq!(
        lift::<Wide>(&mut memory, &[3, 2.5_f64.to_bits()]),
        Ok(Wide::Double(2.5))
    );
    assert_eq!(
        lift::<(Result<u64, ()>, Option<u8>)>(&mut memory, &[1, garbage, 0, garbage]),
        Ok((Err(()), None))
    );
}

#[test]
fn too_few_slots_are_a_trap_and_no_panic() {
    let mut memory = Memory::new(64);
    assert!(is_abi(&lift::<Shape>(&mut memory, &[3, 0])));
    assert!(is_abi(&lift::<(Option<u64>, u8)>(&mut memory, &[0])));
}

#[test]
fn characters_are_scalar_values() {
    let mut memory = Memory::new(4);
    for good in [0, 0xd7ff, 0xe000, 0x10_ffff] {
        let character = char::from_u32(good).unwrap();
        assert_eq!(lift::<char>(&mut memory, &[good.into()]), Ok(character));
        memory.put_words(0, &[good]);
        assert_eq!(load::<char>(&mut memory, 0), Ok(character));
    }
    for bad in [0xd800, 0xdfff, 0x11_0000, u32::MAX] {
        assert!(is_abi(&lift::<char>(&mut memory, &[bad.into()])));
        memory.put_words(0, &[bad]);
        assert!(is_abi(&load::<char>(&mut memory, 0)));
    }
}

#[test]
fn strings_are_utf_8() {
    let mut memory = Memory::new(16);
    memory.put(0, "aé€😀".as_bytes());
    assert_eq!(
        lift::<String>(&mut memory, &[0, 10]),
        Ok("aé€😀".to_owned())
    );
    // Cut in a character; overlong; a surrogate; beyond the last plane.
    assert!(is_abi(&lift::<String>(&mut memory, &[0, 9])));
    for bad in [
        &[0xff][..],
        &[0xc0, 0x80],
        &[0xed, 0xa0, 0x80],
        &[0xf4, 0x90, 0x80, 0x80],
    ] {
        memory.put(0, bad);
        assert!(is_abi(&lift::<String>(&mut memory, &[0, bad.len() as u64])));
    }
}

#[test]
fn a_string_may_be_as_long_as_memory() {
    let mut memory = Memory::new(300_000);
    let length = lift::<String>(&mut memory, &[0, 300_000]).map(|text| text.len());
    assert_eq!(length, Ok(300_000));
    assert!(is_abi(&lift::<String>(&mut memory, &[0, 300_001])));
    assert!(is_abi(&lift::<String>(&mut memory, &[1, 300_000])));
}

#[test]
fn lists_of_nothing_end_where_memory_ends() {
    let mut memory = Memory::new(64);
    assert_eq!(lift::<Vec<u64>>(&mut memory, &[64, 0]), Ok(vec![]));
    assert_eq!(lift::<String>(&mut memory, &[64, 0]), Ok(String::new()));
    assert!(lift::<Bytes>(&mut memory, &[64, 0]).unwrap().is_empty());
    assert!(is_abi(&lift::<Vec<u64>>(&mut memory, &[72, 0])));
    assert!(is_abi(&lift::<Vec<u64>>(&mut memory, &[63, 0])));
    assert!(is_abi(&lift::<String>(&mut memory, &[65, 0])));
    assert!(is_abi(&lift::<Bytes>(&mut memory, &[65, 0])));
    let mut none = Memory::new(0);
    assert_eq!(lift::<Vec<u64>>(&mut none, &[0, 0]), Ok(vec![]));
}

#[test]
fn the_length_of_a_list_does_not_wrap() {
    let mut memory = Memory::new(64);
    // 2^29 elements of 8 bytes are 2^32 bytes: 0, if it wrapped.
    assert!(is_abi(&lift::<Vec<u64>>(&mut memory, &[0, 1 << 29])));
    assert!(is_abi(&lift::<Vec<u64>>(
        &mut memory,
        &[0xffff_fff8, 0x2000_0001]
    )));
    assert!(is_abi(&lift::<Bytes>(
        &mut memory,
        &[0xffff_ffff, 0xffff_ffff]
    )));
    assert!(is_abi(&lift::<Bytes>(&mut memory, &[1, 0xffff_ffff])));
}

#[test]
fn handles_in_arguments_are_checked_one_by_one() {
    let mut memory = Memory::new(64);
    memory.put_words(0, &[1, 1, 2]);
    let list = |memory: &mut Memory, length| {
        lift::<Vec<Borrow<Thing>>>(memory, &[0, length])
            .map(|list| list.iter().map(|handle| handle.0).collect::<Vec<_>>())
    };
    assert_eq!(list(&mut memory, 2), Ok(vec![1, 1]));
    assert_eq!(list(&mut memory, 3), Err(Trap::UnknownHandle(2)));
    assert_eq!(
        lift::<Borrow<Memory>>(&mut memory, &[1]).err(),
        Some(Trap::WrongHandle(1))
    );
    assert_eq!(lift::<Own<Thing>>(&mut memory, &[1]).unwrap().0, 1);
    assert_eq!(
        lift::<Own<Thing>>(&mut memory, &[0]).err(),
        Some(Trap::UnknownHandle(0))
    );
}

#[test]
fn an_allocator_that_misbehaves_is_a_trap_and_never_harm() {
    let length = 1024_u32;
    let store_with = |allocator, unaligned_ok: bool| {
        let mut memory = Memory::new(length as usize);
        memory.allocator = allocator;
        let before = memory.bytes.clone();
        let outcome = if unaligned_ok {
            store(&mut memory, 0, Buffer(vec![7; 100]))
        } else {
            store(&mut memory, 0, vec![7_u32; 25])
        };
        if outcome.is_err() && memory.bytes.len() == before.len() {
            assert_eq!(memory.bytes, before);
        }
        outcome
    };
    for bytes in [true, false] {
        assert_eq!(store_with(Allocator::Honest, bytes), Ok(()));
        assert_eq!(store_with(Allocator::Grows(65536), bytes), Ok(()));
        assert_eq!(store_with(Allocator::Answers(length - 100), bytes), Ok(()));
        // Where the host reads the result from later: the guest's own affair.
        assert_eq!(store_with(Allocator::Answers(0), bytes), Ok(()));
        assert_eq!(store_with(Allocator::Traps, bytes), Err(Trap::Guest));
        for at in [length - 96, length, !3, u32::MAX] {
            assert!(is_abi(&store_with(Allocator::Answers(at), bytes)), "{at}");
        }
        for left in [0, 4, 50] {
            assert!(is_abi(&store_with(Allocator::Shrinks(left), bytes)));
        }
    }
    for at in 1..4 {
        assert_eq!(store_with(Allocator::Answers(at), true), Ok(()));
        assert!(is_abi(&store_with(Allocator::Answers(at), false)));
    }
}

#[test]
fn the_allocator_is_asked_for_nothing_too_and_its_answer_is_checked() {
    let mut memory = Memory::new(64);
    memory.next = 0;
    store(&mut memory, 0, String::new()).unwrap();
    assert_eq!(memory.calls, [(0, 0, 1, 0)]);
    memory.allocator = Allocator::Answers(64);
    assert_eq!(store(&mut memory, 0, String::new()), Ok(()));
    memory.allocator = Allocator::Answers(65);
    assert!(is_abi(&store(&mut memory, 0, String::new())));
    memory.allocator = Allocator::Answers(63);
    assert!(is_abi(&store(&mut memory, 0, Vec::<u32>::new())));
}

#[test]
fn a_result_without_an_allocator_is_a_trap() {
    let mut memory = Memory::new(64);
    let mut cx = Lowering {
        guest: &mut memory,
        realloc: None,
    };
    assert!(is_abi(&"text".to_owned().store(&mut cx, 0)));
    assert_eq!(Some(5_u64).store(&mut cx, 0), Ok(()));
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Nothing),
        (-1e9_f32..1e9).prop_map(Shape::Circle),
        ".{0,20}".prop_map(Shape::Name),
        any::<(u8, u64, i16)>().prop_map(|(kind, x, y)| Shape::Point(Point { kind, x, y })),
    ]
}

/// Lists lift from every place that is aligned and inside, and from no other.
fn lists_at<T: Lift>(at: u32, length: u32) {
    const MEMORY: usize = 512;
    let mut memory = Memory::new(MEMORY);
    let inside = u64::from(at) + u64::from(length) * u64::from(T::SIZE) <= MEMORY as u64;
    let good = inside && at.is_multiple_of(T::ALIGN);
    let lifted = lift::<Vec<T>>(&mut memory, &[at.into(), length.into()]).map(|list| list.len());
    assert_eq!(
        lifted.ok(),
        good.then_some(length as usize),
        "{} elements of {} at {at}",
        length,
        std::any::type_name::<T>()
    );
}

/// Whatever the slots and memory are, lifting gives a value or a trap.
fn lifts_without_panic<T: Lift>(bytes: &[u8], slots: &[u64], at: u32) {
    let mut memory = Memory::new(0);
    memory.bytes = bytes.to_vec();
    let _ = lift::<T>(&mut memory, slots);
    let _ = load::<T>(&mut memory, at);
}

proptest! {
    #[test]
    fn what_is_stored_loads_as_it_was(
        text in ".{0,40}",
        number in any::<Option<u64>>(),
        list in prop::collection::vec((".{0,9}", any::<i16>(), prop::option::of(shapes())), 0..9),
        outcome in prop::result::maybe_err(any::<char>(), shapes()),
        at in 0_u32..8,
    ) {
        let value = ((text, number), list, outcome);
        let mut memory = Memory::new(65536);
        store(&mut memory, at * 8, value.clone()).unwrap();
        prop_assert_eq!(load(&mut memory, at * 8), Ok(value));
    }

    #[test]
    fn lists_lift_from_where_they_are_aligned_and_inside(
        at in prop_oneof![500_u32..520, 0_u32..520, any::<u32>()],
        length in prop_oneof![0_u32..70, any::<u32>()],
    ) {
        lists_at::<u8>(at, length);
        lists_at::<i16>(at, length);
        lists_at::<f32>(at, length);
        lists_at::<u64>(at, length);
        lists_at::<(u8, u16, u8)>(at, length);
        lists_at::<Option<Point>>(at, length);
        lists_at::<Result<u8, u64>>(at, length);
        lists_at::<Shape>(at, length);
        lists_at::<String>(at, length);
        lists_at::<Vec<u64>>(at, length);
    }

    #[test]
    fn nothing_that_a_guest_passes_makes_lifting_panic(
        bytes in prop::collection::vec(prop_oneof![0_u8..5, any::<u8>()], 0..300),
        slots in prop::collection::vec(prop_oneof![0_u64..300, any::<u64>()], 0..8),
        at in prop_oneof![0_u32..300, any::<u32>()],
    ) {
        lifts_without_panic::<Vec<Shape>>(&bytes, &slots, at);
        lifts_without_panic::<Vec<(String, Vec<Option<Wide>>)>>(&bytes, &slots, at);
        lifts_without_panic::<(Shape, Result<Number, Colour>)>(&bytes, &slots, at);
        lifts_without_panic::<(Option<Vec<Borrow<Thing>>>, Access)>(&bytes, &slots, at);
        lifts_without_panic::<Vec<Bytes>>(&bytes, &slots, at);
        lifts_without_panic::<Result<char, Own<Thing>>>(&bytes, &slots, at);
    }

    #[test]
    fn no_answer_of_the_allocator_makes_lowering_write_outside(
        answer in prop_oneof![0_u32..700, any::<u32>()],
        at in prop_oneof![0_u32..700, any::<u32>()],
        list in prop::collection::vec(".{0,9}", 0..20),
    ) {
        let mut memory = Memory::new(600);
        memory.allocator = Allocator::Answers(answer);
        let _ = store(&mut memory, at, list);
        prop_assert_eq!(memory.bytes.len(), 600);
    }
}
