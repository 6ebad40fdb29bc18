//! Files as streams: offsets, ends, errors and what they say.

use wasip2::filesystem::types::{Descriptor, OpenFlags, filesystem_error_code};
use wasip2::io::streams::StreamError;

use crate::{BOTH, STAY, cat, create, does};

/// Prints a stream's answer; of an error, the file system's code.
fn told<T: std::fmt::Debug>(what: &str, answer: Result<T, StreamError>) {
    match answer {
        Ok(value) => println!("{what}: {value:?}"),
        Err(StreamError::Closed) => println!("{what}: closed"),
        Err(StreamError::LastOperationFailed(error)) => {
            let code = filesystem_error_code(&error).map(|code| code.name());
            println!(
                "{what}: failed, {code:?}, says something: {}",
                !error.to_debug_string().is_empty()
            );
        }
    }
}

pub(crate) fn run(root: &Descriptor) {
    println!("-- streams");
    create(root, "s", b"0123456789");
    let file = root
        .open_at(STAY, "s", OpenFlags::empty(), BOTH)
        .expect("it is there");
    let input = does("stream from 3", file.read_via_stream(3)).expect("it can be read");
    told("read 4", input.blocking_read(4));
    told("skip 2", input.blocking_skip(2));
    told("read 100", input.blocking_read(100));
    told("read at the end", input.blocking_read(1));
    told("read at the end again", input.blocking_read(1));
    let past =
        does("stream from past the end", file.read_via_stream(1000)).expect("it can be read");
    told("read it", past.blocking_read(1));
    println!("ready: {}", input.subscribe().ready());

    let output = does("stream to 4", file.write_via_stream(4)).expect("it can be written");
    told("write", output.blocking_write_and_flush(b"abc"));
    told("write", output.blocking_write_and_flush(b"def"));
    drop(output);
    cat(root, "s");
    let appended = does("append", file.append_via_stream()).expect("it can be written");
    told("write", appended.blocking_write_and_flush(b"+"));
    show_append(&file, b"-");
    told("write", appended.blocking_write_and_flush(b"*"));
    told("check", appended.check_write().map(|bytes| bytes > 0));
    told("zeroes", appended.blocking_write_zeroes_and_flush(2));
    drop(appended);
    cat(root, "s");

    let from = file.read_via_stream(0).expect("it can be read");
    create(root, "t", b"");
    let other = root
        .open_at(STAY, "t", OpenFlags::empty(), BOTH)
        .expect("it is there");
    let to = other.write_via_stream(0).expect("it can be written");
    told("splice 5", to.blocking_splice(&from, 5));
    told("flush", to.blocking_flush());
    told("splice the rest", to.blocking_splice(&from, 500));
    told("flush", to.blocking_flush());
    told("splice at the end", to.blocking_splice(&from, 500));
    drop(to);
    cat(root, "t");

    let far =
        does("stream to 2^63", file.write_via_stream(1 << 63)).expect("nothing was written yet");
    told("write", far.blocking_write_and_flush(b"x"));
    told("write again", far.blocking_write_and_flush(b"x"));
    let large = file.write_via_stream(0).expect("it can be written");
    let mut written = 0;
    while written < 1_000_000 {
        large.subscribe().block();
        let permitted = large.check_write().expect("it is open").min(100_000);
        large
            .write(&vec![1; usize::try_from(permitted).expect("small")])
            .expect("it was permitted");
        written += permitted;
    }
    told("flush", large.blocking_flush());
    drop(large);
    println!(
        "large enough: {}",
        file.stat().is_ok_and(|stat| stat.size >= 1_000_000)
    );
}

fn show_append(file: &Descriptor, bytes: &[u8]) {
    let size = file.stat().map_or(0, |stat| stat.size);
    crate::show("write at the end", file.write(bytes, size));
}
