//! The canonical ABI at the border: pointers, text, discriminants, and allocators that misbehave.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_capabilities::resolve::Grants;

use super::{ENOUGH, run, trapped};
use crate::conformance::Run;
use crate::trap;

/// Records the parameters of `cabi_realloc` from 1024 up, 16 bytes a call, then the arguments; prints them.
const TRACED: &str = "(global $at (mut i32) (i32.const 1024))
     (global $free (mut i32) (i32.const 4096))
     (func $cabi_realloc (param i32 i32 i32 i32) (result i32) (local $got i32)
       (i32.store (global.get $at) (local.get 0)) (i32.store offset=4 (global.get $at) (local.get 1))
       (i32.store offset=8 (global.get $at) (local.get 2)) (i32.store offset=12 (global.get $at) (local.get 3))
       (global.set $at (i32.add (global.get $at) (i32.const 16)))
       (local.set $got (global.get $free))
       (global.set $free (i32.add (local.get $got) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const 0xfff0))))
       (local.get $got))
     (func $run (result i32)
       (call $environment.get-arguments (i32.const 16))
       (call $print (i32.const 1024) (i32.sub (global.get $at) (i32.const 1024)))
       (call $print (i32.const 16) (i32.const 8))
       (call $print (i32.const 4096) (i32.const 64))
       (i32.const 0))";

/// What [`TRACED`] prints for `app`, an empty argument and `b`: each call of realloc; pointer and length of the list;
/// the list, and the texts.
fn traced() -> Vec<u8> {
    let words: [u32; 18] = [0, 0, 4, 24, 0, 0, 1, 3, 0, 0, 1, 0, 0, 0, 1, 1, 4096, 3];
    let list: [u32; 8] = [4128, 3, 4144, 0, 4144, 1, 0, 0];
    let mut bytes: Vec<u8> = words
        .iter()
        .chain(&list)
        .flat_map(|word| word.to_le_bytes())
        .collect();
    bytes.extend_from_slice(b"app\0\0\0\0\0\0\0\0\0\0\0\0\0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes
}

pub(super) fn cases() -> Vec<Run> {
    let mut cases = pointers();
    cases.extend(values());
    cases.extend(allocators());
    cases
}

fn pointers() -> Vec<Run> {
    vec![
        run(
            "results_outside_memory_trap",
            "(func $run (result i32) (call $environment.get-arguments (i32.const 0xfffffff8)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "results_across_the_end_of_memory_trap",
            "(func $run (result i32) (call $environment.get-arguments (i32.const 65532)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "results_that_are_not_aligned_trap",
            "(func $run (result i32) (call $environment.get-arguments (i32.const 18)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "results_of_8_bytes_are_aligned_to_8",
            "(func $run (result i32) (call $wall-clock.now (i32.const 20)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "a_list_outside_memory_traps",
            "(func $run (result i32)
               (call $output-stream.write (call $stdout.get-stdout) (i32.const 65536) (i32.const 1) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "a_list_across_the_end_of_memory_traps_and_writes_nothing",
            "(func $run (result i32)
               (call $output-stream.write (call $stdout.get-stdout) (i32.const 65000) (i32.const 537) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI) && o.stdout.is_empty(),
        ),
        run(
            "a_list_whose_end_is_past_4_gib_traps",
            "(func $run (result i32)
               (call $output-stream.write (call $stdout.get-stdout) (i32.const 65000) (i32.const 0xffffffff) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "a_list_whose_size_is_past_4_gib_traps",
            "(func $run (result i32) (call $poll.poll (i32.const 256) (i32.const 0x40000001) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "an_empty_list_at_the_end_of_memory_is_one",
            "(func $run (result i32)
               (call $output-stream.write (call $stdout.get-stdout) (i32.const 65536) (i32.const 0) (i32.const 16))
               (i32.load8_u (i32.const 16)))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "an_empty_list_past_the_end_of_memory_traps",
            "(func $run (result i32)
               (call $output-stream.write (call $stdout.get-stdout) (i32.const 65537) (i32.const 0) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "a_list_that_is_not_aligned_traps",
            "(func $run (result i32)
               (i32.store (i32.const 256) (call $monotonic-clock.subscribe-duration (i64.const 0)))
               (call $poll.poll (i32.const 257) (i32.const 1) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "an_empty_list_is_aligned_too",
            "(func $run (result i32) (call $poll.poll (i32.const 257) (i32.const 0) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "results_that_do_not_fit_trap_when_the_call_was_done",
            "(func $run (result i32)
               (call $output-stream.blocking-write-and-flush (call $stdout.get-stdout) (i32.const 0) (i32.const 4) (i32.const 65530))
               (i32.const 0))",
            |o| trapped(o, trap::ABI) && o.stdout == [0; 4],
        ),
    ]
}

fn values() -> Vec<Run> {
    vec![
        run(
            "text_that_is_not_utf_8_traps",
            "(data (i32.const 256) \"lo\\ffcal\")
             (func $run (result i32)
               (call $ip-name-lookup.resolve-addresses (call $instance-network.instance-network) (i32.const 256) (i32.const 6) (i32.const 16))
               (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "text_with_a_lone_surrogate_traps",
            "(data (i32.const 256) \"\\ed\\a0\\80\")
             (func $run (result i32)
               (call $ip-name-lookup.resolve-addresses (call $instance-network.instance-network) (i32.const 256) (i32.const 3) (i32.const 16))
               (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "text_outside_memory_traps",
            "(func $run (result i32)
               (call $ip-name-lookup.resolve-addresses (call $instance-network.instance-network) (i32.const 65530) (i32.const 7) (i32.const 16))
               (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "an_enum_without_such_a_case_traps",
            "(func $run (result i32) (call $tcp-create-socket.create-tcp-socket (i32.const 2) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "a_result_that_is_neither_ok_nor_error_traps",
            "(func $run (result i32) (call $exit.exit (i32.const 2)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "a_program_that_returns_neither_ok_nor_error_traps",
            "(func $run (result i32) (i32.const 2))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "only_the_low_byte_of_an_exit_code_counts",
            "(func $run (result i32) (call $exit.exit-with-code (i32.const 0x12345607)) (i32.const 0))",
            |o| o.ended(&Ending::Exited(7)),
        ),
        Run {
            grants: Grants { stdio: true, filesystem: true, ..Grants::default() },
            ..run(
                "a_variant_without_such_a_case_traps",
                "(func $run (result i32)
                   (call $preopens.get-directories (i32.const 16))
                   (call $descriptor.set-times (i32.load (i32.load (i32.const 16)))
                     (i32.const 3) (i64.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 16))
                   (i32.const 0))",
                |o| trapped(o, trap::ABI),
            )
        },
        Run {
            grants: Grants { stdio: true, filesystem: true, ..Grants::default() },
            ..run(
                "flags_that_do_not_exist_are_not_looked_at",
                "(data (i32.const 256) \"new\")
                 (func $run (result i32)
                   (call $preopens.get-directories (i32.const 16))
                   (call $descriptor.open-at (i32.load (i32.load (i32.const 16)))
                     (i32.const 0xfffffffe) (i32.const 256) (i32.const 3) (i32.const 0xfffffff1) (i32.const 0xffffffc3) (i32.const 16))
                   (i32.load8_u (i32.const 16)))",
                |o| o.ended(&Ending::Exited(0)),
            )
        },
        Run {
            // A record of 12 bytes in a list of arguments with every kind of character that UTF-8 has.
            args: &["a", "é", "€", "😀", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"],
            ..run(
                "text_of_every_length_of_utf_8_arrives_whole",
                "(func $run (result i32) (local $at i32) (local $n i32)
                   (call $environment.get-arguments (i32.const 16))
                   (local.set $at (i32.load (i32.const 16)))
                   (loop $more
                     (call $print (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
                     (local.set $at (i32.add (local.get $at) (i32.const 8)))
                     (local.set $n (i32.add (local.get $n) (i32.const 1)))
                     (br_if $more (i32.lt_u (local.get $n) (i32.load (i32.const 20)))))
                   (i32.const 0))",
                |o| o.stdout == "appaé€😀\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
            )
        },
    ]
}

fn allocators() -> Vec<Run> {
    vec![
        Run {
            args: &["", "b"],
            ..run("the_allocator_is_called_in_order_and_for_exactly_what_is_needed", TRACED, |o| {
                o.ended(&Ending::Exited(0)) && o.stdout == traced()
            })
        },
        run(
            "an_allocator_that_gives_memory_that_does_not_exist_traps",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (i32.const 65536))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "an_allocator_that_gives_memory_across_the_end_traps",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (i32.const 65532))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "an_allocator_that_gives_all_ones_traps",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (i32.const -1))
             (func $run (result i32) (call $random.get-random-bytes (i64.const 8) (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "an_allocator_that_does_not_align_traps",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (i32.const 4098))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::ABI),
        ),
        run(
            "an_allocator_may_give_address_0",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (i32.const 0))
             (func $run (result i32)
               (call $random.get-random-bytes (i64.const 8) (i32.const 16))
               (i32.or (i32.load (i32.const 16)) (i64.eqz (i64.load (i32.const 0)))))",
            |o| o.ended(&Ending::Exited(0)),
        ),
        run(
            "a_trap_in_the_allocator_is_the_guests_trap",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (i32.div_u (i32.const 1) (i32.load (i32.const 256))))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::DIVIDE_BY_ZERO),
        ),
        run(
            "endless_recursion_in_the_allocator_is_told",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32)
               (i32.add (call $cabi_realloc (local.get 0) (local.get 1) (local.get 2) (local.get 3)) (i32.const 1)))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::STACK),
        ),
        run(
            "a_host_call_from_the_allocator_traps",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (drop (call $monotonic-clock.now)) (i32.const 4096))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::LEAVE),
        ),
        run(
            "a_host_call_with_results_in_memory_from_the_allocator_traps",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (call $wall-clock.now (i32.const 64)) (i32.const 4096))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::LEAVE),
        ),
        run(
            "dropping_a_handle_in_the_allocator_traps",
            "(global $out (mut i32) (i32.const 0))
             (func $cabi_realloc (param i32 i32 i32 i32) (result i32) (call $output-stream.drop (global.get $out)) (i32.const 4096))
             (func $run (result i32)
               (global.set $out (call $stdout.get-stdout))
               (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::LEAVE),
        ),
        run(
            "exit_in_the_allocator_traps",
            "(func $cabi_realloc (param i32 i32 i32 i32) (result i32) (call $exit.exit (i32.const 0)) (i32.const 4096))
             (func $run (result i32) (call $environment.get-arguments (i32.const 16)) (i32.const 0))",
            |o| trapped(o, trap::LEAVE),
        ),
        Run {
            args: &["first", "second", "third"],
            ..run(
                "memory_may_grow_and_move_in_the_allocator",
                "(func $cabi_realloc (param i32 i32 i32 i32) (result i32)
                   (i32.mul (memory.grow (i32.const 3)) (i32.const 65536)))
                 (func $run (result i32) (local $list i32)
                   (call $environment.get-arguments (i32.const 16))
                   (local.set $list (i32.load (i32.const 16)))
                   (call $print (i32.load offset=8 (local.get $list)) (i32.load offset=12 (local.get $list)))
                   (call $print (i32.load offset=24 (local.get $list)) (i32.load offset=28 (local.get $list)))
                   (i32.ne (memory.size) (i32.const 16)))",
                |o| o.ended(&Ending::Exited(0)) && o.stdout == b"firstthird",
            )
        },
        run("a_program_that_imports_nothing_runs", ENOUGH, |o| {
            o.ended(&Ending::Exited(0)) && o.calls == 0
        }),
    ]
}
