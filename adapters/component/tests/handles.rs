//! The handle table: numbers as under Wasmtime, and traps as the canonical ABI demands.

use proptest::prelude::*;
use vyoma_component::handles::Handles;
use vyoma_component::trap::Trap;

struct File(u32);
struct Socket;

fn table() -> Handles {
    Handles::new(1000)
}

#[test]
fn handles_count_from_one_and_the_last_dropped_is_the_next_given_out() {
    let mut table = table();
    let numbers: Vec<u32> = (0..4).map(|n| table.push(File(n)).unwrap().0).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    table.remove::<File>(2).unwrap();
    table.remove::<File>(4).unwrap();
    table.remove::<File>(1).unwrap();
    let numbers: Vec<u32> = (0..4).map(|n| table.push(File(n)).unwrap().0).collect();
    assert_eq!(numbers, [1, 4, 2, 5]);
}

#[test]
fn resources_of_all_types_share_the_numbers() {
    let mut table = table();
    assert_eq!(table.push(File(0)).unwrap().0, 1);
    assert_eq!(table.push(Socket).unwrap().0, 2);
    table.remove::<File>(1).unwrap();
    assert_eq!(table.push(Socket).unwrap().0, 1);
}

#[test]
fn a_handle_that_was_never_given_out_is_unknown() {
    let mut table = table();
    table.push(File(0)).unwrap();
    for handle in [0, 2, 3, 1 << 28, u32::MAX] {
        assert_eq!(
            table.check::<File>(handle).err(),
            Some(Trap::UnknownHandle(handle))
        );
        assert_eq!(
            table.remove::<File>(handle).err(),
            Some(Trap::UnknownHandle(handle))
        );
    }
}

#[test]
fn a_dropped_handle_is_unknown_until_its_number_is_given_out_again() {
    let mut table = table();
    let handle = table.push(File(0)).unwrap().0;
    let borrow = table.check::<File>(handle).unwrap();
    table.remove::<File>(handle).unwrap();
    assert_eq!(table.get(borrow).err(), Some(Trap::UnknownHandle(1)));
    assert_eq!(
        table.remove::<File>(handle).err(),
        Some(Trap::UnknownHandle(1))
    );
    table.push(Socket).unwrap();
    assert_eq!(table.get(borrow).err(), Some(Trap::WrongHandle(1)));
}

#[test]
fn a_handle_of_another_type_is_told_apart_and_stays_what_it_is() {
    let mut table = table();
    table.push(File(7)).unwrap();
    assert_eq!(table.check::<Socket>(1).err(), Some(Trap::WrongHandle(1)));
    assert_eq!(table.remove::<Socket>(1).err(), Some(Trap::WrongHandle(1)));
    assert_eq!(table.remove::<File>(1).unwrap().0, 7);
}

#[test]
fn a_resource_is_dropped_after_all_that_came_of_it() {
    let mut table = table();
    table.push(File(0)).unwrap();
    let parent = table.check::<File>(1).unwrap();
    let first = table.push_child(Socket, parent).unwrap().0;
    let second = table.push_child(Socket, parent).unwrap().0;
    assert_eq!(table.remove::<File>(1).err(), Some(Trap::HasChildren));
    table.remove::<Socket>(first).unwrap();
    assert_eq!(table.remove::<File>(1).err(), Some(Trap::HasChildren));
    table.remove::<Socket>(second).unwrap();
    table.remove::<File>(1).unwrap();
}

#[test]
fn a_child_of_a_dropped_resource_can_not_be_made() {
    let mut table = table();
    table.push(File(0)).unwrap();
    let parent = table.check::<File>(1).unwrap();
    table.remove::<File>(1).unwrap();
    assert_eq!(
        table.push_child(Socket, parent).err(),
        Some(Trap::UnknownHandle(1))
    );
}

#[test]
fn the_limit_counts_live_handles() {
    let mut table = Handles::new(2);
    table.push(File(0)).unwrap();
    table.push(File(1)).unwrap();
    let full = table.push(File(2)).err();
    assert_eq!(full, Some(Trap::Interface("too many handles".to_owned())));
    // What could not be made is no child.
    let parent = table.check::<File>(1).unwrap();
    assert!(table.push_child(Socket, parent).is_err());
    table.remove::<File>(1).unwrap();
    assert_eq!(table.push(File(3)).unwrap().0, 1);
}

#[test]
fn two_resources_are_reached_at_once_and_one_is_not_reached_twice() {
    let mut table = table();
    table.push(File(1)).unwrap();
    table.push(File(2)).unwrap();
    let (one, two) = (table.check(1).unwrap(), table.check(2).unwrap());
    let (first, second) = table.get_two::<File, File>(one, two).unwrap();
    assert_eq!((first.0, second.0), (1, 2));
    assert!(table.get_two::<File, File>(one, one).is_err());
}

#[test]
fn a_dropped_handle_drops_the_resource() {
    let mut table = table();
    let count = std::rc::Rc::new(());
    table.push(count.clone()).unwrap();
    table.remove::<std::rc::Rc<()>>(1).unwrap();
    assert_eq!(std::rc::Rc::strong_count(&count), 1);
}

proptest! {
    /// Against the plainest model: a list of what lives, and a stack of what was dropped.
    #[test]
    fn any_sequence_of_pushes_and_drops_gives_the_numbers_of_the_model(
        operations in prop::collection::vec((any::<bool>(), 0_u32..12), 0..200)
    ) {
        let mut table = table();
        let mut live: Vec<Option<u32>> = Vec::new();
        let mut dropped: Vec<u32> = Vec::new();
        for (stamp, (push, handle)) in (0..).zip(operations) {
            if push {
                let expected = dropped.pop().unwrap_or(live.len() as u32 + 1);
                let place = expected as usize - 1;
                live.resize(live.len().max(place + 1), None);
                live[place] = Some(stamp);
                prop_assert_eq!(table.push(File(stamp)).unwrap().0, expected);
                continue;
            }
            let known = (handle as usize)
                .checked_sub(1)
                .and_then(|place| live.get_mut(place))
                .and_then(Option::take);
            let found = table.remove::<File>(handle).map(|file| file.0);
            prop_assert_eq!(&found, &known.ok_or(Trap::UnknownHandle(handle)));
            if found.is_ok() {
                dropped.push(handle);
            }
        }
    }
}
