//! Ways to end.

use vyoma_capabilities::lifecycle::Ending;

use super::{ENOUGH, run};
use crate::conformance::Run;

pub(super) fn cases() -> Vec<Run> {
    vec![
        run("returning_ok_is_exit_code_0", ENOUGH, |o| {
            o.ended(&Ending::Exited(0))
        }),
        run(
            "returning_an_error_is_exit_code_1",
            "(func $run (result i32) (i32.const 1))",
            |o| o.ended(&Ending::Exited(1)),
        ),
        run(
            "exit_ok_is_exit_code_0",
            "(func $run (result i32) (call $exit (i32.const 0)) unreachable)",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "exit_err_is_exit_code_1",
            "(func $run (result i32) (call $exit (i32.const 1)) unreachable)",
            |o| o.ended(&Ending::Exited(1)),
        ),
        run(
            "exit_with_code_is_that_code",
            "(func $run (result i32) (call $exit-with-code (i32.const 255)) unreachable)",
            |o| o.ended(&Ending::Exited(255)),
        ),
    ]
}
