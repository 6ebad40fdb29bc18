//! `wasi:io` as a guest calls it, with the results of wasmtime-wasi.

mod common;

use common::{Run, Step};
use vyoma_component::trap::Trap;

const STREAMS: &str = "wasi:io/streams";
/// Where tests have results stored.
const RESULT: u64 = 64;

fn trap(words: &str) -> Trap {
    Trap::Interface(words.to_owned())
}

/// `result<list<u8>, stream-error>` at [`RESULT`].
fn bytes(run: &Run) -> Result<Vec<u8>, &'static str> {
    match run.memory.bytes[RESULT as usize] {
        0 => Ok(run.memory.list(RESULT as u32 + 4).to_vec()),
        _ => Err(error(run, 4)),
    }
}

/// `result<u64, stream-error>` at [`RESULT`].
fn count(run: &Run) -> Result<u64, &'static str> {
    match run.memory.bytes[RESULT as usize] {
        0 => Ok(run.memory.long(RESULT as u32 + 8)),
        _ => Err(error(run, 8)),
    }
}

/// `result<_, stream-error>` at [`RESULT`].
fn unit(run: &Run) -> Result<(), &'static str> {
    match run.memory.bytes[RESULT as usize] {
        0 => Ok(()),
        _ => Err(error(run, 4)),
    }
}

fn error(run: &Run, offset: usize) -> &'static str {
    match run.memory.bytes[RESULT as usize + offset] {
        0 => "last-operation-failed",
        1 => "closed",
        _ => "no case of stream-error",
    }
}

fn trace(run: &mut Run) -> String {
    std::mem::take(&mut run.services.trace).join(", ")
}

#[test]
fn a_read_gives_what_is_there_nothing_or_the_end() {
    let mut run = Run::new();
    let stdin = run.stdin([
        Step::Bytes(b"hello"),
        Step::Bytes(b""),
        Step::Closed,
        Step::Failed("no such device"),
    ]);
    let mut read = |most: u64| {
        run.call(
            STREAMS,
            "[method]input-stream.read",
            &[stdin.into(), most, RESULT],
        )
        .unwrap();
        bytes(&run)
    };
    assert_eq!(read(4), Ok(b"hell".to_vec()));
    assert_eq!(read(u64::MAX), Ok(Vec::new()));
    assert_eq!(read(1), Err("closed"));
    assert_eq!(read(1), Err("last-operation-failed"));
    let error = run.memory.word(RESULT as u32 + 8);
    run.call(
        "wasi:io/error",
        "[method]error.to-debug-string",
        &[error.into(), RESULT],
    )
    .unwrap();
    assert_eq!(run.memory.list(RESULT as u32), b"no such device");
    run.drop("wasi:io/error", "error", error).unwrap();
}

#[test]
fn a_blocking_read_waits_until_there_are_bytes() {
    let mut run = Run::new();
    let stdin = run.stdin([Step::Bytes(b""), Step::Bytes(b""), Step::Bytes(b"x")]);
    run.call(
        STREAMS,
        "[method]input-stream.blocking-read",
        &[stdin.into(), 9, RESULT],
    )
    .unwrap();
    assert_eq!(bytes(&run), Ok(b"x".to_vec()));
    assert_eq!(trace(&mut run), "wait, read 9, wait, read 9, wait, read 9");
}

#[test]
fn a_blocking_read_of_nothing_waits_once() {
    let mut run = Run::new();
    let stdin = run.stdin([]);
    run.call(
        STREAMS,
        "[method]input-stream.blocking-read",
        &[stdin.into(), 0, RESULT],
    )
    .unwrap();
    assert_eq!(bytes(&run), Ok(Vec::new()));
    assert_eq!(trace(&mut run), "wait, read 0");
}

#[test]
fn a_stream_that_is_ready_and_has_nothing_eleven_times_is_a_trap() {
    let mut run = Run::new();
    let stdin = run.stdin([]);
    let ending = run.call(
        STREAMS,
        "[method]input-stream.blocking-skip",
        &[stdin.into(), 1, RESULT],
    );
    assert_eq!(ending, Err(trap("max blocking attempts exceeded")));
    assert_eq!(trace(&mut run).matches("wait").count(), 11);
}

#[test]
fn skip_counts_what_it_read() {
    let mut run = Run::new();
    let stdin = run.stdin([Step::Bytes(b"abc"), Step::Bytes(b"defg"), Step::Closed]);
    let mut skip = |function| {
        run.call(STREAMS, function, &[stdin.into(), 3, RESULT])
            .unwrap();
        count(&run)
    };
    assert_eq!(skip("[method]input-stream.skip"), Ok(3));
    assert_eq!(skip("[method]input-stream.blocking-skip"), Ok(3));
    assert_eq!(skip("[method]input-stream.skip"), Err("closed"));
}

#[test]
fn a_blocking_write_goes_in_permitted_pieces_and_then_waits_for_the_flush() {
    let mut run = Run::new();
    let stdout = run.stdout([
        Step::Permit(0),
        Step::Permit(3),
        Step::Permit(100),
        Step::Permit(1),
    ]);
    run.memory.put(300, b"hello");
    run.call(
        STREAMS,
        "[method]output-stream.blocking-write-and-flush",
        &[stdout.into(), 300, 5, RESULT],
    )
    .unwrap();
    assert_eq!(unit(&run), Ok(()));
    assert_eq!(
        trace(&mut run),
        "wait, check, wait, check, write hel, wait, check, write lo, flush, wait, check"
    );
}

#[test]
fn a_blocking_write_to_an_unbuffered_stream_does_not_wait_afterwards() {
    let mut run = Run::new();
    run.services.stdout.unbuffered = true;
    let stdout = run.stdout([Step::Permit(9)]);
    run.memory.put(300, b"hello");
    let mut write = |length| {
        run.call(
            STREAMS,
            "[method]output-stream.blocking-write-and-flush",
            &[stdout.into(), 300, length, RESULT],
        )
        .unwrap();
        (unit(&run), trace(&mut run))
    };
    assert_eq!(write(5), (Ok(()), "wait, check, write hello".to_owned()));
    assert_eq!(write(0), (Ok(()), String::new()));
}

#[test]
fn that_a_stream_closed_after_a_blocking_write_is_for_the_next_operation() {
    for closed_in_flush in [true, false] {
        let mut run = Run::new();
        if closed_in_flush {
            run.services.stdout.flushes.push_back(Step::Closed);
        }
        let stdout = run.stdout([Step::Permit(9), Step::Closed, Step::Closed]);
        run.call(
            STREAMS,
            "[method]output-stream.blocking-write-zeroes-and-flush",
            &[stdout.into(), 2, RESULT],
        )
        .unwrap();
        assert_eq!(unit(&run), Ok(()));
        run.call(
            STREAMS,
            "[method]output-stream.check-write",
            &[stdout.into(), RESULT],
        )
        .unwrap();
        assert_eq!(count(&run), Err("closed"));
    }
}

#[test]
fn errors_of_a_blocking_write_reach_the_guest() {
    let mut run = Run::new();
    run.services.stdout.flushes.push_back(Step::Failed("disk"));
    let stdout = run.stdout([Step::Permit(9), Step::Closed]);
    let mut write = || {
        run.call(
            STREAMS,
            "[method]output-stream.blocking-write-and-flush",
            &[stdout.into(), 300, 1, RESULT],
        )
        .unwrap();
        unit(&run)
    };
    assert_eq!(write(), Err("last-operation-failed"));
    assert_eq!(write(), Err("closed"));
}

#[test]
fn a_blocking_write_of_4096_bytes_is_taken_and_of_one_more_is_a_trap() {
    let mut run = Run::new();
    run.services.stdout.unbuffered = true;
    let stdout = run.stdout([Step::Permit(4096), Step::Permit(4096)]);
    let mut write = |function, arguments: &[u64]| {
        let arguments = [&[stdout.into()], arguments, &[RESULT]].concat();
        run.call(STREAMS, function, &arguments)
    };
    let bytes = "[method]output-stream.blocking-write-and-flush";
    let zeroes = "[method]output-stream.blocking-write-zeroes-and-flush";
    let too_long = Err(trap("write of more than 4096 bytes at once"));
    assert_eq!(write(bytes, &[300, 4096]), Ok(()));
    assert_eq!(write(bytes, &[300, 4097]), too_long);
    assert_eq!(write(zeroes, &[4096]), Ok(()));
    assert_eq!(write(zeroes, &[4097]), too_long);
    assert_eq!(write(zeroes, &[u64::MAX]), too_long);
}

#[test]
fn a_write_passes_the_bytes_and_what_the_platform_says_of_them() {
    let mut run = Run::new();
    run.services.stdout.writes = [Step::Closed, Step::Failed("disk"), Step::Broken("rule")].into();
    let stdout = run.stdout([]);
    run.memory.put(65533, b"end");
    let mut write = |at: u64, length: u64| {
        run.call(
            STREAMS,
            "[method]output-stream.write",
            &[stdout.into(), at, length, RESULT],
        )
        .map(|()| unit(&run))
    };
    assert_eq!(write(65533, 3), Ok(Err("closed")));
    assert_eq!(write(65533, 3), Ok(Err("last-operation-failed")));
    assert_eq!(write(65533, 3), Err(trap("rule")));
    assert_eq!(write(65533, 3), Ok(Ok(())));
    assert_eq!(write(65536, 0), Ok(Ok(())));
    assert!(matches!(write(65533, 4), Err(Trap::Abi(_))));
    assert!(matches!(write(65537, 0), Err(Trap::Abi(_))));
    assert!(matches!(write(0xffff_ffff, 0xffff_ffff), Err(Trap::Abi(_))));
    assert_eq!(
        trace(&mut run),
        "write end, write end, write end, write end, write "
    );
}

#[test]
fn zeroes_are_bounded_by_what_is_permitted() {
    let mut run = Run::new();
    let stdout = run.stdout([
        Step::Permit(2),
        Step::Permit(2),
        Step::Closed,
        Step::Permit(0),
    ]);
    let mut write = |length: u64| {
        run.call(
            STREAMS,
            "[method]output-stream.write-zeroes",
            &[stdout.into(), length, RESULT],
        )
        .map(|()| unit(&run))
    };
    assert_eq!(write(2), Ok(Ok(())));
    assert_eq!(
        write(u64::MAX),
        Err(trap("write of more bytes than `check-write` permitted"))
    );
    assert_eq!(write(1), Ok(Err("closed")));
    assert_eq!(write(0), Ok(Ok(())));
    assert_eq!(
        trace(&mut run),
        "check, write \\x00\\x00, check, check, check, write "
    );
}

#[test]
fn a_flush_begins_and_a_blocking_one_waits_until_it_is_done() {
    let mut run = Run::new();
    let stdout = run.stdout([Step::Permit(0), Step::Permit(5), Step::Closed]);
    let mut flush = |function| {
        run.call(STREAMS, function, &[stdout.into(), RESULT])
            .unwrap();
        (unit(&run), trace(&mut run))
    };
    assert_eq!(
        flush("[method]output-stream.flush"),
        (Ok(()), "flush".to_owned())
    );
    assert_eq!(
        flush("[method]output-stream.blocking-flush"),
        (Ok(()), "flush, wait, check, wait, check".to_owned())
    );
    assert_eq!(
        flush("[method]output-stream.blocking-flush").0,
        Err("closed")
    );
}

#[test]
fn a_splice_moves_what_is_there_and_what_is_permitted() {
    let mut run = Run::new();
    let stdin = run.stdin([Step::Bytes(b"abcdef"), Step::Closed]);
    let stdout = run.stdout([Step::Permit(0), Step::Permit(4), Step::Permit(4)]);
    let mut splice = |most: u64| {
        run.call(
            STREAMS,
            "[method]output-stream.splice",
            &[stdout.into(), stdin.into(), most, RESULT],
        )
        .unwrap();
        (count(&run), trace(&mut run))
    };
    assert_eq!(splice(u64::MAX), (Ok(0), "check".to_owned()));
    assert_eq!(
        splice(u64::MAX),
        (Ok(4), "check, read 4, write abcd".to_owned())
    );
    assert_eq!(splice(2), (Err("closed"), "check, read 2".to_owned()));
}

#[test]
fn a_blocking_splice_waits_for_both_ends() {
    let mut run = Run::new();
    let stdin = run.stdin([Step::Bytes(b""), Step::Bytes(b"abc")]);
    let stdout = run.stdout([
        Step::Permit(0),
        Step::Permit(9),
        Step::Permit(9),
        Step::Permit(9),
    ]);
    run.call(
        STREAMS,
        "[method]output-stream.blocking-splice",
        &[stdout.into(), stdin.into(), 5, RESULT],
    )
    .unwrap();
    assert_eq!(count(&run), Ok(3));
    assert_eq!(
        trace(&mut run),
        "wait, check, wait, check, wait, read 5, wait, read 5, \
         wait, check, write abc, flush, wait, check"
    );
}

#[test]
fn a_stream_is_dropped_after_its_pollable() {
    let mut run = Run::new();
    let stdin = run.stdin([]);
    let pollable = run
        .value(STREAMS, "[method]input-stream.subscribe", &[stdin.into()])
        .unwrap() as u32;
    assert_eq!(
        run.drop(STREAMS, "input-stream", stdin),
        Err(Trap::HasChildren)
    );
    run.drop("wasi:io/poll", "pollable", pollable).unwrap();
    run.drop(STREAMS, "input-stream", stdin).unwrap();
    assert_eq!(
        run.drop(STREAMS, "input-stream", stdin),
        Err(Trap::UnknownHandle(stdin))
    );
}

#[test]
fn a_method_of_a_handle_of_another_type_is_a_trap() {
    let mut run = Run::new();
    let stdout = run.stdout([]);
    assert_eq!(
        run.call(
            STREAMS,
            "[method]input-stream.read",
            &[stdout.into(), 1, RESULT]
        ),
        Err(Trap::WrongHandle(stdout))
    );
    assert_eq!(
        run.call("wasi:io/poll", "[method]pollable.block", &[77]),
        Err(Trap::UnknownHandle(77))
    );
}

#[test]
fn poll_tells_all_that_are_ready_in_order_and_twice_what_is_there_twice() {
    let mut run = Run::new();
    let stdin = run.stdin([]);
    let clock = "wasi:clocks/monotonic-clock";
    let far = run.value(clock, "subscribe-duration", &[u64::MAX]).unwrap() as u32;
    let ready = run
        .value(STREAMS, "[method]input-stream.subscribe", &[stdin.into()])
        .unwrap() as u32;
    run.memory.put_words(300, &[ready, far, ready]);
    run.call("wasi:io/poll", "poll", &[300, 3, RESULT]).unwrap();
    let list = run.memory.word(RESULT as u32);
    assert_eq!(run.memory.word(RESULT as u32 + 4), 2);
    assert_eq!((run.memory.word(list), run.memory.word(list + 4)), (0, 2));
    let is_ready = |run: &mut Run, pollable: u32| {
        run.value("wasi:io/poll", "[method]pollable.ready", &[pollable.into()])
    };
    assert_eq!(is_ready(&mut run, ready), Ok(1));
    assert_eq!(is_ready(&mut run, far), Ok(0));
}

#[test]
fn poll_of_nothing_is_a_trap_and_of_a_list_outside_memory_too() {
    let mut run = Run::new();
    assert_eq!(
        run.call("wasi:io/poll", "poll", &[300, 0, RESULT]),
        Err(trap("empty poll list"))
    );
    for (at, length) in [(65536, 1), (65533, 1), (301, 1), (0, u64::from(u32::MAX))] {
        assert!(matches!(
            run.call("wasi:io/poll", "poll", &[at, length, RESULT]),
            Err(Trap::Abi(_))
        ));
    }
}
