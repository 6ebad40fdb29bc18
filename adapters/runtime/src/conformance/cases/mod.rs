//! The cases. Their names are sentences about what holds on every engine.

mod abi;
mod apps;
mod buses;
mod clocks;
mod endings;
mod engine;
mod gpio;
mod grants;
mod handles;
mod io;
mod poll;
mod refusals;
mod serial;
mod sizes;
mod streams;
mod traps;

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::resolve::Grants;

pub(super) use self::refusals::refusals;
use super::devices::Bench;
use super::guest::Shape;
use super::{Outcome, Program, Run};

const ENOUGH: &str = "(func $run (result i32) (i32.const 0))";

/// A run of a guest of the plain shape, with stdio and nothing else.
fn run(name: &'static str, body: &'static str, expect: fn(&Outcome) -> bool) -> Run {
    Run {
        name,
        program: Program::Text(body, Shape::Plain),
        grants: Grants {
            stdio: true,
            ..Grants::default()
        },
        args: &[],
        env: &[],
        stdin: b"",
        stdin_stays_open: false,
        stdout_is_closed: false,
        memory_bytes: None,
        bench: Bench::Simulated,
        expect,
    }
}

fn trapped(outcome: &Outcome, reason: &str) -> bool {
    outcome.ended(&Ending::Trapped(reason.to_owned()))
}

/// Every run. What the frame of the linked shape can do runs in both shapes.
pub(super) fn runs() -> Vec<Run> {
    let mut runs = Vec::new();
    for case in [
        endings::cases(),
        traps::cases(),
        streams::cases(),
        grants::cases(),
    ]
    .into_iter()
    .flatten()
    {
        if let Program::Text(body, _) = case.program {
            runs.push(Run {
                program: Program::Text(body, Shape::Linked),
                ..case.clone()
            });
        }
        runs.push(case);
    }
    for cases in [
        abi::cases(),
        handles::cases(),
        io::cases(),
        poll::cases(),
        clocks::cases(),
        engine::cases(),
        gpio::cases(),
        buses::cases(),
        serial::cases(),
        sizes::cases(),
        apps::cases(),
    ] {
        runs.extend(cases);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_of_the_suite_is_admitted() {
        for run in runs() {
            if let Program::App(_) = run.program {
                continue;
            }
            let bytes = run
                .component()
                .unwrap_or_else(|why| panic!("{}: {why}", run.name));
            crate::component::check(&bytes).unwrap_or_else(|why| panic!("{}: {why}", run.name));
        }
    }

    #[test]
    fn every_refused_component_is_refused_for_its_reason() {
        for refusal in refusals() {
            let bytes = (refusal.bytes)().unwrap_or_else(|why| panic!("{}: {why}", refusal.name));
            let error = crate::component::check(&bytes)
                .expect_err(refusal.name)
                .to_string();
            for word in refusal.words {
                assert!(
                    error.contains(word),
                    "{}: expected `{word}` in: {error}",
                    refusal.name
                );
            }
        }
    }
}
