//! The serial line: frames, messages in postcard, manifests in compact form.

use proptest::collection::vec;
use proptest::prelude::*;
use vyoma_capabilities::control::{
    DeviceEvent, ErrorKind, InstallOptions, LogLine, Request, Response, Stream,
};
use vyoma_capabilities::link::{
    APPS, Caller, EVENT, FOR_LINUX, Frame, INSTALL, Kind, LOG_LINE, MAX_BODY, MAX_FRAME, Receiver,
    decode_request, encode, encode_request, encode_response, take_response,
};
use vyoma_capabilities::manifest::compact::{self, MAX_COMPACT};
use vyoma_capabilities::manifest::{self, Manifest};

use crate::arbitrary;

const KINDS: [Kind; 10] = [
    Kind::Open,
    Kind::Part,
    Kind::Last,
    Kind::Upload,
    Kind::Next,
    Kind::Opened,
    Kind::Taken,
    Kind::Wait,
    Kind::Answer,
    Kind::Lost,
];

#[test]
fn what_a_microcontroller_is_not_asked_has_the_highest_numbers() {
    let number = |request: &Request| encode_request(request)[0];
    let compact = Request::InstallCompact {
        manifest: Vec::new(),
        component_size: 1,
        sha256: String::new(),
    };
    assert_eq!(number(&compact), FOR_LINUX - 1);
    let install = Request::Install {
        manifest: String::new(),
        component_size: 1,
        sha256: String::new(),
        ahead_of_time: None,
        options: InstallOptions::default(),
    };
    assert_eq!(number(&install), INSTALL);
    let app = String::from("a");
    assert_eq!(number(&Request::Caps { app }), FOR_LINUX);
    assert!(number(&Request::Keys) > FOR_LINUX);
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    encode(frame, &mut [0; MAX_FRAME]).to_vec()
}

/// The frames in `bytes`, as (kind, session, sequence, body).
fn received(receiver: &mut Receiver, bytes: &[u8]) -> Vec<(Kind, u16, u8, Vec<u8>)> {
    let mut frames = Vec::new();
    for byte in bytes {
        if let Some(frame) = receiver.push(*byte) {
            frames.push((
                frame.kind,
                frame.session,
                frame.sequence,
                frame.body.to_vec(),
            ));
        }
    }
    frames
}

fn any_frame() -> impl Strategy<Value = (Kind, u16, u8, Vec<u8>)> {
    // Bodies of one kind of byte are where COBS has its edges.
    let body = prop_oneof![
        vec(any::<u8>(), 0..=MAX_BODY),
        (any::<u8>(), 0..=MAX_BODY).prop_map(|(byte, length)| vec![byte; length]),
        (
            prop::sample::select(vec![253_usize, 254, 255, 507, 508, 509, 510]),
            any::<bool>()
        )
            .prop_map(|(length, zero)| {
                let mut body = vec![7; length];
                body.extend(zero.then_some(0));
                body
            }),
    ];
    (
        prop::sample::select(KINDS.to_vec()),
        any::<u16>(),
        any::<u8>(),
        body,
    )
}

#[test]
fn a_frame_looks_as_the_documentation_says() {
    let frame = Frame {
        kind: Kind::Next,
        session: 0x0102,
        sequence: 9,
        body: &[],
    };
    // The CRC-32 of 05 02 01 09 is zlib's: 75d972a5.
    assert_eq!(
        encoded(&frame),
        [0, 9, 5, 2, 1, 9, 0xa5, 0x72, 0xd9, 0x75, 0]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn frames_arrive_as_they_were_sent_whatever_stands_between_them(
        frames in vec(any_frame(), 1..4),
        noise in vec(vec(any::<u8>(), 0..700), 4),
    ) {
        let mut line = Vec::new();
        for ((kind, session, sequence, body), noise) in frames.iter().zip(&noise) {
            line.extend(noise);
            let frame = encoded(&Frame { kind: *kind, session: *session, sequence: *sequence, body });
            prop_assert!(frame.len() <= MAX_FRAME);
            prop_assert!(!frame[1..frame.len() - 1].contains(&0));
            line.extend(frame);
        }
        prop_assert_eq!(received(&mut Receiver::new(), &line), frames);
    }

    #[test]
    fn a_frame_with_a_wrong_byte_or_a_missing_one_is_skipped_and_the_next_arrives(
        first in any_frame(),
        second in any_frame(),
        at in any::<prop::sample::Index>(),
        change in 0..=255_u8,
    ) {
        let frame = |(kind, session, sequence, body): &(Kind, u16, u8, Vec<u8>)| {
            encoded(&Frame { kind: *kind, session: *session, sequence: *sequence, body })
        };
        let mut line = frame(&first);
        // Not the zeros around it: without them it would run into its neighbours, which the next test is about.
        let at = 1 + at.index(line.len() - 2);
        if change == 0 {
            line.remove(at);
        } else {
            line[at] ^= change;
        }
        let next = frame(&second);
        line.extend(&next);
        let arrived = received(&mut Receiver::new(), &line);
        prop_assert_eq!(arrived, vec![second]);
    }

    #[test]
    fn a_frame_that_breaks_off_costs_no_other_frame(first in any_frame(), second in any_frame(), at in any::<prop::sample::Index>()) {
        let frame = |(kind, session, sequence, body): &(Kind, u16, u8, Vec<u8>)| {
            encoded(&Frame { kind: *kind, session: *session, sequence: *sequence, body })
        };
        let mut line = frame(&first);
        line.truncate(at.index(line.len() - 1));
        line.extend(frame(&second));
        prop_assert_eq!(received(&mut Receiver::new(), &line), vec![second]);
    }

    #[test]
    fn a_request_is_the_same_in_json_and_in_postcard(request in arbitrary::request()) {
        let json = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Request>(&json).unwrap(), &request);
        prop_assert_eq!(&decode_request(&encode_request(&request)).unwrap(), &request);
    }

    #[test]
    fn a_response_is_the_same_in_json_and_in_postcard(response in arbitrary::response()) {
        let json = serde_json::to_vec(&response).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Response>(&json).unwrap(), &response);
        let bytes = encode_response(&response);
        prop_assert_eq!(take_response(&bytes).unwrap(), Some((response, bytes.len())));
    }

    #[test]
    fn responses_in_a_row_are_taken_one_by_one_and_only_when_whole(
        responses in vec(arbitrary::response(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let parts: Vec<Vec<u8>> = responses.iter().map(encode_response).collect();
        let all = parts.concat();
        let mut rest = &all[..];
        for response in &responses {
            let (taken, length) = take_response(rest).unwrap().expect("whole");
            prop_assert_eq!(&taken, response);
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
        let first = &parts[0];
        prop_assert_eq!(take_response(&first[..cut.index(first.len())]).unwrap(), None);
    }

    #[test]
    fn a_request_that_breaks_off_or_goes_on_is_refused(request in arbitrary::request(), cut in any::<prop::sample::Index>()) {
        let mut bytes = encode_request(&request);
        let broken = decode_request(&bytes[..cut.index(bytes.len())]).unwrap_err();
        prop_assert_eq!(broken.kind, ErrorKind::Protocol);
        bytes.push(0);
        prop_assert!(decode_request(&bytes).unwrap_err().message.contains("1 bytes after"));
    }

    #[test]
    fn a_manifest_in_compact_form_is_the_same(manifest in arbitrary::manifest()) {
        let bytes = compact::encode(&manifest).unwrap();
        prop_assert!(bytes.len() <= MAX_COMPACT);
        prop_assert_eq!(compact::decode(&bytes).unwrap(), manifest);
    }
}

/// Ten thousand: 500 manifests, each changed in 20 ways.
#[test]
fn ten_thousand_changed_compact_manifests_are_read_or_refused() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(500)
    });
    let changes = vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..6);
    let read = std::cell::Cell::new(0);
    runner
        .run(
            &(arbitrary::manifest(), vec(changes, 20)),
            |(manifest, variants)| {
                let good = compact::encode(&manifest).unwrap();
                for changes in variants {
                    let mut bytes = good.clone();
                    for (at, what, byte) in changes {
                        let at = at.index(bytes.len());
                        match what {
                            0 => bytes[at] = byte,
                            1 => bytes.insert(at, byte),
                            _ => drop(bytes.remove(at)),
                        }
                    }
                    if let Ok(manifest) = compact::decode(&bytes) {
                        // What is read is a manifest like any other.
                        read.set(read.get() + 1);
                        let again = compact::encode(&manifest).unwrap();
                        prop_assert_eq!(compact::decode(&again).unwrap(), manifest);
                    }
                }
                Ok(())
            },
        )
        .unwrap();
    assert!(
        read.get() > 100,
        "only {} could be read: what is behind the form was not tested",
        read.get()
    );
}

fn parsed(more: &str) -> Manifest {
    let text = format!("[app]\nname = \"a\"\nversion = \"1\"\nwasm = \"x/a.wasm\"\n{more}");
    manifest::parse("vyoma.toml", &text).unwrap()
}

#[test]
fn a_small_manifest_takes_few_bytes() {
    let manifest = parsed("[capabilities]\nstdio = true\n");
    assert!(compact::encode(&manifest).unwrap().len() < 32);
}

#[test]
fn what_a_microcontroller_can_not_hold_is_refused_with_the_number() {
    let args = format!("args = {:?}\n", vec!["x"; 17]);
    let error = compact::encode(&parsed(&args)).unwrap_err().to_string();
    assert_eq!(
        error,
        "app.args: found 17; a microcontroller takes at most 16"
    );
    let args = format!("args = {:?}\n", vec!["x".repeat(200); 8]);
    let error = compact::encode(&parsed(&args)).unwrap_err().to_string();
    assert!(
        error.contains("at most 1024") && error.contains("shorten"),
        "{error}"
    );
}

#[test]
fn a_compact_manifest_is_checked_like_a_text() {
    let good = parsed("[capabilities]\nuart = true\n");
    let refused = |change: fn(&mut Manifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        let bytes = compact::encode(&manifest).unwrap();
        compact::decode(&bytes).unwrap_err().to_string()
    };
    for (change, said) in [
        (
            (|m| m.app.name = String::from("../x")) as fn(&mut Manifest),
            "a name",
        ),
        (|m| m.app.name = String::from("supervisor"), "a name"),
        (|m| m.app.version = String::from("\x1b[2J"), "a version"),
        (|m| m.app.args = vec![String::from("a\0b")], "an argument"),
        (|m| m.capabilities.network_port = Some(0), "port 0"),
        (
            |m| m.capabilities.uart.as_mut().unwrap().baud = Some(1),
            "a serial port",
        ),
        (|m| m.resources.memory_kb = Some(1), "resources"),
    ] {
        let error = refused(change);
        assert!(
            error.contains(said) && error.contains("expected what vyomactl"),
            "{error}"
        );
    }
}

#[test]
fn lists_that_claim_to_be_endless_cost_no_memory() {
    // Name, version, no pin, policy, then a list of 2^32 - 1 arguments of which none is there.
    let mut bytes = vec![1, 1, b'a', 1, b'1', 0, 0];
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(compact::decode(&bytes).is_err());
}

#[test]
fn an_echo_is_no_answer() {
    let mut caller = Caller::new(77);
    let mut buffer = [0; MAX_FRAME];
    let echo = caller.next(Kind::Next, b"", &mut buffer).to_vec();
    let mut receiver = Receiver::new();
    let answered = |caller: &Caller, receiver: &mut Receiver, bytes: &[u8]| {
        bytes.iter().any(|byte| {
            receiver
                .push(*byte)
                .is_some_and(|frame| caller.is_answer(&frame))
        })
    };
    assert!(!answered(&caller, &mut receiver, &echo));
    let mut answer = Frame {
        kind: Kind::Wait,
        session: 77,
        sequence: 1,
        body: &[],
    };
    assert!(answered(&caller, &mut receiver, &encoded(&answer)));
    answer.sequence = 0;
    assert!(
        !answered(&caller, &mut receiver, &encoded(&answer)),
        "of an earlier frame"
    );
    answer.sequence = 1;
    answer.session = 78;
    assert!(
        !answered(&caller, &mut receiver, &encoded(&answer)),
        "of another client"
    );
}

/// A change of these bytes is a change of the line: it needs a new `link::VERSION`.
#[test]
fn messages_have_the_bytes_of_this_version() {
    assert_eq!(encode_request(&Request::Hello { protocol: 1 }), [0, 1]);
    assert_eq!(
        encode_request(&Request::Stop {
            app: String::from("ab")
        }),
        [7, 2, b'a', b'b']
    );
    let install = Request::InstallCompact {
        manifest: vec![1, 2],
        component_size: 300,
        sha256: String::from("00"),
    };
    assert_eq!(encode_request(&install), [13, 2, 1, 2, 172, 2, 2, 48, 48]);
    let line = Response::LogLine(LogLine {
        app: String::from("a"),
        time_ms: 5,
        stream: Stream::Err,
        text: String::from("x"),
    });
    assert_eq!(encode_response(&line), [LOG_LINE, 1, b'a', 5, 1, 1, b'x']);
    assert_eq!(encode_response(&Response::Apps(Vec::new())), [APPS, 0]);
    let event = Response::Event(DeviceEvent {
        time_ms: 5,
        app: None,
        kind: String::from("k"),
        detail: String::new(),
    });
    assert_eq!(encode_response(&event), [EVENT, 5, 0, 1, b'k', 0]);
    assert_eq!(encode_response(&Response::Done), [6]);
}

#[test]
fn the_compact_manifest_of_the_corpus_is_one() {
    let bytes = include_bytes!("../../fuzz/corpus/link/manifest.bin");
    compact::decode(bytes).unwrap();
}
