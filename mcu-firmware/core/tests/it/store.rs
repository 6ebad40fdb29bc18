//! What a store takes and refuses, and what it makes of flash that someone else wrote.

use proptest::collection::vec;
use proptest::prelude::*;
use vyoma_mcu_core::store::{Cause, MAX_KNOWN, Mark, Store, StoreError};

use crate::flash::Stm32l4;
use crate::power::{component, found, install, manifest};

const KIB: usize = 1024;
/// Bytes of the two banks of the directory.
const DIRECTORY: usize = 4 * KIB;

fn new(size: usize) -> Store<Stm32l4> {
    Store::open(Stm32l4::new(size))
}

fn names(store: &Store<Stm32l4>) -> Vec<String> {
    store.apps().map(|entry| entry.name().to_owned()).collect()
}

#[test]
fn what_was_installed_is_there_after_a_boot_byte_for_byte_and_in_order() {
    let mut store = new(512 * KIB);
    assert_eq!(store.apps().count(), 0);
    for (number, (name, size)) in (0..).zip([("b", 98_765), ("a", 4321), ("c", 64)]) {
        install(&mut store, name, number, &component(size, number)).unwrap();
    }
    install(&mut store, "b", 7, &component(100, 7)).unwrap();
    let before = found(&store);
    let store = Store::open(store.into_flash());
    assert_eq!(names(&store), ["b", "a", "c"]);
    assert_eq!(found(&store), before);
    assert_eq!(before["b"].component, component(100, 7));
    assert_eq!(before["b"].number, 7);
}

#[test]
fn a_component_may_come_in_pieces_of_any_size() {
    let bytes = component(5003, 1);
    for size in [1, 3, 7, 8, 9, 2047, 5003] {
        let mut store = new(32 * KIB);
        let mut upload = store.begin("a", &manifest("a", 1), 5003).unwrap();
        for piece in bytes.chunks(size) {
            store.write(&mut upload, piece).unwrap();
        }
        assert_eq!(upload.missing(), 0);
        let staged = store.finish(upload).unwrap();
        store.commit(staged).unwrap();
        assert_eq!(found(&store)["a"].component, bytes, "pieces of {size}");
    }
}

#[test]
fn before_the_commit_nothing_has_changed() {
    let mut store = new(64 * KIB);
    install(&mut store, "a", 1, &component(3000, 1)).unwrap();
    let before = found(&store);
    let new = component(5000, 2);
    let mut upload = store.begin("a", &manifest("a", 2), 5000).unwrap();
    store.write(&mut upload, &new[..4000]).unwrap();
    assert_eq!(found(&store), before);
    assert_eq!(
        store.finish(upload).unwrap_err(),
        StoreError::TooShort { missing: 1000 }
    );
    let mut upload = store.begin("a", &manifest("a", 2), 5000).unwrap();
    store.write(&mut upload, &new).unwrap();
    let staged = store.finish(upload).unwrap();
    assert_eq!(found(&store), before);
    assert_eq!(found(&Store::open(store.flash().clone())), before);
    store.commit(staged).unwrap();
    assert_eq!(found(&store)["a"].component, new);
}

#[test]
fn more_bytes_than_announced_are_refused() {
    let mut store = new(64 * KIB);
    let mut upload = store.begin("a", &manifest("a", 1), 100).unwrap();
    store.write(&mut upload, &[1; 60]).unwrap();
    assert_eq!(
        store.write(&mut upload, &[1; 41]),
        Err(StoreError::TooLong { announced: 100 })
    );
    store.write(&mut upload, &[1; 40]).unwrap();
}

#[test]
fn an_upload_is_over_when_another_one_begins() {
    let mut store = new(64 * KIB);
    let mut first = store.begin("a", &manifest("a", 1), 100).unwrap();
    let mut second = store.begin("b", &manifest("b", 1), 100).unwrap();
    assert_eq!(store.write(&mut first, &[1; 8]), Err(StoreError::Over));
    assert!(matches!(store.finish(first), Err(StoreError::Over)));
    store.write(&mut second, &[1; 100]).unwrap();
    let staged = store.finish(second).unwrap();
    store.commit(staged).unwrap();
    assert_eq!(names(&store), ["b"]);
}

#[test]
fn what_does_not_fit_is_refused_with_needs_and_free_and_fits_after_a_removal() {
    // 28 KiB for apps.
    let mut store = new(DIRECTORY + 28 * KIB);
    assert_eq!(store.room().largest as usize, 28 * KIB);
    install(&mut store, "a", 1, &component(9 * KIB, 1)).unwrap();
    install(&mut store, "b", 1, &component(9 * KIB, 1)).unwrap();
    // Each takes 10 KiB, its manifest and what is left of a sector included.
    let room = store.room();
    assert_eq!(
        [room.total, room.free, room.largest].map(|bytes| bytes as usize),
        [28 * KIB, 8 * KIB, 8 * KIB]
    );
    let before = found(&store);
    let error = store
        .begin("a", &manifest("a", 2), 8 * KIB as u32)
        .unwrap_err();
    assert_eq!(
        error,
        StoreError::Full {
            needs: 10 * KIB as u32,
            free: 8 * KIB as u32
        }
    );
    assert_eq!(
        error.to_string(),
        "no room in flash: needs 10240 bytes in a row, free are 8192; remove an app"
    );
    assert_eq!(found(&store), before, "and the old version is still there");
    store.remove("b").unwrap();
    install(&mut store, "a", 2, &component(8 * KIB, 2)).unwrap();
    assert_eq!(
        store.begin("c", &manifest("c", 1), u32::MAX).unwrap_err(),
        StoreError::Full {
            needs: u32::MAX,
            free: store.room().largest
        }
    );
}

#[test]
fn the_smallest_room_that_will_do_is_used() {
    let mut store = new(DIRECTORY + 40 * KIB);
    for (name, kib) in [("a", 5), ("b", 1), ("c", 11), ("d", 1)] {
        install(&mut store, name, 1, &component(kib * KIB, 1)).unwrap();
    }
    // Free: 6 KiB, 12 KiB, and what is behind d (18 KiB).
    store.remove("a").unwrap();
    store.remove("c").unwrap();
    assert_eq!(store.room().largest as usize, 18 * KIB);
    install(&mut store, "e", 1, &component(9 * KIB, 1)).unwrap();
    assert_eq!(
        store.room().largest as usize,
        18 * KIB,
        "the largest is kept"
    );
    install(&mut store, "f", 1, &component(5 * KIB, 1)).unwrap();
    assert_eq!(store.room().largest as usize, 18 * KIB);
}

#[test]
fn no_more_apps_than_the_directory_has_places_for() {
    let mut store = new(64 * KIB);
    for index in 0..MAX_KNOWN {
        install(&mut store, &format!("a{index}"), 1, &component(10, 1)).unwrap();
    }
    let error = store
        .begin("one-more", &manifest("one-more", 1), 10)
        .unwrap_err();
    assert_eq!(error, StoreError::TooMany);
    assert!(error.to_string().contains("8 apps"), "{error}");
    install(&mut store, "a3", 2, &component(10, 2)).unwrap();
    store.remove("a0").unwrap();
    install(&mut store, "one-more", 1, &component(10, 1)).unwrap();
}

#[test]
fn a_mark_survives_a_boot_and_setting_it_again_writes_nothing() {
    let mut store = new(64 * KIB);
    install(&mut store, "a", 1, &component(10, 1)).unwrap();
    for mark in [
        Mark::Stopped,
        Mark::Quarantined(Cause::WrongHash),
        Mark::Quarantined(Cause::BadManifest),
        Mark::Quarantined(Cause::KeptFailing),
        Mark::None,
    ] {
        store.mark("a", mark).unwrap();
        let changes = store.flash().changes();
        store.mark("a", mark).unwrap();
        assert_eq!(store.flash().changes(), changes);
        store = Store::open(store.into_flash());
        assert_eq!(store.find("a").unwrap().mark(), mark);
    }
    assert_eq!(store.mark("b", Mark::None), Err(StoreError::NoSuchApp));
    assert_eq!(store.remove("b"), Err(StoreError::NoSuchApp));
    store.mark("a", Mark::Stopped).unwrap();
    install(&mut store, "a", 2, &component(10, 2)).unwrap();
    assert_eq!(store.find("a").unwrap().mark(), Mark::None);
}

#[test]
fn a_thousand_changes_fit_and_the_directory_is_erased_seldom() {
    let mut store = new(64 * KIB);
    install(&mut store, "a", 1, &component(10, 1)).unwrap();
    let before = store.flash().changes();
    for round in 0..1000 {
        let mark = if round % 2 == 0 {
            Mark::Stopped
        } else {
            Mark::None
        };
        store.mark("a", mark).unwrap();
    }
    // 12 words each, and a bank of 20 records.
    let changes = store.flash().changes() - before;
    assert!(changes < 1000 * 12 + 1000 / 19 * 30, "{changes} changes");
    assert_eq!(found(&Store::open(store.into_flash())).len(), 1);
}

#[test]
fn a_component_that_contains_a_directory_means_nothing() {
    let mut other = new(32 * KIB);
    install(&mut other, "evil", 1, &component(3000, 1)).unwrap();
    let image = other.into_flash().into_bytes();
    let mut store = new(128 * KIB);
    install(&mut store, "a", 1, &image).unwrap();
    // Neither while it is installed, nor as what is left of an upload or of a removed app.
    assert_eq!(names(&Store::open(store.flash().clone())), ["a"]);
    let mut upload = store
        .begin("b", &manifest("b", 1), image.len() as u32)
        .unwrap();
    store.write(&mut upload, &image).unwrap();
    store.remove("a").unwrap();
    assert_eq!(Store::open(store.into_flash()).apps().count(), 0);
}

#[test]
fn damage_in_flash_is_found_in_component_and_manifest() {
    let mut store = new(64 * KIB);
    install(&mut store, "a", 1, &component(5000, 1)).unwrap();
    let place = store.find("a").unwrap().component();
    let good = store.into_flash().into_bytes();
    let damaged = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        Store::open(Stm32l4::holding(bytes))
    };
    let store = damaged(place.offset as usize + 4999);
    let entry = store.find("a").unwrap();
    assert_ne!(store.hash(entry), entry.sha256());
    assert!(store.manifest(entry).is_ok());
    let store = damaged(place.offset as usize - 32);
    assert_eq!(
        store.manifest(store.find("a").unwrap()),
        Err(Cause::BadManifest)
    );
}

#[test]
fn a_region_that_is_too_small_is_refused_and_nothing_else() {
    for size in [0, 2 * KIB, 4 * KIB, 6 * KIB] {
        let mut store = Store::open(Stm32l4::new(size));
        assert_eq!(store.apps().count(), 0);
        assert!(matches!(
            store.begin("a", &manifest("a", 1), 4000),
            Err(StoreError::Full { .. })
        ));
    }
}

/// CRC-32 as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}

/// Makes the check sums of the directory right, so that what was changed is believed.
fn with_good_sums(bytes: &mut [u8]) {
    for bank in [0, 2 * KIB] {
        let sum = crc32(&bytes[bank..bank + 28]);
        bytes[bank + 28..bank + 32].copy_from_slice(&sum.to_le_bytes());
        for record in bytes[bank + 32..bank + 2 * KIB].chunks_exact_mut(96) {
            let sum = crc32(&record[..92]);
            record[92..].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// Everything that the firmware does with what it finds.
fn use_all(bytes: Vec<u8>) -> usize {
    let size = bytes.len() as u32;
    let mut store = Store::open(Stm32l4::holding(bytes));
    let names = names(&store);
    assert!(names.len() <= MAX_KNOWN);
    let mut places: Vec<(u32, u32)> = Vec::new();
    for entry in store.apps() {
        let _ = store.hash(entry);
        let _ = store.manifest(entry);
        let place = entry.component();
        let end = place.offset.checked_add(place.length).unwrap();
        assert!(place.offset as usize >= DIRECTORY && end <= size);
        assert!(
            places
                .iter()
                .all(|(start, stop)| end <= *start || *stop <= place.offset),
            "two apps in one place"
        );
        places.push((place.offset, end));
    }
    let room = store.room();
    assert!(room.largest <= room.free && room.free <= room.total);
    // Whatever was there, the region can be used: removed one by one, all of it is free.
    for name in &names {
        store.mark(name, Mark::Stopped).unwrap();
        store.remove(name).unwrap();
    }
    assert_eq!(store.room().largest, room.total);
    install(&mut store, "new", 1, &component(20 * KIB, 1)).unwrap();
    assert_eq!(found(&store).len(), 1);
    names.len()
}

fn image() -> Vec<u8> {
    let mut store = new(DIRECTORY + 24 * KIB);
    for (name, size) in [("one", 3000), ("two", 100), ("three", 5000)] {
        install(&mut store, name, 1, &component(size, 1)).unwrap();
    }
    store.remove("two").unwrap();
    store.mark("three", Mark::Stopped).unwrap();
    store.into_flash().into_bytes()
}

/// Ten thousand: 500 cases of 20 images.
#[test]
fn ten_thousand_directories_that_someone_else_wrote_are_used_or_left_out() {
    let good = image();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(500)
    });
    // A byte of the directory, or four of them (a length, a place) with a value at the edges.
    let edge = prop::sample::select(vec![
        0_u32,
        1,
        31,
        2048,
        4096,
        6144,
        28_671,
        28_672,
        1 << 30,
        u32::MAX - 31,
        u32::MAX,
    ]);
    let change = (
        0..DIRECTORY,
        any::<u8>(),
        prop::option::of((
            0..40_usize,
            prop::sample::select(vec![36_usize, 40, 44]),
            edge,
        )),
    );
    let used = std::cell::Cell::new(0);
    runner
        .run(&vec(vec(change, 1..6), 20), |images| {
            for changes in images {
                let mut bytes = good.clone();
                for (at, byte, field) in changes {
                    match field {
                        None => bytes[at] = byte,
                        Some((record, field, value)) => {
                            let bank = record % 2 * 2 * KIB;
                            let at = bank + 32 + record / 2 * 96 + field;
                            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                        }
                    }
                }
                with_good_sums(&mut bytes);
                used.set(used.get() + use_all(bytes));
            }
            Ok(())
        })
        .unwrap();
    assert!(used.get() > 5000, "{} apps: nothing was tested", used.get());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_bytes_are_a_region(start in vec(any::<u8>(), DIRECTORY), sums in any::<bool>()) {
        let mut bytes = start;
        bytes.resize(DIRECTORY + 24 * KIB, 0xff);
        if sums {
            with_good_sums(&mut bytes);
        }
        use_all(bytes);
    }
}
