//! The cases. Their names are sentences about what holds on every engine.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::resolve::{Grants, Network};

use super::guest::{binary, command};
use super::{Outcome, Refusal, Run};
use crate::trap;

const ENOUGH: &str = "(func $run (result i32) (i32.const 0))";

/// A run with stdio and nothing else.
fn run(name: &'static str, body: &'static str, expect: fn(&Outcome) -> bool) -> Run {
    Run {
        name,
        body,
        grants: Grants {
            stdio: true,
            ..Grants::default()
        },
        args: &[],
        env: &[],
        stdin: b"",
        memory_bytes: None,
        expect,
    }
}

fn trapped(outcome: &Outcome, reason: &str) -> bool {
    outcome.ended(&Ending::Trapped(reason.to_owned()))
}

pub(super) fn runs() -> Vec<Run> {
    let mut runs = endings();
    runs.extend(traps());
    runs.extend(streams());
    runs.extend(grants());
    runs
}

fn endings() -> Vec<Run> {
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

fn traps() -> Vec<Run> {
    vec![
        run("unreachable_is_told", "(func $run (result i32) unreachable)", |o| trapped(o, trap::UNREACHABLE)),
        run(
            "an_access_outside_memory_is_told",
            "(func $run (result i32) (i32.load (i32.const 0xfffffff0)))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "an_access_across_the_end_of_memory_is_told",
            "(func $run (result i32) (i32.load (i32.const 65533)))",
            |o| trapped(o, trap::MEMORY),
        ),
        run(
            "division_by_zero_is_told",
            "(func $run (result i32) (i32.div_u (i32.const 1) (i32.load (i32.const 0))))",
            |o| trapped(o, trap::DIVIDE_BY_ZERO),
        ),
        run(
            "overflow_of_a_division_is_told",
            "(func $run (result i32) (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 0)) (i32.const 1))))",
            |o| trapped(o, trap::OVERFLOW),
        ),
        run(
            "a_nan_truncated_to_an_integer_is_told",
            "(func $run (result i32) (i32.trunc_f64_s (f64.div (f64.const 0) (f64.load (i32.const 0)))))",
            |o| trapped(o, trap::CONVERSION),
        ),
        run(
            "endless_recursion_is_told",
            "(func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
             (func $run (result i32) (call $deep (i32.const 0)))",
            |o| trapped(o, trap::STACK),
        ),
        run(
            "a_call_of_another_signature_is_told",
            "(table 2 funcref) (elem (i32.const 0) $run)
             (func $run (result i32) (call_indirect (param i32) (result i32) (i32.const 1) (i32.load (i32.const 0))))",
            |o| trapped(o, trap::SIGNATURE),
        ),
        run(
            "a_call_of_an_empty_table_entry_is_told",
            "(table 2 funcref)
             (func $run (result i32) (call_indirect (result i32) (i32.add (i32.load (i32.const 0)) (i32.const 1))))",
            |o| trapped(o, trap::NULL_CALL),
        ),
        run(
            "a_call_outside_the_table_is_told",
            "(table 2 funcref)
             (func $run (result i32) (call_indirect (result i32) (i32.add (i32.load (i32.const 0)) (i32.const 7))))",
            |o| trapped(o, trap::TABLE),
        ),
        run(
            "a_recursion_of_2000_calls_is_no_recursion_without_end",
            "(func $deep (param i32) (result i32)
               (if (result i32) (local.get 0)
                 (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
                 (else (i32.const 0))))
             (func $run (result i32) (i32.ne (call $deep (i32.const 2000)) (i32.const 2000)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "nans_have_the_same_bits_everywhere",
            "(func $run (result i32)
               (i64.store (i32.const 256) (i64.reinterpret_f64 (f64.div (f64.load (i32.const 0)) (f64.load (i32.const 0)))))
               (i64.ne (i64.load (i32.const 256)) (i64.const 0x7ff8000000000000)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
    ]
}

fn streams() -> Vec<Run> {
    vec![
        run(
            "stdout_and_stderr_reach_their_own_descriptors",
            "(data (i32.const 256) \"to stdout\\nto stderr\\n\")
             (func $run (result i32)
               (call $print (i32.const 256) (i32.const 10))
               (call $print-to (call $stderr) (i32.const 266) (i32.const 10))
               (i32.const 0))",
            |o| {
                o.ended(&Ending::Exited(0))
                    && o.stdout == b"to stdout\n"
                    && o.stderr == b"to stderr\n"
            },
        ),
        run(
            "a_large_output_arrives_whole",
            // 160 times 64 KiB, far more than a pipe holds.
            "(func $run (result i32) (local $n i32)
               (loop $more
                 (call $print (i32.const 0) (i32.const 65536))
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (br_if $more (i32.lt_u (local.get $n) (i32.const 160))))
               (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)) && o.stdout.len() == 160 * 65536,
        ),
        Run {
            stdin: include_bytes!("cases.rs"),
            ..run(
                "stdin_is_read_to_its_end",
                "(func $run (result i32) (local $in i32)
                   (local.set $in (call $stdin))
                   (block $end
                     (loop $more
                       (call $read (local.get $in) (i64.const 1000) (i32.const 16))
                       ;; closed: error case 1, closed
                       (if (i32.load8_u (i32.const 16)) (then (br $end)))
                       (call $print (i32.load (i32.const 20)) (i32.load (i32.const 24)))
                       (br $more)))
                   (i32.ne (i32.load8_u (i32.const 20)) (i32.const 1)))",
                |o| o.ended(&Ending::Exited(0)) && o.stdout == include_bytes!("cases.rs"),
            )
        },
        run(
            "a_timer_waits_at_least_as_long_as_asked",
            "(func $run (result i32) (local $start i64)
               (local.set $start (call $now))
               (call $block (call $after (i64.const 20000000)))
               (i64.lt_u (i64.sub (call $now) (local.get $start)) (i64.const 20000000)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "host_calls_are_told_to_the_watchdog_and_end",
            "(func $run (result i32) (drop (call $now)) (drop (call $random)) (drop (call $now)) (i32.const 0))",
            |o| o.ended(&Ending::Exited(0)) && o.calls >= 3 && o.open_calls == 0,
        ),
    ]
}

fn grants() -> Vec<Run> {
    // Prints the strings of a list: pointer and length at 16, `count` strings in a row of pointer and length.
    const ARGUMENTS: &str = "(data (i32.const 256) \"\\n\")
         (func $run (result i32) (local $at i32) (local $end i32)
           (call $arguments (i32.const 16))
           (local.set $at (i32.load (i32.const 16)))
           (local.set $end (i32.add (local.get $at) (i32.mul (i32.load (i32.const 20)) (i32.const 8))))
           (loop $more
             (call $print (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
             (call $print (i32.const 256) (i32.const 1))
             (local.set $at (i32.add (local.get $at) (i32.const 8)))
             (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
           (i32.const 0))";
    const ENVIRONMENT: &str = "(data (i32.const 256) \"=;\")
         (func $run (result i32) (local $at i32) (local $n i32)
           (call $environment (i32.const 16))
           (local.set $at (i32.load (i32.const 16)))
           (local.set $n (i32.load (i32.const 20)))
           (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
           (loop $more
             (call $print (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
             (call $print (i32.const 256) (i32.const 1))
             (call $print (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)))
             (call $print (i32.const 257) (i32.const 1))
             (local.set $at (i32.add (local.get $at) (i32.const 16)))
             (local.set $n (i32.sub (local.get $n) (i32.const 1)))
             (br_if $more (local.get $n)))
           (i32.const 0))";
    // Each returns an error, and the code of each is 1, access-denied.
    const NO_NETWORK: &str = "(data (i32.const 256) \"localhost\")
         (func $run (result i32)
           (call $tcp (i32.const 0) (i32.const 16))
           (call $udp (i32.const 1) (i32.const 24))
           (call $look-up (call $network) (i32.const 256) (i32.const 9) (i32.const 32))
           (i32.ne (i32.const 6) (i32.add
             (i32.add (i32.add (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 24))) (i32.load8_u (i32.const 32)))
             (i32.add (i32.add (i32.load8_u (i32.const 20)) (i32.load8_u (i32.const 28))) (i32.load8_u (i32.const 36))))))";
    const NETWORK: &str = "(data (i32.const 256) \"127.0.0.1\")
         (func $run (result i32)
           (call $tcp (i32.const 0) (i32.const 16))
           (call $udp (i32.const 0) (i32.const 24))
           (call $look-up (call $network) (i32.const 256) (i32.const 9) (i32.const 32))
           (i32.add (i32.add (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 24))) (i32.load8_u (i32.const 32))))";
    // Prints the name of the one folder; fails unless there is exactly one.
    const FOLDERS: &str = "(func $run (result i32)
           (call $folders (i32.const 16))
           (if (i32.ne (i32.load (i32.const 20)) (i32.const 1)) (then (return (i32.const 1))))
           (call $print (i32.load offset=4 (i32.load (i32.const 16))) (i32.load offset=8 (i32.load (i32.const 16))))
           (i32.const 0))";
    // Grows page by page until it is refused; success when that leaves 4 pages.
    const GROW: &str = "(func $run (result i32)
           (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
           (i32.ne (memory.size) (i32.const 4)))";
    const BOMB: &str = "(func $run (result i32)
           (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable)";
    vec![
        Run {
            args: &["one", "", "three words here", "ü"],
            ..run("arguments_come_after_the_name_of_the_app", ARGUMENTS, |o| {
                o.stdout == "app\none\n\nthree words here\nü\n".as_bytes()
            })
        },
        Run {
            env: &[("LANG", "C"), ("EMPTY", "")],
            ..run("the_environment_is_what_was_given", ENVIRONMENT, |o| {
                o.stdout == b"LANG=C;EMPTY=;"
            })
        },
        run(
            "without_variables_the_environment_is_empty",
            ENVIRONMENT,
            |o| o.ended(&Ending::Exited(0)) && o.stdout.is_empty(),
        ),
        Run {
            grants: Grants::default(),
            stdin: b"not for the guest",
            ..run(
                "without_stdio_input_is_at_its_end_and_output_goes_nowhere",
                "(data (i32.const 256) \"x\")
                 (func $run (result i32)
                   (call $print (i32.const 256) (i32.const 1))
                   (call $print-to (call $stderr) (i32.const 256) (i32.const 1))
                   (call $read (call $stdin) (i64.const 100) (i32.const 16))
                   (i32.ne (i32.load16_u (i32.const 16)) (i32.const 1)))",
                |o| o.ended(&Ending::Exited(0)) && o.stdout.is_empty() && o.stderr.is_empty(),
            )
        },
        run(
            "without_network_every_socket_call_is_access_denied",
            NO_NETWORK,
            |o| o.ended(&Ending::Exited(0)),
        ),
        Run {
            grants: Grants {
                network: Some(Network::default()),
                ..Grants::default()
            },
            ..run("with_network_sockets_and_look_up_work", NETWORK, |o| {
                o.ended(&Ending::Exited(0))
            })
        },
        run("without_filesystem_there_is_no_folder", FOLDERS, |o| {
            o.ended(&Ending::Exited(1))
        }),
        Run {
            grants: Grants {
                stdio: true,
                filesystem: true,
                ..Grants::default()
            },
            ..run(
                "with_filesystem_the_only_folder_is_the_root",
                FOLDERS,
                |o| o.ended(&Ending::Exited(0)) && o.stdout == b"/",
            )
        },
        Run {
            memory_bytes: Some(4 * 65536),
            ..run("memory_grows_to_its_limit_and_no_further", GROW, |o| {
                o.ended(&Ending::Exited(0))
            })
        },
        Run {
            memory_bytes: Some(4 * 65536),
            ..run("an_abort_for_want_of_memory_is_told_apart", BOMB, |o| {
                o.ended(&Ending::OutOfMemory)
            })
        },
        Run {
            memory_bytes: Some(65535),
            ..run(
                "an_app_that_starts_with_more_memory_than_its_limit_does_not_start",
                ENOUGH,
                |o| o.ending.starts_with("NotStarted") && o.ending.contains("needs 64 KiB"),
            )
        },
    ]
}

pub(super) fn refusals() -> Vec<Refusal> {
    vec![
        Refusal {
            name: "a_core_module_is_refused_with_the_target_to_build_for",
            bytes: || binary("(module)"),
            words: &["core module", "wasm32-wasip2"],
        },
        Refusal {
            name: "what_is_no_wasm_is_refused_with_what_was_found",
            bytes: || Ok(b"#!/bin/sh\n".to_vec()),
            words: &["not a component", "23 21 2f", "expected 00 61 73 6d"],
        },
        Refusal {
            name: "an_empty_file_is_refused",
            bytes: || Ok(Vec::new()),
            words: &["empty"],
        },
        Refusal {
            name: "a_truncated_component_is_refused_with_an_offset",
            bytes: || {
                command(ENOUGH).map(|mut bytes| {
                    bytes.truncate(bytes.len() - 9);
                    bytes
                })
            },
            words: &["malformed at offset 0x"],
        },
        Refusal {
            name: "simd_is_refused_by_name",
            bytes: || {
                command(
                    "(func $run (result i32) (i32x4.extract_lane 0 (v128.const i32x4 0 0 0 0)))",
                )
            },
            words: &["uses SIMD", "offset 0x"],
        },
        Refusal {
            name: "tail_calls_are_refused_by_name",
            bytes: || {
                command(
                    "(func $f (result i32) (i32.const 0)) (func $run (result i32) (return_call $f))",
                )
            },
            words: &["uses tail calls"],
        },
        Refusal {
            name: "threads_are_refused_by_name",
            bytes: || {
                command(
                    "(memory $m 1 1 shared) (func $run (result i32) (i32.atomic.load $m (i32.const 0)))",
                )
            },
            words: &["threads", "multiple memories"],
        },
        Refusal {
            name: "exceptions_are_refused_by_name",
            bytes: || command("(tag $t) (func $run (result i32) (throw $t))"),
            words: &["uses exceptions"],
        },
        Refusal {
            name: "sixty_four_bit_memory_is_refused_by_name",
            bytes: || binary("(component (core module (memory i64 1)))"),
            words: &["uses 64-bit memory"],
        },
        Refusal {
            name: "host_references_are_refused_by_name",
            bytes: || binary("(component (core module (func (param externref))))"),
            words: &["uses externref"],
        },
        Refusal {
            name: "garbage_collected_types_are_refused_by_name",
            bytes: || binary("(component (core module (type (struct (field i32)))))"),
            words: &["garbage collection"],
        },
        Refusal {
            name: "extended_constants_are_refused_by_name",
            bytes: || {
                binary(
                    "(component (core module (global i32 (i32.add (i32.const 1) (i32.const 2)))))",
                )
            },
            words: &["extended constant expressions"],
        },
        Refusal {
            name: "an_interface_that_no_host_has_is_refused_by_name",
            bytes: || {
                binary("(component (import \"wasi:http/outgoing-handler@0.2.0\" (instance)))")
            },
            words: &["`wasi:http/outgoing-handler@0.2.0`"],
        },
        Refusal {
            name: "another_version_of_wasi_is_refused_by_name",
            bytes: || binary("(component (import \"wasi:cli/stdin@0.3.0\" (instance)))"),
            words: &["`wasi:cli/stdin@0.3.0`", "0.2.x"],
        },
        Refusal {
            name: "a_library_is_refused",
            bytes: || binary("(component)"),
            words: &["wasi:cli/run", "main"],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_of_the_suite_is_admitted() {
        for run in runs() {
            let bytes = command(run.body).unwrap_or_else(|why| panic!("{}: {why}", run.name));
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
