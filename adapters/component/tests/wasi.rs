//! `wasi:cli`, `wasi:clocks` and `wasi:random` as a guest calls them, and which imports link at all.

mod common;

use common::{Allocator, Bench, Run, import, signature_of};
use vyoma_component::host::{self, Platform};
use vyoma_component::program::{CoreType, Signature, Target};
use vyoma_component::trap::Trap;

/// Where tests have results stored.
const RESULT: u64 = 64;

fn trap(words: &str) -> Trap {
    Trap::Interface(words.to_owned())
}

#[test]
fn a_timer_of_the_longest_duration_does_not_wrap() {
    let mut run = Run::new();
    run.services.now = 5;
    let clock = "wasi:clocks/monotonic-clock";
    let timer = run.value(clock, "subscribe-duration", &[u64::MAX]).unwrap();
    assert_eq!(
        run.value("wasi:io/poll", "[method]pollable.ready", &[timer]),
        Ok(0)
    );
    run.call("wasi:io/poll", "[method]pollable.block", &[timer])
        .unwrap();
    assert_eq!(run.services.now, u64::MAX);
}

#[test]
fn exit_is_zero_or_one_or_the_code() {
    let mut run = Run::new();
    let mut exit = |function, code| run.call("wasi:cli/exit", function, &[code]).unwrap_err();
    assert_eq!(exit("exit", 0), Trap::Exit(0));
    assert_eq!(exit("exit", 1), Trap::Exit(1));
    assert!(matches!(exit("exit", 2), Trap::Abi(_)));
    assert_eq!(exit("exit-with-code", 42), Trap::Exit(42));
    assert_eq!(exit("exit-with-code", 0x1_2a), Trap::Exit(42));
}

#[test]
fn arguments_and_environment_are_lists_in_the_guests_memory() {
    let mut run = Run::new();
    run.call("wasi:cli/environment", "get-arguments", &[RESULT])
        .unwrap();
    let list = run.memory.word(RESULT as u32);
    assert_eq!(run.memory.word(RESULT as u32 + 4), 3);
    assert_eq!(run.memory.list(list), b"app");
    assert_eq!(run.memory.list(list + 8), "--größe".as_bytes());
    assert_eq!(run.memory.list(list + 16), b"");
    // One for the list, one for each string, also for the empty one, as Wasmtime does.
    assert_eq!(
        run.memory.calls,
        [(0, 0, 4, 24), (0, 0, 1, 3), (0, 0, 1, 9), (0, 0, 1, 0)]
    );
    run.call("wasi:cli/environment", "get-environment", &[RESULT])
        .unwrap();
    let list = run.memory.word(RESULT as u32);
    assert_eq!(run.memory.word(RESULT as u32 + 4), 1);
    assert_eq!(run.memory.list(list), b"KEY");
    assert_eq!(run.memory.list(list + 8), b"value");
    run.memory.bytes[RESULT as usize] = 9;
    run.call("wasi:cli/environment", "initial-cwd", &[RESULT])
        .unwrap();
    assert_eq!(run.memory.bytes[RESULT as usize], 0);
}

#[test]
fn no_stream_is_a_terminal() {
    let mut run = Run::new();
    for stream in ["stdin", "stdout", "stderr"] {
        run.memory.bytes[RESULT as usize] = 1;
        run.call(
            &format!("wasi:cli/terminal-{stream}"),
            &format!("get-terminal-{stream}"),
            &[RESULT],
        )
        .unwrap();
        assert_eq!(run.memory.bytes[RESULT as usize], 0);
    }
}

#[test]
fn the_wall_clock_is_a_record_in_memory() {
    let mut run = Run::new();
    run.call("wasi:clocks/wall-clock", "now", &[RESULT])
        .unwrap();
    assert_eq!(run.memory.long(RESULT as u32), 0x0123_4567_89ab_cdef);
    assert_eq!(run.memory.word(RESULT as u32 + 8), 999_999_999);
}

#[test]
fn random_bytes_are_made_in_the_guests_memory_and_nowhere_else() {
    let mut run = Run::new();
    for (interface, function) in [
        ("wasi:random/random", "get-random-bytes"),
        ("wasi:random/insecure", "get-insecure-random-bytes"),
    ] {
        run.memory.next = 1000;
        run.memory.bytes.fill(0);
        run.call(interface, function, &[5, RESULT]).unwrap();
        assert_eq!(run.memory.list(RESULT as u32), [0xa5; 5]);
        assert_eq!(run.memory.bytes[999], 0);
        assert_eq!(run.memory.bytes[1005], 0);
        assert_eq!(
            run.call(interface, function, &[(64 << 20) + 1, RESULT]),
            Err(trap("more than 67108864 random bytes at once"))
        );
        // The allocator says yes to more than there is.
        assert!(matches!(
            run.call(interface, function, &[64 << 20, RESULT]),
            Err(Trap::Abi(_))
        ));
        assert!(matches!(
            run.call(interface, function, &[1, 65534]),
            Err(Trap::Abi(_))
        ));
        run.memory.allocator = Allocator::Traps;
        assert_eq!(
            run.call(interface, function, &[1, RESULT]),
            Err(Trap::Guest)
        );
        run.memory.allocator = Allocator::Honest;
    }
}

#[test]
fn random_numbers_and_the_seed_fit_their_types() {
    let mut run = Run::new();
    let number = 0xa5a5_a5a5_a5a5_a5a5;
    assert_eq!(
        run.value("wasi:random/random", "get-random-u64", &[]),
        Ok(number)
    );
    assert_eq!(
        run.value("wasi:random/insecure", "get-insecure-random-u64", &[]),
        Ok(number)
    );
    run.call("wasi:random/insecure-seed", "insecure-seed", &[RESULT])
        .unwrap();
    assert_eq!(run.memory.long(RESULT as u32), 1);
    assert_eq!(run.memory.long(RESULT as u32 + 8), 2);
}

fn function<'a>(interface: &'a str, function: &'a str) -> Target<'a> {
    Target::Function {
        interface: interface.into(),
        function: function.into(),
    }
}

#[test]
fn any_patch_version_links_and_other_versions_and_unknown_names_do_not() {
    let signature = signature_of::<Bench>("wasi:io/poll", "poll");
    let link = |interface: &str, name: &str| {
        host::link::<Bench>(&import(function(interface, name), signature.clone()))
            .map(drop)
            .map_err(|why| why.to_string())
    };
    for version in ["0.2.0", "0.2.6", "0.2.12", "0.2.99"] {
        assert_eq!(link(&format!("wasi:io/poll@{version}"), "poll"), Ok(()));
    }
    for unknown in [
        "wasi:io/poll",
        "wasi:io/poll@0.3.0",
        "wasi:io/poll@0.2.0-rc-2024-01-16",
        "wasi:io/poll@0.2.",
        "wasi:io/polls@0.2.0",
    ] {
        assert_eq!(
            link(unknown, "poll"),
            Err(format!(
                "imports `poll` of `{unknown}`, which no host here provides"
            ))
        );
    }
    assert!(link("wasi:io/poll@0.2.0", "polls").is_err());
}

#[test]
fn an_import_with_another_core_signature_does_not_link() {
    let signature = Signature {
        params: vec![CoreType::I32, CoreType::I64],
        result: Some(CoreType::F32),
    };
    let import = import(function("wasi:io/poll@0.2.0", "poll"), signature);
    let why = host::link::<Bench>(&import).map(drop).unwrap_err();
    assert_eq!(
        why.to_string(),
        "imports `poll` of `wasi:io/poll@0.2.0` with the core signature (i32, i64) -> f32; \
         expected (i32, i32, i32)"
    );
    assert_eq!(Bench::interfaces().count(), 18);
}
