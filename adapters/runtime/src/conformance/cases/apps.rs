//! Guests that are Rust programs as `wasm32-wasip2` makes them. Those that print a transcript have it beside their source.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::resolve::{Grants, Network};

use super::{Outcome, run};
use crate::conformance::{Program, Run};

fn app(name: &'static str, package: &'static str, expect: fn(&Outcome) -> bool) -> Run {
    Run {
        program: Program::App(package),
        ..run(name, "", expect)
    }
}

pub(super) fn cases() -> Vec<Run> {
    vec![
        app(
            "a_rust_program_that_exits_with_3_is_exit_code_1",
            "exit3",
            |o| {
                // Rust's library for WASI 0.2 tells success and failure only.
                o.ended(&Ending::Exited(1))
            },
        ),
        app("a_rust_panic_is_an_unreachable", "trap", |o| {
            o.ended(&Ending::Trapped(crate::trap::UNREACHABLE.to_owned()))
        }),
        Run {
            grants: Grants {
                stdio: true,
                filesystem: true,
                ..Grants::default()
            },
            ..app("files_answer_alike_everywhere", "conformance-fs", |o| {
                o.ended(&Ending::Exited(0))
                    && o.stdout
                        == include_bytes!("../../../../../apps/guests/conformance-fs/expected.txt")
            })
        },
        Run {
            grants: Grants {
                stdio: true,
                network: Some(Network { port: Some(47_123) }),
                ..Grants::default()
            },
            ..app("sockets_answer_alike_everywhere", "conformance-net", |o| {
                o.ended(&Ending::Exited(0))
                    && o.stdout
                        == include_bytes!("../../../../../apps/guests/conformance-net/expected.txt")
            })
        },
    ]
}
