//! Lines and events in a fixed piece of memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vyoma_capabilities::control::{DeviceEvent, LogLine, Stream};
use vyoma_mcu_core::ring::{Event, Line, Ring};

fn ring(size: usize) -> Ring {
    Ring::new(vec![0; size].leak())
}

fn line<'a>(app: &'a str, text: &'a str) -> Line<'a> {
    Line {
        app,
        time_ms: 1234,
        stream: Stream::Err,
        text,
    }
}

fn read(ring: &Ring, number: u32) -> Option<LogLine> {
    let bytes: Vec<u8> = ring.record(number)?.bytes().collect();
    Some(postcard::from_bytes(&bytes).unwrap())
}

#[test]
fn a_record_is_the_message_that_it_is_sent_as() {
    let mut ring = ring(256);
    ring.line(&line("hello", "äöü"), |_| {});
    assert_eq!(
        read(&ring, 0),
        Some(LogLine {
            app: "hello".into(),
            time_ms: 1234,
            stream: Stream::Err,
            text: "äöü".into(),
        })
    );
    let record = ring.record(0).unwrap();
    assert!(record.is_of("hello") && !record.is_of("hell") && !record.is_of("hellos"));
    assert_eq!(record.line_time(), Some(1234));
    ring.event(&Event {
        time_ms: 5,
        app: Some("hello"),
        kind: "app-started",
        detail: "x",
    });
    let bytes: Vec<u8> = ring.record(1).unwrap().bytes().collect();
    assert_eq!(
        postcard::from_bytes::<DeviceEvent>(&bytes).unwrap(),
        DeviceEvent {
            time_ms: 5,
            app: Some("hello".into()),
            kind: "app-started".into(),
            detail: "x".into(),
        }
    );
    assert_eq!((ring.first(), ring.next()), (0, 2));
    assert!(ring.record(2).is_none());
}

#[test]
fn a_text_that_is_too_long_is_cut_at_a_character() {
    let mut ring = ring(400);
    ring.line(&line("a", &"ä".repeat(300)), |_| {});
    assert_eq!(read(&ring, 0).unwrap().text, "ä".repeat(50));
}

#[test]
fn memory_that_is_too_small_for_anything_holds_nothing() {
    for size in 0..40 {
        let mut ring = ring(size);
        for _ in 0..10 {
            ring.line(&line("a-long-name", "text"), |_| {});
        }
        let held = (ring.first()..ring.next()).filter_map(|number| read(&ring, number));
        assert!(held.count() <= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_newest_lines_are_there_whole_and_the_lost_ones_are_counted_by_app(
        lines in prop::collection::vec(("[a-z]{1,8}", ".{0,40}"), 1..60),
        size in 200..700_usize,
    ) {
        let mut ring = ring(size);
        let mut lost: BTreeMap<String, u32> = BTreeMap::new();
        for (app, text) in &lines {
            ring.line(&line(app, text), |app| *lost.entry(app.to_owned()).or_default() += 1);
        }
        prop_assert_eq!(ring.next() as usize, lines.len());
        let first = ring.first() as usize;
        for (number, (app, text)) in lines.iter().enumerate() {
            let found = read(&ring, number as u32);
            if number < first {
                prop_assert_eq!(found, None);
                let left = lost.get_mut(app).unwrap();
                *left -= 1;
            } else {
                let found = found.unwrap();
                prop_assert_eq!(&found.app, app);
                prop_assert!(text.starts_with(&found.text));
            }
        }
        prop_assert!(lost.values().all(|left| *left == 0));
        // It is full before it forgets.
        let used: usize = (ring.first()..ring.next()).map(|number| ring.record(number).unwrap().length() + 2).sum();
        prop_assert!(used <= size);
        prop_assert!(first == 0 || used + 300 > size);
    }
}
