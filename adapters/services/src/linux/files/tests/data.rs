//! Bytes in files, through descriptors.

use vyoma_component::wasi::filesystem::{Advice, ErrorCode};

use super::*;

/// The first offset that the kernel's signed offsets don't have.
const NO_OFFSET: u64 = 1 << 63;

#[test]
fn reading_stops_at_the_end() {
    let folder = Folder::new();
    let file = folder.file("file", b"hello");
    assert_eq!(file.read_at(3, 0), Ok(b"hel".to_vec()));
    assert_eq!(file.read_at(100, 3), Ok(b"lo".to_vec()));
    assert_eq!(file.read_at(100, 5), Ok(vec![]));
    assert_eq!(file.read_at(100, 1 << 40), Ok(vec![]));
    assert_eq!(file.read_at(0, 0), Ok(vec![]));
}

#[test]
fn one_read_gives_at_most_64_kib() {
    let folder = Folder::new();
    let file = folder.file("file", &vec![7; 70_000]);
    assert_eq!(file.read_at(u64::MAX, 0).unwrap().len(), 65_536);
    assert_eq!(file.read_at(u64::MAX, 65_536).unwrap().len(), 4_464);
}

#[test]
fn writing_past_the_end_leaves_zeroes_between() {
    let folder = Folder::new();
    let file = folder.file("file", b"ab");
    assert_eq!(file.write_at(b"z", 4), Ok(1));
    assert_eq!(folder.read("file"), b"ab\0\0z");
    assert_eq!(file.write_at(b"", 100), Ok(0));
    assert_eq!(folder.read("file").len(), 5);
}

#[test]
fn offsets_beyond_the_kernels_are_invalid() {
    let folder = Folder::new();
    let file = folder.file("file", b"");
    for offset in [NO_OFFSET, u64::MAX] {
        assert_eq!(error(file.read_at(1, offset)), ErrorCode::Invalid);
        assert_eq!(error(file.write_at(b"x", offset)), ErrorCode::Invalid);
        assert_eq!(error(file.set_size(offset)), ErrorCode::Invalid);
        let advised = file.advise(0, offset, Advice::Normal);
        assert_eq!(error(advised), ErrorCode::Invalid);
    }
    assert_eq!(error(file.set_size(NO_OFFSET - 1)), ErrorCode::FileTooLarge);
}

#[test]
fn a_file_is_read_and_written_only_as_it_was_opened() {
    let folder = Folder::new();
    folder.file("file", b"bytes");
    let reader = folder.open("file", READ).unwrap();
    assert_eq!(error(reader.write_at(b"x", 0)), ErrorCode::BadDescriptor);
    assert_eq!(error(reader.set_size(1)), ErrorCode::Invalid);
    let writer = folder.open("file", WRITE).unwrap();
    assert_eq!(error(writer.read_at(1, 0)), ErrorCode::BadDescriptor);
    assert_eq!(folder.read("file"), b"bytes");
}

#[test]
fn the_size_can_be_set_up_and_down() {
    let folder = Folder::new();
    let file = folder.file("file", b"bytes");
    file.set_size(2).unwrap();
    assert_eq!(folder.read("file"), b"by");
    file.set_size(4).unwrap();
    assert_eq!(folder.read("file"), b"by\0\0");
    assert_eq!(file.stat().unwrap().size, 4);
}

#[test]
fn every_advice_is_taken_for_a_file() {
    let folder = Folder::new();
    let file = folder.file("file", b"bytes");
    for advice in [
        Advice::Normal,
        Advice::Sequential,
        Advice::Random,
        Advice::WillNeed,
        Advice::DontNeed,
        Advice::NoReuse,
    ] {
        assert_eq!(file.advise(0, 0, advice), Ok(()));
        let directory = folder.root.advise(0, 0, advice);
        assert_eq!(error(directory), ErrorCode::BadDescriptor);
    }
}

#[test]
fn files_and_directories_can_be_synchronised() {
    let folder = Folder::new();
    let file = folder.file("file", b"bytes");
    let directory = folder.directory("directory");
    for descriptor in [&file, &directory, &folder.root] {
        assert_eq!(descriptor.sync(), Ok(()));
        assert_eq!(descriptor.sync_data(), Ok(()));
    }
}

#[test]
fn a_removed_file_stays_until_it_is_closed() {
    let folder = Folder::new();
    let file = folder.file("file", b"bytes");
    folder.root.unlink_file_at("file").unwrap();
    assert_eq!(file.read_at(5, 0), Ok(b"bytes".to_vec()));
    assert_eq!(file.stat().unwrap().link_count, 0);
}
