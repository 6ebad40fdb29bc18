//! `open-at`, and what a descriptor says of itself.

use vyoma_component::wasi::filesystem::{DescriptorType, ErrorCode};

use super::*;

#[test]
fn a_file_is_made_only_when_that_is_asked_for() {
    let folder = Folder::new();
    assert_eq!(error(folder.open("new", WRITE)), ErrorCode::NoEntry);
    let open = |flags| folder.root.open_at(FOLLOW, "new", flags, WRITE);
    open(CREATE).unwrap();
    open(CREATE).unwrap();
    let exclusive = CREATE.with(OpenFlags::EXCLUSIVE);
    assert_eq!(error(open(exclusive)), ErrorCode::Exist);
    // Alone, "exclusive" says nothing.
    open(OpenFlags::EXCLUSIVE).unwrap();
}

#[test]
fn truncating_empties_the_file_and_making_it_exclusively_does_not_need_to() {
    let folder = Folder::new();
    folder.file("full", b"bytes");
    let open = |path, flags| folder.root.open_at(FOLLOW, path, flags, READ);
    open("full", OpenFlags::TRUNCATE).unwrap();
    assert_eq!(folder.read("full"), b"");
    let all = CREATE.with(OpenFlags::EXCLUSIVE).with(OpenFlags::TRUNCATE);
    open("other", all).unwrap();
    assert_eq!(folder.read("other"), b"");
}

#[test]
fn flags_tell_what_the_file_was_opened_for() {
    let folder = Folder::new();
    folder.file("file", b"");
    let flags = |open, flags| {
        let opened = folder.root.open_at(FOLLOW, "file", open, flags);
        opened.unwrap().flags
    };
    assert_eq!(flags(NOTHING, READ), READ);
    assert_eq!(flags(NOTHING, WRITE), WRITE);
    assert_eq!(flags(NOTHING, READ_WRITE), READ_WRITE);
    // What is not for writing is for reading.
    assert_eq!(flags(NOTHING, DescriptorFlags(0)), READ);
    // Making and truncating take writing.
    assert_eq!(flags(CREATE, READ), READ_WRITE);
    assert_eq!(flags(OpenFlags::TRUNCATE, DescriptorFlags(0)), READ_WRITE);
    // A directory below does not say that it can be changed, though it can.
    assert_eq!(folder.directory("below").flags, READ);
    let asked = READ.with(DescriptorFlags::MUTATE_DIRECTORY);
    assert_eq!(folder.open("below", asked).unwrap().flags, READ);
}

#[test]
fn synchronised_writing_is_unsupported_whatever_else_is_asked() {
    let folder = Folder::new();
    for flag in [
        DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
    ] {
        let opened = folder
            .root
            .open_at(FOLLOW, "none", CREATE, WRITE.with(flag));
        assert_eq!(error(opened), ErrorCode::Unsupported);
    }
    assert!(!folder.path("none").exists());
}

#[test]
fn a_directory_is_not_made_emptied_or_written() {
    let folder = Folder::new();
    folder.directory("directory");
    for flag in [CREATE, OpenFlags::EXCLUSIVE, OpenFlags::TRUNCATE] {
        let flags = OpenFlags::DIRECTORY.with(flag);
        let opened = folder.root.open_at(FOLLOW, "directory", flags, READ);
        assert_eq!(error(opened), ErrorCode::Invalid);
    }
    for flags in [CREATE, OpenFlags::TRUNCATE] {
        let opened = folder.root.open_at(FOLLOW, "directory", flags, READ);
        assert_eq!(error(opened), ErrorCode::IsDirectory);
    }
    assert_eq!(
        error(folder.open("directory", WRITE)),
        ErrorCode::IsDirectory
    );
}

#[test]
fn a_file_in_the_place_of_a_directory_is_no_directory() {
    let folder = Folder::new();
    folder.file("file", b"");
    let opened = folder
        .root
        .open_at(FOLLOW, "file", OpenFlags::DIRECTORY, READ);
    assert_eq!(error(opened), ErrorCode::NotDirectory);
    for path in ["file/", "file/.", "file/..", "file/below"] {
        assert_eq!(error(folder.open(path, READ)), ErrorCode::NotDirectory);
    }
}

#[test]
fn a_directory_opens_under_all_its_paths() {
    let folder = Folder::new();
    let directory = folder.directory("directory");
    for path in [
        "directory/",
        "directory/.",
        "./directory",
        "directory/../directory",
        "directory//",
    ] {
        let opened = folder.open(path, READ).unwrap();
        assert!(opened.is_same_object(&directory).unwrap(), "{path}");
        assert_eq!(opened.get_type(), Ok(DescriptorType::Directory));
    }
    for path in [".", "./", "directory/.."] {
        let opened = folder.open(path, READ).unwrap();
        assert!(opened.is_same_object(&folder.root).unwrap(), "{path}");
    }
}

#[test]
fn paths_that_name_nothing() {
    let folder = Folder::new();
    for (path, code) in [
        ("", ErrorCode::NoEntry),
        ("none", ErrorCode::NoEntry),
        ("none/below", ErrorCode::NoEntry),
        ("a\0b", ErrorCode::Invalid),
        (&"x".repeat(256), ErrorCode::NameTooLong),
        (&"x/".repeat(2100), ErrorCode::NameTooLong),
    ] {
        assert_eq!(error(folder.open(path, READ)), code);
        assert_eq!(error(folder.root.stat_at(FOLLOW, path)), code);
        assert_eq!(error(folder.root.unlink_file_at(path)), code);
    }
}

#[test]
fn what_is_relative_to_a_file_is_not_in_a_directory() {
    let folder = Folder::new();
    let file = folder.file("file", b"");
    let expected = ErrorCode::NotDirectory;
    assert_eq!(error(file.open_at(FOLLOW, "x", CREATE, WRITE)), expected);
    assert_eq!(error(file.create_directory_at("x")), expected);
    assert_eq!(error(file.remove_directory_at("x")), expected);
    assert_eq!(error(file.unlink_file_at("x")), expected);
    assert_eq!(error(file.readlink_at("x")), expected);
    assert_eq!(error(file.symlink_at("x", "y")), expected);
    assert_eq!(error(file.stat_at(FOLLOW, "x")), expected);
    assert_eq!(error(file.metadata_hash_at(FOLLOW, "x")), expected);
    assert_eq!(error(file.rename_at("x", &folder.root, "y")), expected);
    assert_eq!(error(folder.root.rename_at("file", &file, "y")), expected);
    assert_eq!(error(file.link_at(FOLLOW, "x", &file, "y")), expected);
    assert_eq!(error(file.read_directory()), expected);
}

#[test]
fn a_directory_is_no_file() {
    let folder = Folder::new();
    let directory = folder.directory("directory");
    let expected = ErrorCode::BadDescriptor;
    assert_eq!(error(directory.read_at(1, 0)), expected);
    assert_eq!(error(directory.write_at(b"x", 0)), expected);
    assert_eq!(error(directory.set_size(1)), expected);
    assert_eq!(error(directory.write_via_stream(Some(0))), expected);
    assert_eq!(error(directory.write_via_stream(None)), expected);
    // The one function that says it otherwise.
    assert_eq!(error(directory.read_via_stream(0)), ErrorCode::IsDirectory);
}
