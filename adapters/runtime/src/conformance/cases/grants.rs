//! What grants and limits give and withhold.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::resolve::{Grants, Network};

use super::{ENOUGH, run};
use crate::conformance::{Program, Run};

pub(super) fn cases() -> Vec<Run> {
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
    // Opens the folder itself, then what is above it, which is refused with code 31, not-permitted; prints twice.
    const ESCAPE: &str = "(data (i32.const 256) \"..\")
         (func $open (param $at i32) (param $length i32) (result i32)
           (call $descriptor.open-at (i32.load (i32.load (i32.const 16))) (i32.const 0)
             (local.get $at) (local.get $length) (i32.const 0) (i32.const 1) (i32.const 24))
           (i32.load8_u (i32.const 24)))
         (func $run (result i32)
           (call $folders (i32.const 16))
           (if (call $open (i32.const 257) (i32.const 1)) (then (return (i32.const 1))))
           (call $print (i32.const 256) (i32.const 1))
           (if (i32.eqz (call $open (i32.const 256) (i32.const 2))) (then (return (i32.const 1))))
           (call $print (i32.const 256) (i32.const 1))
           (i32.ne (i32.load8_u (i32.const 28)) (i32.const 31)))";
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
                |o| {
                    o.ended(&Ending::Exited(0))
                        && o.stdout.is_empty()
                        && o.stderr.is_empty()
                        && o.uses == "stdio:3:3"
                },
            )
        },
        run(
            "without_network_every_socket_call_is_access_denied",
            NO_NETWORK,
            |o| o.ended(&Ending::Exited(0)) && o.uses == "network:4:3",
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
            o.ended(&Ending::Exited(1)) && o.uses == "filesystem:1:1"
        }),
        Run {
            program: Program::Made(|| ESCAPE.to_owned()),
            grants: Grants {
                stdio: true,
                filesystem: true,
                ..Grants::default()
            },
            ..run("uses_and_refusals_are_counted_by_capability", ESCAPE, |o| {
                o.ended(&Ending::Exited(0)) && o.uses == "stdio:2:0 filesystem:3:1"
            })
        },
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
