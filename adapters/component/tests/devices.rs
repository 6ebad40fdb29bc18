//! What holds of devices whatever the platform: versions, edges, rates, ranges, and bounds before a platform is asked.

mod common;

use common::Bench;
use vyoma_component::host::{self, Interface, Platform};
use vyoma_component::services::{
    DeviceError, DigitalFlags, Edge, EdgeLog, PinMode, PinSetup, PinState, PullResistor, Range,
    UartConfig,
};
use vyoma_component::wasi::known::Known;

fn known(interface: &str) -> bool {
    host::interface::<Known>(interface).is_some()
}

#[test]
fn a_draft_is_compatible_with_itself_only() {
    assert!(known("wasi:i2c/i2c@0.2.0-draft"));
    for other in [
        "0.2.0",
        "0.2.1",
        "0.2.0-draft2",
        "0.2.0-rc",
        "0.2.0-draft.1",
        "0.3.0-draft",
    ] {
        assert!(!known(&format!("wasi:i2c/i2c@{other}")), "{other}");
        assert!(!known(&format!("wasi:spi/spi@{other}")), "{other}");
    }
    assert!(!known("wasi:io/streams@0.2.0-draft"));
}

#[test]
fn releases_are_compatible_when_semver_says_so() {
    for version in ["0.2.0", "0.2.6", "0.2.12", "0.2.99"] {
        assert!(known(&format!("wasi:gpio/digital@{version}")), "{version}");
        assert!(known(&format!("wasi:io/streams@{version}")), "{version}");
        assert!(!known(&format!("vyoma:uart/uart@{version}")), "{version}");
    }
    for version in ["0.1.0", "0.1.7"] {
        assert!(known(&format!("vyoma:uart/uart@{version}")), "{version}");
    }
    for version in ["", "0.2", "0.2.", "1.2.0", "0.20.0", "0.2.x", "00.2.0"] {
        assert!(
            !known(&format!("wasi:gpio/digital@{version}")),
            "{version:?}"
        );
    }
    assert!(!known("wasi:gpio/digital"));
}

#[test]
fn no_interface_is_there_twice() {
    let name = |interface: &Interface<Known>| interface.name.split('@').next().unwrap().to_owned();
    let mut names: Vec<_> = Known::interfaces().map(name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(Bench::interfaces().count() < count);
}

fn edge(state: PinState, at: u64) -> Edge {
    Edge { state, at }
}

#[test]
fn an_edge_that_nobody_was_told_makes_the_next_pollable_ready_and_one_that_was_told_does_not() {
    let mut log = EdgeLog::new(8);
    let first = log.mark(PinState::Active);
    assert!(!log.passed(PinState::Active, first));
    log.record(edge(PinState::Active, 1));
    assert!(!log.passed(PinState::Inactive, log.mark(PinState::Inactive)));
    // Two more that come before anyone looks: told together.
    log.record(edge(PinState::Active, 2));
    assert!(log.passed(PinState::Active, first));
    assert!(log.passed(PinState::Active, first), "and it stays ready");
    let second = log.mark(PinState::Active);
    assert!(!log.passed(PinState::Active, second));
    // Between two waits.
    log.record(edge(PinState::Active, 3));
    let third = log.mark(PinState::Active);
    assert!(log.passed(PinState::Active, third));
}

#[test]
fn edges_are_taken_in_order_and_the_oldest_are_lost_and_counted() {
    let mut log = EdgeLog::new(3);
    for at in 0..5 {
        log.record(edge(PinState::from(at % 2 == 0), at));
    }
    log.lose(10);
    assert_eq!(log.lost(), 12);
    let taken: Vec<u64> = std::iter::from_fn(|| log.take())
        .map(|edge| edge.at)
        .collect();
    assert_eq!(taken, [2, 3, 4]);
    assert_eq!(log.lost(), 12);
}

#[test]
fn an_edge_that_was_taken_is_one_that_the_guest_knows_of() {
    let mut log = EdgeLog::new(8);
    log.record(edge(PinState::Active, 1));
    log.record(edge(PinState::Active, 2));
    log.take();
    let mark = log.mark(PinState::Active);
    assert!(
        log.passed(PinState::Active, mark),
        "the second is not taken yet"
    );
    let mut log = EdgeLog::new(8);
    log.record(edge(PinState::Active, 1));
    log.take();
    let mark = log.mark(PinState::Active);
    assert!(!log.passed(PinState::Active, mark));
    assert!(!log.came(PinState::Inactive, log.mark_now(PinState::Inactive)));
}

#[test]
fn counts_of_edges_go_round_without_losing_one() {
    let mut log = EdgeLog::new(1);
    for at in 0..100_000 {
        let mark = log.mark(PinState::Active);
        log.record(edge(PinState::Active, at));
        assert!(log.passed(PinState::Active, mark));
        log.take();
    }
    assert_eq!(log.lost(), 0);
}

#[test]
fn flags_of_a_pin_that_contradict_each_other_set_up_none() {
    let setup = |flags: u8| PinSetup::new(PinMode::In, DigitalFlags(flags));
    let plain = setup(0).unwrap();
    assert_eq!(Some(plain), setup(DigitalFlags::ACTIVE_HIGH.0));
    assert_eq!(plain.pull, None);
    let up = setup(DigitalFlags::ACTIVE_LOW.0 | DigitalFlags::PULL_UP.0).unwrap();
    assert_eq!(up.pull, Some(PullResistor::PullUp));
    assert_ne!(up.active, plain.active);
    assert_eq!(setup(0b0011), None);
    assert_eq!(setup(0b1100), None);
}

#[test]
fn a_serial_port_has_the_declared_rate_and_nothing_impossible() {
    let ask = |baud, data_bits| UartConfig {
        data_bits,
        ..UartConfig::plain(baud)
    };
    let granted = UartConfig::granted;
    assert_eq!(granted(None, None), Ok(UartConfig::plain(115_200)));
    assert_eq!(granted(None, Some(9600)), Ok(UartConfig::plain(9600)));
    assert_eq!(granted(Some(ask(9600, 7)), Some(9600)), Ok(ask(9600, 7)));
    assert_eq!(
        granted(Some(ask(300, 8)), Some(9600)),
        Err(DeviceError::NotAllowed)
    );
    assert_eq!(
        granted(Some(ask(300, 9)), None),
        Err(DeviceError::InvalidArgument)
    );
    assert_eq!(
        granted(Some(ask(0, 8)), None),
        Err(DeviceError::InvalidArgument)
    );
}

#[test]
fn samples_become_microvolts_without_overflow() {
    let range = Range {
        max: 4095,
        microvolts: 3_300_000,
    };
    assert_eq!(range.to_microvolts(0), 0);
    assert_eq!(range.to_microvolts(4095), 3_300_000);
    let wide = Range {
        max: 1,
        microvolts: u32::MAX,
    };
    assert_eq!(wide.to_microvolts(u32::MAX), u32::MAX);
    let none = Range {
        max: 0,
        microvolts: 5,
    };
    assert_eq!(none.to_microvolts(3), 15);
}
