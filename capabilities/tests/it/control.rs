//! Frames and messages.

use vyoma_capabilities::control::{
    AppStatus, ControlError, ErrorKind, FrameKind, MAX_FRAME, MAX_FRAME_BODY, Request, Response,
    decode_header, encode_header,
};
use vyoma_capabilities::lifecycle::{Ending, Phase};

#[test]
fn a_header_counts_the_kind_byte_and_decodes_to_what_it_was_made_from() {
    assert_eq!(encode_header(FrameKind::Json, 9), Some([10, 0, 0, 0, 0]));
    assert_eq!(
        encode_header(FrameKind::Bytes, MAX_FRAME_BODY),
        Some([0, 0, 4, 0, 1])
    );
    assert_eq!(encode_header(FrameKind::Bytes, MAX_FRAME), None);
    for body in [0, 1, 255, 256, 65_535, MAX_FRAME_BODY] {
        for kind in [FrameKind::Json, FrameKind::Bytes] {
            assert_eq!(
                decode_header(encode_header(kind, body).unwrap()),
                Ok((kind, body))
            );
        }
    }
}

#[test]
fn a_header_that_makes_no_sense_is_a_protocol_error() {
    for (header, said) in [
        (
            [0, 0, 0, 0, 0],
            "frame length: found 0; expected 1 to 262144",
        ),
        (
            [1, 0, 4, 0, 0],
            "frame length: found 262145; expected 1 to 262144",
        ),
        (
            [255, 255, 255, 255, 1],
            "frame length: found 4294967295; expected 1 to 262144",
        ),
        (
            [1, 0, 0, 0, 2],
            "frame kind: found 2; expected 0 (JSON) or 1 (bytes)",
        ),
    ] {
        let error = decode_header(header).unwrap_err();
        assert_eq!(
            (error.kind, error.to_string().as_str()),
            (ErrorKind::Protocol, said)
        );
    }
}

#[test]
fn messages_travel_as_externally_tagged_json() {
    let hello = Request::Hello { protocol: 1 };
    assert_eq!(
        serde_json::to_string(&hello).unwrap(),
        r#"{"Hello":{"protocol":1}}"#
    );
    assert_eq!(serde_json::to_string(&Request::Ps).unwrap(), r#""Ps""#);
    let refused = Response::Error(ControlError {
        kind: ErrorKind::NoSuchApp,
        message: String::from("no app x"),
    });
    assert_eq!(
        serde_json::to_string(&refused).unwrap(),
        r#"{"Error":{"kind":"NoSuchApp","message":"no app x"}}"#
    );
    let status = Response::Apps(vec![AppStatus {
        name: String::from("a"),
        version: String::from("1"),
        sha256: "0".repeat(64),
        phase: Phase::Backoff,
        last_ending: Some(Ending::Trapped(String::from("unreachable executed"))),
        restarts: 2,
        pid: None,
        uptime_ms: Some(7),
        pss_kb: None,
        cpu_ms: Some(1),
        host_calls: 3,
        dropped_lines: 0,
        unavailable: vec![String::from("gpio")],
        execution: None,
        versions: None,
    }]);
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), status);
}
