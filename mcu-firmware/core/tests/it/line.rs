//! The line loses, changes and adds bytes, and nothing comes of it but time.

use proptest::collection::vec;
use proptest::prelude::*;
use vyoma_capabilities::control::{Request, Response};
use vyoma_capabilities::link::{Frame, Kind, MAX_BODY, MAX_FRAME, VERSION, encode};

use crate::operator::Operator;
use crate::power::{component, found};
use crate::session::{announcement, device};

/// Everything that an operator does: how often the app was restarted, and what is installed, show what was done.
fn work(operator: &mut Operator) -> Option<()> {
    let bytes = component(2500, 3);
    operator.ask(&Request::Restart { app: "a".into() })?;
    assert_eq!(operator.response()?, Response::Done);
    if operator.ask(&announcement("b", &bytes))? != Kind::Taken {
        return None;
    }
    operator.upload(&bytes, MAX_BODY)?;
    assert!(matches!(
        operator.response()?,
        Response::Installed {
            replaced: false,
            ..
        }
    ));
    operator.ask(&Request::Ps)?;
    assert!(matches!(operator.response()?, Response::Apps(apps) if apps.len() == 2));
    Some(())
}

fn assert_done_once(operator: &Operator) {
    assert_eq!(operator.device.starts["a"], 2, "at boot and once more");
    assert_eq!(operator.device.starts["b"], 1);
    assert_eq!(
        found(&operator.device.store)["b"].component,
        component(2500, 3)
    );
}

#[test]
fn whichever_transmission_is_lost_or_garbled_everything_is_done_once() {
    let mut clean = Operator::greeted(device(&["a"]));
    work(&mut clean).unwrap();
    assert_done_once(&clean);
    for lost in 0..clean.sent {
        for garbled in [false, true] {
            let operator = Operator::new(device(&["a"]));
            let mut operator = operator.over(move |_, number, bytes| {
                if number == lost && garbled {
                    let middle = bytes.len() / 2;
                    bytes.drain(middle..middle + usize::from(!bytes.is_empty()));
                } else if number == lost {
                    bytes.clear();
                }
            });
            operator.open(7);
            work(&mut operator).unwrap();
            assert_done_once(&operator);
            assert_eq!(
                operator.sent,
                clean.sent + 2,
                "one frame was repeated, with its answer"
            );
        }
    }
}

#[test]
fn frames_that_come_twice_are_done_once() {
    let mut operator = Operator::new(device(&["a"])).over(|there, _, bytes| {
        if there {
            bytes.extend(bytes.clone());
        }
    });
    operator.open(7);
    work(&mut operator).unwrap();
    assert_done_once(&operator);
}

#[test]
fn text_of_a_console_on_the_same_line_does_no_harm() {
    let mut operator = Operator::new(device(&["a"])).over(|_, number, bytes| {
        let text = format!("[hello] tick {number} \x1b[0m\r\n");
        bytes.splice(0..0, text.bytes());
        bytes.extend(text.bytes());
    });
    operator.open(7);
    work(&mut operator).unwrap();
    assert_done_once(&operator);
}

#[test]
fn when_the_cable_is_pulled_the_old_apps_are_there_and_it_can_be_repeated() {
    let mut clean = Operator::greeted(device(&["a"]));
    work(&mut clean).unwrap();
    // The greeting takes the first four transmissions.
    for pulled in 4..clean.sent {
        let mut operator = Operator::new(device(&["a"])).over(move |_, number, bytes| {
            if (pulled..pulled + 6).contains(&number) {
                bytes.clear();
            }
        });
        operator.patience = 3;
        operator.open(7);
        assert_eq!(work(&mut operator), None, "pulled at {pulled}");
        let apps = found(&operator.device.store);
        assert!(apps.len() == 1 || apps["b"].component == component(2500, 3));
        // Plugged in again.
        operator.open(8);
        let bytes = component(2500, 3);
        operator.ask(&announcement("b", &bytes)).unwrap();
        operator.upload(&bytes, MAX_BODY).unwrap();
        assert!(matches!(
            operator.response(),
            Some(Response::Installed { .. })
        ));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_bad_line_costs_time_only(damage in vec((0..3_u8, any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        // Every third transmission is damaged, each in its own way.
        let mut operator = Operator::new(device(&["a"])).over(move |_, number, bytes| {
            let (what, at, byte) = &damage[number as usize / 3 % damage.len()];
            if number % 3 != 0 || bytes.is_empty() {
                return;
            }
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = *byte,
                1 => bytes.insert(at, *byte),
                _ => drop(bytes.remove(at)),
            }
        });
        operator.open(7);
        work(&mut operator).unwrap();
        assert_done_once(&operator);
    }

    #[test]
    fn any_frames_are_answered_or_not_and_the_next_client_is_served(
        frames in vec((any::<u8>(), 6..9_u16, 0..4_u8, vec(any::<u8>(), 0..60)), 0..30),
        noise in vec(any::<u8>(), 0..600),
    ) {
        let kinds = [Kind::Open, Kind::Part, Kind::Last, Kind::Upload, Kind::Next, Kind::Wait];
        let mut operator = Operator::new(device(&["a"]));
        let mut sequence = 0_u8;
        for (kind, session, step, body) in &frames {
            // Mostly frames that fit into a session, so that they are not just out of order.
            sequence = if *step == 0 { 0 } else { sequence.wrapping_add(1) };
            let kind = if *step == 0 { Kind::Open } else { kinds[usize::from(*kind) % kinds.len()] };
            let mut body = body.clone();
            if kind == Kind::Open {
                body.insert(0, VERSION);
            }
            let frame = Frame { kind, session: *session, sequence, body: &body };
            let bytes = encode(&frame, &mut [0; MAX_FRAME]).to_vec();
            let back = operator.raw(&bytes);
            prop_assert!(back.len() <= MAX_FRAME);
        }
        operator.raw(&noise);
        operator.open(7);
        work(&mut operator).unwrap();
    }

    #[test]
    fn any_request_is_answered_and_the_next_client_is_served(requests in vec(vec(any::<u8>(), 0..200), 1..10)) {
        let mut operator = Operator::greeted(device(&["a"]));
        for request in &requests {
            for piece in request.chunks(50) {
                operator.exchange(Kind::Part, piece).unwrap();
            }
            operator.exchange(Kind::Last, &[]).unwrap();
            if let Some(Kind::Lost) = operator.exchange(Kind::Next, &[]) {
                operator.open(8);
            }
        }
        operator.open(9);
        prop_assert!(matches!(operator.call(&Request::Ps), Response::Apps(_)));
    }
}
