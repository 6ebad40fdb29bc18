//! `caps`: what is asked and shown.

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::control::{CapabilityUse, Request, Response};

use crate::device::{Device, Outcome};

fn caps(answer: Vec<CapabilityUse>, args: &[&str]) -> Outcome {
    let request = Request::Caps {
        app: "hello".into(),
    };
    Device::answers(request, vec![Response::Caps(answer)]).run(&[&["caps", "hello"], args].concat())
}

fn all() -> Vec<CapabilityUse> {
    let one = |capability, (declared, granted), terms: &str, (used, denied)| CapabilityUse {
        capability,
        declared,
        granted,
        terms: terms.into(),
        used,
        denied,
    };
    vec![
        one(Capability::Stdio, (true, true), "", (12, 0)),
        one(Capability::Display, (true, false), "", (0, 3)),
        one(
            Capability::Network,
            (true, true),
            "may listen on port 80",
            (4, 1),
        ),
        one(Capability::Gpio, (false, false), "", (0, 7)),
    ]
}

#[test]
fn a_table_tells_what_is_granted_used_and_denied() {
    let outcome = caps(all(), &[]);
    assert_eq!(
        outcome.out,
        "CAPABILITY  STATE         USED  DENIED  TERMS
stdio       granted         12       0  -
display     not here         0       3  -
network     granted          4       1  may listen on port 80
gpio        not declared     0       7  -
"
    );
    let outcome = caps(Vec::new(), &[]);
    assert_eq!(
        outcome.out,
        "hello: declares no capability, and called for none\n"
    );
}

#[test]
fn json_has_every_count() {
    let outcome = caps(all(), &["--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(document["app"], "hello");
    assert_eq!(
        document["capabilities"][2],
        serde_json::json!({
            "capability": "network", "declared": true, "granted": true, "terms": "may listen on port 80",
            "used": 4, "denied": 1
        })
    );
}
