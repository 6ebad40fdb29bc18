//! The conversation: what each request does, and what bad ones get.

use vyoma_capabilities::control::{
    AppStatus, ErrorKind, LogLine, PROTOCOL, Request, Response, Stream,
};
use vyoma_capabilities::hex;
use vyoma_capabilities::lifecycle::Phase;
use vyoma_capabilities::link::{Caller, Kind, MAX_FRAME, Receiver, VERSION};
use vyoma_mcu_core::session::{MAX_REQUEST, Power, Session};
use vyoma_mcu_core::store::Store;

use crate::operator::Operator;
use crate::played::Played;
use crate::power::{component, install, manifest};

const KIB: usize = 1024;

/// A device with apps of these names, all of version 1 and 3000 bytes.
pub(crate) fn device(apps: &[&str]) -> Played {
    let mut played = Played::new(128 * KIB);
    for app in apps {
        install(&mut played.store, app, 1, &component(3000, 1)).unwrap();
    }
    let mut played = Played::with(Store::open(played.store.into_flash()));
    played.admits = Some(|_| Ok(Vec::new()));
    played
}

/// An announcement of `bytes` as the component of `app`, version 2.
pub(crate) fn announcement(app: &str, bytes: &[u8]) -> Request {
    use sha2::Digest as _;
    Request::InstallCompact {
        manifest: manifest(app, 2),
        component_size: bytes.len() as u64,
        sha256: hex::encode(&sha2::Sha256::digest(bytes).into()),
    }
}

#[track_caller]
pub(crate) fn error(response: Response) -> (ErrorKind, String) {
    match response {
        Response::Error(error) => {
            assert!(!error.message.contains('\n'));
            (error.kind, error.message)
        }
        other => panic!("expected an error, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn apps(response: Response) -> Vec<AppStatus> {
    match response {
        Response::Apps(apps) => apps,
        other => panic!("expected apps, got {other:?}"),
    }
}

fn texts(responses: Vec<Response>) -> Vec<String> {
    responses
        .into_iter()
        .map(|response| match response {
            Response::LogLine(line) => line.text,
            Response::Event(event) => event.detail,
            other => panic!("expected lines, got {other:?}"),
        })
        .collect()
}

fn logs(app: Option<&str>, follow: bool, since_ms: Option<u64>, tail: Option<u32>) -> Request {
    Request::Logs {
        app: app.map(str::to_owned),
        follow,
        since_ms,
        previous: false,
        tail,
    }
}

pub(crate) fn stop(app: &str) -> Request {
    Request::Stop { app: app.into() }
}

#[test]
fn the_greeting_names_version_and_platform() {
    let mut operator = Operator::greeted(device(&[]));
    assert_eq!(
        operator.call(&Request::Hello { protocol: PROTOCOL }),
        Response::Hello {
            protocol: PROTOCOL,
            version: "0.1.0".into(),
            platform: "mcu-minimal".into()
        }
    );
    let (kind, message) = error(operator.call(&Request::Hello { protocol: 99 }));
    assert_eq!(kind, ErrorKind::Protocol);
    assert!(message.contains("found 99; expected 1"), "{message}");
}

#[test]
fn a_client_of_another_line_version_is_told_ours_and_gets_no_session() {
    let mut operator = Operator::new(device(&[]));
    let frame = vyoma_capabilities::link::Frame {
        kind: Kind::Open,
        session: 3,
        sequence: 0,
        body: &[VERSION + 1],
    };
    let mut buffer = [0; MAX_FRAME];
    let bytes = vyoma_capabilities::link::encode(&frame, &mut buffer).to_vec();
    let back = operator.raw(&bytes);
    let mut receiver = Receiver::new();
    let answer = back.iter().find_map(|byte| {
        receiver
            .push(*byte)
            .map(|frame| (frame.kind, frame.body.to_vec()))
    });
    let (kind, body) = answer.unwrap();
    assert_eq!((kind, body[0]), (Kind::Opened, VERSION));
    let mut caller = Caller::new(3);
    let bytes = caller.next(Kind::Next, &[], &mut buffer).to_vec();
    let back = operator.raw(&bytes);
    assert_eq!(back[2], Kind::Lost.code());
}

#[test]
fn nothing_is_done_before_hello() {
    let mut operator = Operator::new(device(&["a"]));
    let mut buffer = [0; MAX_FRAME];
    let open = Caller::new(0).open(&mut buffer).to_vec();
    operator.raw(&open);
    let (kind, message) = error(operator.call(&stop("a")));
    assert_eq!(kind, ErrorKind::Protocol);
    assert!(message.contains("expected Hello first"), "{message}");
    assert_eq!(operator.device.phases["a"], Phase::Running);
}

#[test]
fn ps_of_all_apps_goes_over_several_frames() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut operator = Operator::greeted(device(&names));
    let before = operator.sent;
    let apps = apps(operator.call(&Request::Ps));
    assert!(operator.sent - before > 2, "it did not take one frame");
    assert_eq!(apps.iter().map(|app| &*app.name).collect::<Vec<_>>(), names);
    assert!(apps.iter().all(|app| app.phase == Phase::Running));
    assert_eq!(apps[0].sha256.len(), 64);
    let info = operator.call(&Request::Info);
    assert!(matches!(info, Response::Info(info) if info.apps == 8 && info.max_apps == 3));
}

#[test]
fn a_device_without_apps_says_so() {
    let mut operator = Operator::greeted(device(&[]));
    assert_eq!(operator.call(&Request::Ps), Response::Apps(Vec::new()));
}

#[test]
fn logs_are_of_all_or_one_app_limited_by_time_and_number() {
    let mut operator = Operator::greeted(device(&["a", "b"]));
    for number in 0..6 {
        operator.device.now_ms = number * 1000;
        operator.device.prints("a", &format!("a{number}"));
        operator.device.prints("b", &format!("b{number}"));
    }
    operator.now_ms = 6000;
    let mut said = |request| texts(operator.stream(&request));
    assert_eq!(said(logs(None, false, None, None)).len(), 12);
    assert_eq!(said(logs(Some("a"), false, None, Some(2))), ["a4", "a5"]);
    assert_eq!(said(logs(Some("b"), false, Some(1500), None)), ["b5"]);
    assert_eq!(said(logs(None, false, None, Some(0))), [""; 0]);
    assert_eq!(said(logs(None, false, None, Some(3))), ["b4", "a5", "b5"]);
    let (kind, message) = error(operator.call(&logs(Some("x"), false, None, None)));
    assert_eq!(kind, ErrorKind::NoSuchApp);
    assert_eq!(message, "no app \"x\"; expected one of: a, b");
    let mut previous = logs(None, false, None, None);
    if let Request::Logs { previous, .. } = &mut previous {
        *previous = true;
    }
    let (kind, message) = error(operator.call(&previous));
    assert_eq!(kind, ErrorKind::State);
    assert!(message.contains("--previous"), "{message}");
}

#[test]
fn long_logs_come_whole_and_in_order() {
    let mut operator = Operator::greeted(device(&["a"]));
    // Lines longer than a frame, and short ones.
    let lines: Vec<String> = (0..5)
        .map(|number| format!("{number}{}", "x".repeat(number * 150)))
        .collect();
    for line in &lines {
        operator.device.prints("a", line);
    }
    let said = texts(operator.stream(&logs(None, false, None, None)));
    // The ring of 2048 bytes cuts at a quarter.
    let cut: Vec<&str> = lines
        .iter()
        .map(|line| &line[..line.len().min(512)])
        .collect();
    assert_eq!(said, cut);
}

#[test]
fn a_follower_gets_lines_as_they_come_until_it_asks_something_else() {
    let mut operator = Operator::greeted(device(&["a"]));
    operator.device.prints("a", "before");
    operator.ask(&logs(Some("a"), true, None, None)).unwrap();
    assert_eq!(texts(vec![operator.response().unwrap()]), ["before"]);
    assert_eq!(operator.exchange(Kind::Next, &[]), Some(Kind::Wait));
    operator.device.prints("b", "another's");
    operator.device.prints("a", "one");
    operator.device.prints("a", "two");
    assert_eq!(operator.exchange(Kind::Next, &[]), Some(Kind::Answer));
    assert_eq!(texts(vec![operator.message().unwrap()]), ["one"]);
    assert_eq!(texts(vec![operator.message().unwrap()]), ["two"]);
    assert_eq!(operator.call(&stop("a")), Response::Done);
    operator.device.prints("a", "three");
    assert_eq!(operator.exchange(Kind::Next, &[]), Some(Kind::Wait));
}

#[test]
fn a_slow_follower_is_told_how_many_lines_it_lost() {
    let mut operator = Operator::greeted(device(&["a"]));
    operator.ask(&logs(Some("a"), true, None, None)).unwrap();
    for number in 0..300 {
        operator.device.prints("a", &format!("line {number}"));
    }
    let Some(Response::LogLine(LogLine { stream, text, .. })) = operator.response() else {
        panic!("expected a line");
    };
    assert_eq!(stream, Stream::System);
    let lost: usize = text.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(
        texts(vec![operator.response().unwrap()]),
        [format!("line {lost}")]
    );
}

#[test]
fn events_are_sent() {
    let mut operator = Operator::greeted(device(&["a", "b"]));
    let events = operator.stream(&Request::Events { follow: false });
    assert_eq!(texts(events), ["by hand", "by hand"]);
}

#[test]
fn a_stopped_app_stays_stopped_over_a_boot_and_start_brings_it_back() {
    let mut operator = Operator::greeted(device(&["a"]));
    operator.device.slowness = 5;
    assert_eq!(operator.call(&stop("a")), Response::Done);
    assert_eq!(operator.device.phases["a"], Phase::Stopped);
    let rebooted = Played::with(Store::open(operator.device.store.flash().clone()));
    assert_eq!(rebooted.phases["a"], Phase::Stopped);
    let start = Request::Start { app: "a".into() };
    assert_eq!(operator.call(&start), Response::Done);
    assert_eq!(error(operator.call(&start)).0, ErrorKind::State);
    let restart = Request::Restart { app: "a".into() };
    assert_eq!(operator.call(&restart), Response::Done);
    assert_eq!(operator.device.starts["a"], 3, "boot, start, restart");
    let rebooted = Played::with(Store::open(operator.device.store.flash().clone()));
    assert_eq!(rebooted.phases["a"], Phase::Running);
    for request in [stop("x"), Request::Start { app: "x".into() }] {
        assert_eq!(error(operator.call(&request)).0, ErrorKind::NoSuchApp);
    }
}

#[test]
fn a_removed_app_is_gone_once_it_has_ended() {
    let mut operator = Operator::greeted(device(&["a", "b"]));
    operator.device.slowness = 3;
    let remove = Request::Remove {
        app: "a".into(),
        keep_data: false,
    };
    assert_eq!(operator.ask(&remove), Some(Kind::Wait));
    assert!(operator.device.store.find("a").is_some());
    assert_eq!(operator.response(), Some(Response::Done));
    assert!(operator.device.store.find("a").is_none());
    assert!(!operator.device.phases.contains_key("a"));
    assert_eq!(error(operator.call(&remove)).0, ErrorKind::NoSuchApp);
}

#[test]
fn text_is_sent_to_an_app_and_too_much_of_it_is_refused_with_the_number() {
    let mut operator = Operator::greeted(device(&["a"]));
    let send = |text: &str| Request::Send {
        app: "a".into(),
        text: text.into(),
        end: false,
    };
    let long = "x".repeat(MAX_REQUEST - 20);
    assert_eq!(operator.call(&send("hello\n")), Response::Done);
    assert_eq!(operator.call(&send(&long)), Response::Done);
    assert_eq!(operator.device.input["a"], format!("hello\n{long}"));
    for length in [MAX_REQUEST, 10 * MAX_REQUEST] {
        let (kind, message) = error(operator.call(&send(&"x".repeat(length))));
        assert_eq!(kind, ErrorKind::Limit);
        assert!(message.contains("more than 1152 bytes"), "{message}");
    }
}

#[test]
fn what_only_a_daemon_on_linux_does_is_refused_with_what_a_microcontroller_lacks() {
    let mut operator = Operator::greeted(device(&["a"]));
    let app = || String::from("a");
    for request in [
        Request::Caps { app: app() },
        Request::Diagnose { logs: true },
        Request::Kept {
            sha256s: vec![app()],
        },
        Request::Rollback { app: app() },
        Request::Keys,
        Request::RequireSignatures { on: true },
    ] {
        let (kind, message) = error(operator.call(&request));
        assert_eq!(kind, ErrorKind::State);
        assert!(message.starts_with("not on a microcontroller"), "{message}");
    }
    assert!(matches!(operator.call(&Request::Ps), Response::Apps(apps) if apps.len() == 1));
}

#[test]
fn the_device_ends_when_told() {
    let mut operator = Operator::greeted(device(&[]));
    assert_eq!(operator.call(&Request::Reboot), Response::Done);
    assert_eq!(operator.device.power, Some(Power::Reboot));
    assert_eq!(operator.call(&Request::Shutdown), Response::Done);
    assert_eq!(operator.device.power, Some(Power::Off));
}

#[test]
fn a_session_is_small() {
    // On a 32-bit microcontroller it is a little less.
    assert!(size_of::<Session>() < 1400, "{}", size_of::<Session>());
}
