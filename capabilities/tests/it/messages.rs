//! The seeds of the fuzz target `control` hold one request of every kind: a kind that is new does not compile here until it is
//! named, and is missing in the seeds until it has been put there (`VYOMA_WRITE_CORPUS=1 cargo test -p vyoma-capabilities`).

use vyoma_capabilities::control::sim::SimRequest;
use vyoma_capabilities::control::{
    FRAME_HEADER, FrameKind, InstallOptions, PROTOCOL, Request, Upload, decode_header,
    encode_header,
};

/// Where the seeds are.
const SEEDS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fuzz/corpus/control/requests.bin"
);

/// The kinds of a message: a name for each, and which one a message is.
macro_rules! kinds {
    ($type:ident: $($variant:ident),* $(,)?) => {
        const KINDS: &[&str] = &[$(stringify!($variant)),*];

        fn kind(of: &$type) -> &'static str {
            match of {
                $($type::$variant { .. } => stringify!($variant)),*
            }
        }
    };
}

kinds!(Request: Hello, Ps, Logs, Install, Send, Remove, Start, Stop, Restart, Events, Info, Shutdown, Reboot, InstallCompact, Caps,
    Diagnose, Kept, Rollback, Keys, Trust, Untrust, RequireSignatures, Sim);

fn one_of_each() -> Vec<Request> {
    let app = || "counter".to_owned();
    let sha256 = || "a".repeat(64);
    vec![
        Request::Hello { protocol: PROTOCOL },
        Request::Ps,
        Request::Logs {
            app: Some("counter,hello".into()),
            follow: true,
            since_ms: Some(60_000),
            previous: false,
            tail: Some(10),
        },
        Request::Install {
            manifest: "[app]\nname = \"counter\"\nversion = \"1.0.0\"\nwasm = \"counter.wasm\"\n"
                .into(),
            component_size: 8,
            sha256: sha256(),
            ahead_of_time: Some(Upload {
                size: 4,
                sha256: sha256(),
            }),
            options: InstallOptions {
                component_kept: 3,
                code_kept: 1,
                signature: Some("x".into()),
                allow_downgrade: true,
            },
        },
        Request::Send {
            app: app(),
            text: "line\n".into(),
            end: true,
        },
        Request::Remove {
            app: app(),
            keep_data: true,
        },
        Request::Start { app: app() },
        Request::Stop { app: app() },
        Request::Restart { app: app() },
        Request::Events { follow: true },
        Request::Info,
        Request::Shutdown,
        Request::Reboot,
        Request::InstallCompact {
            manifest: vec![1, 2, 3],
            component_size: 8,
            sha256: sha256(),
        },
        Request::Caps { app: app() },
        Request::Diagnose { logs: true },
        Request::Kept {
            sha256s: vec![sha256()],
        },
        Request::Rollback { app: app() },
        Request::Keys,
        Request::Trust {
            name: "release".into(),
            key: "k".into(),
        },
        Request::Untrust {
            key: "release".into(),
        },
        Request::RequireSignatures { on: true },
        Request::Sim(SimRequest::List),
    ]
}

fn frames(requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        let body = serde_json::to_vec(request).unwrap();
        bytes.extend(encode_header(FrameKind::Json, body.len()).unwrap());
        bytes.extend(body);
    }
    bytes
}

#[test]
fn the_seeds_of_the_control_protocol_have_every_kind_of_request() {
    let wanted = frames(&one_of_each());
    if std::env::var_os("VYOMA_WRITE_CORPUS").is_some() {
        std::fs::write(SEEDS, &wanted).unwrap();
    }
    let seeds = std::fs::read(SEEDS).unwrap();
    let mut rest = seeds.as_slice();
    let mut found = Vec::new();
    while let Some((header, body)) = rest.split_first_chunk::<FRAME_HEADER>() {
        let (_, length) = decode_header(*header).unwrap();
        let (body, after) = body.split_at(length);
        found.push(kind(&serde_json::from_slice(body).unwrap()));
        rest = after;
    }
    assert_eq!(
        found, KINDS,
        "seeds are written anew with VYOMA_WRITE_CORPUS=1"
    );
    assert!(seeds == wanted, "a message has changed; the same helps");
}
