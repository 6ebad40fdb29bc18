//! Streams on files, as a guest sees them that waits, and one that does not.

use std::cell::Cell;
use std::rc::Rc;

use vyoma_component::services::{Pollable, StreamError};
use vyoma_component::wasi::filesystem::ErrorCode;

use super::super::stream::{Reader, Writer};
use super::*;
use crate::linux::{Sink, Source, Wait};

fn wait(pollable: Pollable<Wait>) {
    let clock = crate::linux::clocks::Monotonic::start();
    assert_eq!(crate::linux::poll::poll(&clock, &[pollable]), [0]);
}

fn reader(file: &Descriptor, offset: u64) -> Reader {
    Reader::new(Rc::clone(&file.file), offset)
}

fn writer(file: &Descriptor, offset: Option<u64>) -> Writer {
    Writer::new(Rc::clone(&file.file), offset)
}

/// What a guest gets that waits before it reads.
fn read(stream: &mut Reader, most: usize) -> std::result::Result<Vec<u8>, StreamError> {
    wait(stream.ready());
    stream.read(most)
}

/// A whole write, waited for.
fn write(stream: &mut Writer, bytes: &[u8]) -> std::result::Result<(), StreamError> {
    stream.write(bytes)?;
    wait(stream.ready());
    stream.check_write().map(drop)
}

/// The code and text of the error that a stream failed with.
#[track_caller]
fn failure<T>(outcome: std::result::Result<T, StreamError>) -> (Option<ErrorCode>, String) {
    match outcome {
        Err(StreamError::Failed(error)) => {
            let code = error.filesystem_code.and_then(ErrorCode::of_number);
            (code, error.message)
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("succeeded"),
    }
}

#[test]
fn a_reader_goes_through_the_file_and_ends_for_good() {
    let folder = Folder::new();
    let file = folder.file("file", b"hello");
    let mut stream = reader(&file, 1);
    assert_eq!(read(&mut stream, 2).unwrap(), b"el");
    assert_eq!(read(&mut stream, 100).unwrap(), b"lo");
    assert!(matches!(read(&mut stream, 1), Err(StreamError::Closed)));
    file.write_at(b"more", 5).unwrap();
    assert!(matches!(read(&mut stream, 1), Err(StreamError::Closed)));
}

#[test]
fn the_first_read_without_waiting_gives_nothing_yet() {
    let folder = Folder::new();
    let mut stream = reader(&folder.file("file", b"hello"), 0);
    assert_eq!(stream.read(2).unwrap(), b"");
    assert_eq!(stream.read(1).unwrap(), b"h");
    assert_eq!(stream.read(9).unwrap(), b"e");
    assert_eq!(stream.read(9).unwrap(), b"");
    assert_eq!(stream.read(9).unwrap(), b"llo");
}

#[test]
fn reading_nothing_is_no_read() {
    let folder = Folder::new();
    let mut stream = reader(&folder.file("file", b"hello"), 0);
    assert_eq!(read(&mut stream, 0).unwrap(), b"");
    assert_eq!(stream.read(9).unwrap(), b"hello");
}

#[test]
fn a_reader_gives_at_most_64_kib_at_once() {
    let folder = Folder::new();
    let mut stream = reader(&folder.file("file", &vec![7; 70_000]), 0);
    assert_eq!(read(&mut stream, usize::MAX).unwrap().len(), 65_536);
    assert_eq!(read(&mut stream, usize::MAX).unwrap().len(), 4_464);
}

#[test]
fn a_reader_of_what_cannot_be_read_fails_once_and_is_closed() {
    let folder = Folder::new();
    folder.file("file", b"hello");
    let mut stream = reader(&folder.open("file", WRITE).unwrap(), 0);
    assert_eq!(
        failure(read(&mut stream, 1)),
        (
            Some(ErrorCode::BadDescriptor),
            "Bad file descriptor (os error 9)".to_string()
        )
    );
    assert!(matches!(read(&mut stream, 1), Err(StreamError::Closed)));
}

#[test]
fn a_writer_keeps_its_own_position() {
    let folder = Folder::new();
    let file = folder.file("file", b"..........");
    let mut stream = writer(&file, Some(2));
    let mut other = writer(&file, Some(6));
    write(&mut stream, b"ab").unwrap();
    write(&mut other, b"xy").unwrap();
    write(&mut stream, b"cd").unwrap();
    assert_eq!(folder.read("file"), b"..abcdxy..");
}

#[test]
fn a_writer_permits_64_kib_and_then_nothing_until_it_was_waited_for() {
    let folder = Folder::new();
    let mut stream = writer(&folder.file("file", b""), Some(0));
    assert_eq!(stream.check_write().unwrap(), 65_536);
    stream.write(b"x").unwrap();
    assert_eq!(stream.check_write().unwrap(), 0);
    assert_eq!(stream.check_write().unwrap(), 0);
    stream.flush().unwrap();
    assert!(matches!(stream.write(b"y"), Err(StreamError::Trap(_))));
    wait(stream.ready());
    assert_eq!(stream.check_write().unwrap(), 65_536);
    assert_eq!(folder.read("file"), b"x");
}

#[test]
fn a_pollable_from_before_the_write_tells_its_end_too() {
    let folder = Folder::new();
    let mut stream = writer(&folder.file("file", b""), Some(0));
    let before = stream.ready();
    wait(before.clone());
    stream.write(b"x").unwrap();
    assert_eq!(stream.check_write().unwrap(), 0);
    wait(before);
    assert_eq!(stream.check_write().unwrap(), 65_536);
}

#[test]
fn an_appender_writes_to_wherever_the_end_is() {
    let folder = Folder::new();
    let file = folder.file("file", b"start");
    let mut stream = writer(&file, None);
    write(&mut stream, b",one").unwrap();
    file.write_at(b",between", 9).unwrap();
    write(&mut stream, b",two").unwrap();
    assert_eq!(folder.read("file"), b"start,one,between,two");
    // The descriptor itself is as it was.
    file.write_at(b"S", 0).unwrap();
    assert_eq!(folder.read("file"), b"Start,one,between,two");
}

#[test]
fn a_failed_write_is_told_after_waiting_and_closes_the_stream() {
    let folder = Folder::new();
    folder.file("file", b"hello");
    let file = folder.open("file", READ).unwrap();
    for offset in [Some(0), None] {
        let mut stream = writer(&file, offset);
        stream.write(b"x").unwrap();
        assert_eq!(stream.check_write().unwrap(), 0);
        wait(stream.ready());
        let (code, _) = failure(stream.check_write());
        assert_eq!(code, Some(ErrorCode::BadDescriptor));
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
        assert!(matches!(stream.write(b"x"), Err(StreamError::Closed)));
        assert!(matches!(stream.flush(), Err(StreamError::Closed)));
    }
}

#[test]
fn offsets_beyond_the_kernels_fail_in_the_stream() {
    let folder = Folder::new();
    let file = folder.file("file", b"hello");
    let (code, _) = failure(read(&mut reader(&file, u64::MAX), 1));
    assert_eq!(code, Some(ErrorCode::Invalid));
    let (code, _) = failure(write(&mut writer(&file, Some(1 << 63)), b"x"));
    assert_eq!(code, Some(ErrorCode::Invalid));
}

#[test]
fn a_stream_keeps_the_file_open_that_it_came_of() {
    let folder = Folder::new();
    let file = folder.file("file", b"hello");
    let mut stream = reader(&file, 0);
    drop(file);
    folder.root.unlink_file_at("file").unwrap();
    assert_eq!(read(&mut stream, 9).unwrap(), b"hello");
}

#[test]
fn closing_the_last_holder_closes_the_descriptor() {
    let folder = Folder::new();
    let open = Cell::new(0);
    let count = || {
        let path = folder.path("file");
        let here = std::fs::read_dir("/proc/self/fd").unwrap();
        open.set(
            here.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
                .filter(|target| *target == path)
                .count(),
        );
        open.get()
    };
    let file = folder.file("file", b"hello");
    let stream = reader(&file, 0);
    assert_eq!(count(), 1);
    drop(file);
    assert_eq!(count(), 1);
    drop(stream);
    assert_eq!(count(), 0);
}
