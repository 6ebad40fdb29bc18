//! Components that someone changed, on their way through the device: into flash, read there, admitted or refused.

use proptest::collection::vec;
use proptest::prelude::*;
use vyoma_capabilities::control::ErrorKind;
use vyoma_capabilities::manifest::compact;
use vyoma_component::host;
use vyoma_component::program::Program;
use vyoma_component::wasi::known::Known;
use vyoma_mcu_core::flash::Flash as _;
use vyoma_mcu_core::session::Device as _;

use crate::fixtures;
use crate::played::Played;
use crate::power::manifest;

/// One change: where, what is done there, and with which byte.
type Change = (prop::sample::Index, u8, u8);

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, what, byte) in changes {
        let at = at.index(bytes.len());
        match what {
            0 => bytes[at] = *byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.insert(at, *byte),
            // Sometimes a whole part, so that sections end before their length says.
            3 => drop(bytes.splice(at..(at + usize::from(*byte)).min(bytes.len()), [])),
            _ => drop(bytes.remove(at)),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

/// As the firmware does: out of flash, reduced, its needs counted, its imports looked up.
fn admitted(played: &mut Played, bytes: &[u8]) -> bool {
    let manifest_bytes = manifest("a", 1);
    let mut upload = played
        .store
        .begin("a", &manifest_bytes, bytes.len() as u32)
        .unwrap();
    for piece in bytes.chunks(512) {
        played.store.write(&mut upload, piece).unwrap();
    }
    let staged = played.store.finish(upload).unwrap();
    let place = staged.entry().component();
    let parsed = compact::decode(&manifest_bytes).unwrap();
    if let Err(error) = played.admit(&parsed, place) {
        assert!(matches!(error.kind, ErrorKind::Invalid | ErrorKind::Limit));
        assert!(error.message.lines().count() == 1, "{}", error.message);
        return false;
    }
    let flash = played.store.flash();
    let bytes = flash.view(place.offset, place.length).unwrap();
    let program = Program::of(bytes).unwrap();
    for import in &program.imports {
        let _ = host::link::<Known>(import);
    }
    true
}

/// Ten thousand: 500 cases of 20 components.
#[test]
fn ten_thousand_changed_components_are_admitted_or_refused() {
    let components = [fixtures::plain(), fixtures::preview1()];
    let played = std::cell::RefCell::new(Played::new(64 * 1024));
    assert!(admitted(&mut played.borrow_mut(), &components[0]));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(500)
    });
    let change = (any::<prop::sample::Index>(), 0..5_u8, any::<u8>());
    let counts = std::cell::Cell::new((0, 0));
    runner
        .run(
            &vec((0..components.len() * 4, vec(change, 1..4)), 20),
            |variants| {
                for (which, changes) in variants {
                    // The shape that microcontrollers run comes up most.
                    let component = &components[usize::from(which == 0)];
                    let bytes = changed(component, &changes);
                    let (yes, no) = counts.get();
                    counts.set(if admitted(&mut played.borrow_mut(), &bytes) {
                        (yes + 1, no)
                    } else {
                        (yes, no + 1)
                    });
                }
                Ok(())
            },
        )
        .unwrap();
    let (yes, no) = counts.get();
    assert_eq!(yes + no, 10_000);
    assert!(
        yes > 500 && no > 500,
        "{yes} admitted, {no} refused: one of the two was not tested"
    );
}
