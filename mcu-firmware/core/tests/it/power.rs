//! Power fails at every change of flash: the old app or the new one is there, whole, and the store goes on.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use vyoma_capabilities::manifest::{self, compact};
use vyoma_mcu_core::flash::Flash;
use vyoma_mcu_core::store::{Cause, Mark, Store, StoreError};

use crate::flash::{Left, SimulatedFlash, Stm32l4};

/// Bytes of the region in these tests: bank, bank, and 28 sectors.
const REGION: usize = 60 * 1024;

/// What an app is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) component: Vec<u8>,
    pub(crate) mark: Mark,
    pub(crate) number: u32,
}

/// Apps by name.
pub(crate) type Apps = BTreeMap<String, Version>;

/// One thing that is done to a store.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Install(&'static str, usize),
    Mark(&'static str, Mark),
    Remove(&'static str),
}

pub(crate) fn manifest(name: &str, version: u32) -> Vec<u8> {
    let text = format!("[app]\nname = {name:?}\nversion = \"{version}\"\nwasm = \"x.wasm\"\n");
    compact::encode(&manifest::parse("vyoma.toml", &text).unwrap()).unwrap()
}

/// Bytes that differ by version, and are not those of erased flash.
pub(crate) fn component(size: usize, version: u32) -> Vec<u8> {
    (0..size as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(version * 77) >> 8) as u8)
        .collect()
}

/// Installs as a session does: in pieces of 512 bytes.
pub(crate) fn install<F: Flash>(
    store: &mut Store<F>,
    name: &str,
    version: u32,
    component: &[u8],
) -> Result<(), StoreError> {
    let mut upload = store.begin(name, &manifest(name, version), component.len() as u32)?;
    for piece in component.chunks(512) {
        store.write(&mut upload, piece)?;
    }
    let staged = store.finish(upload)?;
    assert_eq!(
        staged.entry().sha256(),
        <[u8; 32]>::from(Sha256::digest(component))
    );
    store.commit(staged)
}

/// Does it; `apps` is what is then to be there.
fn step<F: Flash>(
    store: &mut Store<F>,
    apps: &mut Apps,
    number: u32,
    step: &Step,
) -> Result<(), StoreError> {
    match step {
        Step::Install(name, size) => {
            let component = component(*size, number);
            install(store, name, number, &component)?;
            let version = Version {
                component,
                mark: Mark::None,
                number,
            };
            apps.insert((*name).to_owned(), version);
        }
        Step::Mark(name, mark) => {
            store.mark(name, *mark)?;
            if let Some(app) = apps.get_mut(*name) {
                app.mark = *mark;
            }
        }
        Step::Remove(name) => {
            store.remove(name)?;
            apps.remove(*name);
        }
    }
    Ok(())
}

/// What is in the store, everything checked as the firmware checks it.
pub(crate) fn found<F: Flash>(store: &Store<F>) -> Apps {
    store
        .apps()
        .map(|entry| {
            assert_eq!(
                store.hash(entry),
                entry.sha256(),
                "{}: its hash",
                entry.name()
            );
            let manifest = store.manifest(entry).unwrap();
            let place = entry.component();
            let component = store.flash().view(place.offset, place.length).unwrap();
            let version = Version {
                component: component.to_vec(),
                mark: entry.mark(),
                number: manifest.app.version.parse().unwrap(),
            };
            (entry.name().to_owned(), version)
        })
        .collect()
}

/// A day in the life of a device: first installations, updates, marks, a removal, and all of it once more.
fn scenario() -> Vec<Step> {
    let once = [
        Step::Install("one", 700),
        Step::Install("two", 2501),
        Step::Mark("one", Mark::Stopped),
        Step::Install("one", 1024),
        Step::Mark("two", Mark::Quarantined(Cause::KeptFailing)),
        Step::Install("three", 77),
        Step::Mark("two", Mark::None),
        Step::Remove("one"),
        Step::Install("two", 5000),
        Step::Remove("three"),
        Step::Install("one", 1),
    ];
    // Twice: the second time finds written flash, and the directory changes banks.
    once.iter().chain(&once).cloned().collect()
}

/// Does `next` with a power failure at each `stride`-th change that it makes. Each time the old apps are there or the new
/// ones, and the store goes on with flash that is as the failure left it. How many failures there were, and how many readings
/// of words that error correction gave up.
fn fail_within<const WORD: usize, const SECTOR: usize>(
    store: &Store<SimulatedFlash<WORD, SECTOR>>,
    old: &Apps,
    number: u32,
    next: &Step,
    stride: usize,
) -> (u64, u64) {
    let mut new = old.clone();
    intend(&mut new, number, next);
    let mut whole = store.clone();
    step(&mut whole, &mut old.clone(), number, next).unwrap();
    let changes = whole.flash().changes() - store.flash().changes();
    let (mut failures, mut unreadable) = (0, 0);
    for (at, left) in (0..changes)
        .step_by(stride)
        .flat_map(|at| Left::ALL.map(|left| (at, left)))
    {
        let mut store = store.clone();
        store.flash().fail(at, left);
        let failed = step(&mut store, &mut old.clone(), number, next);
        assert_eq!(failed, Err(StoreError::Flash));
        failures += 1;
        let mut store = Store::open(store.into_flash().restored());
        let mut there = found(&store);
        assert!(
            there == *old || there == new,
            "step {number}, change {at}, {left:?}: neither the old nor the new apps are there"
        );
        for (number, next) in (100..).zip([
            Step::Install("one", 900),
            Step::Install("four", 4000),
            Step::Remove("one"),
        ]) {
            step(&mut store, &mut there, number, &next).unwrap();
        }
        unreadable += store.flash().unreadable();
        assert_eq!(found(&Store::open(store.into_flash())), there);
    }
    (failures, unreadable)
}

/// How many readings of words there were that error correction gave up.
fn fail_everywhere<const WORD: usize, const SECTOR: usize>(stride: usize) -> u64 {
    let mut store = Store::open(SimulatedFlash::<WORD, SECTOR>::new(REGION));
    let mut apps = Apps::new();
    let (mut failures, mut unreadable) = (0, 0);
    for (number, next) in (0..).zip(&scenario()) {
        let (failed, torn) = fail_within(&store, &apps, number, next, stride);
        failures += failed;
        unreadable += torn;
        step(&mut store, &mut apps, number, next).unwrap();
    }
    assert!(failures > 1000, "only {failures} failures");
    unreadable
}

#[test]
fn whenever_power_fails_the_old_or_the_new_app_is_there() {
    let unreadable = fail_everywhere::<8, 2048>(1);
    // Also where flash says of a torn word that it can't be read, and gives another value each time.
    assert!(
        unreadable > 100,
        "a torn word was read {unreadable} times only: nothing was tried"
    );
}

#[test]
fn it_holds_for_other_flash_too() {
    // nRF52, STM32H7-like words in small sectors, serial NOR, a small STM32.
    fail_everywhere::<4, 4096>(5);
    fail_everywhere::<32, 4096>(1);
    fail_everywhere::<1, 4096>(31);
    fail_everywhere::<2, 1024>(11);
}

fn any_step() -> impl Strategy<Value = Step> {
    let name = prop::sample::select(vec!["one", "two", "three", "four"]);
    let mark = prop::sample::select(vec![
        Mark::None,
        Mark::Stopped,
        Mark::Quarantined(Cause::WrongHash),
        Mark::Quarantined(Cause::KeptFailing),
    ]);
    prop_oneof![
        3 => (name.clone(), 0..16_000_usize).prop_map(|(name, size)| Step::Install(name, size)),
        3 => (name.clone(), mark).prop_map(|(name, mark)| Step::Mark(name, mark)),
        1 => name.prop_map(Step::Remove),
    ]
}

fn any_failure() -> impl Strategy<Value = Option<(u64, Left)>> {
    let left = prop::sample::select(Left::ALL.to_vec());
    prop::option::of((0..2500_u64, left))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Power failures in a row, each at any moment, also in what follows a failure.
    #[test]
    fn however_often_power_fails_nothing_is_lost_that_was_there(
        runs in prop::collection::vec((prop::collection::vec(any_step(), 1..12), any_failure()), 1..6),
    ) {
        let mut flash = Stm32l4::new(REGION);
        let mut apps = Apps::new();
        let mut number = 0;
        for (steps, failure) in runs {
            if let Some((after, left)) = failure {
                flash.fail(after, left);
            }
            let mut store = Store::open(flash);
            let mut possible = vec![apps.clone()];
            for next in &steps {
                number += 1;
                let before = apps.clone();
                match step(&mut store, &mut apps, number, next) {
                    Ok(()) => {}
                    Err(StoreError::NoSuchApp | StoreError::Full { .. }) => {
                        prop_assert_eq!(found(&store), before);
                    }
                    Err(error) => {
                        prop_assert_eq!(error, StoreError::Flash);
                        prop_assert!(store.flash().has_failed());
                        // The record may have been whole when the power failed.
                        let mut then = before.clone();
                        intend(&mut then, number, next);
                        possible = vec![before, then];
                        break;
                    }
                }
                possible = vec![apps.clone()];
            }
            flash = store.into_flash().restored();
            let there = found(&Store::open(flash.clone()));
            prop_assert!(possible.contains(&there));
            apps = there;
        }
    }
}

/// What a step would come to.
fn intend(apps: &mut Apps, number: u32, step: &Step) {
    match step {
        Step::Install(name, size) => {
            let version = Version {
                component: component(*size, number),
                mark: Mark::None,
                number,
            };
            apps.insert((*name).to_owned(), version);
        }
        Step::Mark(name, mark) => {
            if let Some(app) = apps.get_mut(*name) {
                app.mark = *mark;
            }
        }
        Step::Remove(name) => drop(apps.remove(*name)),
    }
}
