//! Directories: making, listing, renaming, removing.

use vyoma_component::wasi::filesystem::{DescriptorType, DirectoryEntry, ErrorCode};

use super::*;

fn names(directory: &Descriptor) -> Vec<(String, DescriptorType)> {
    let entries: Result<Vec<DirectoryEntry>> =
        directory.read_directory().unwrap().into_iter().collect();
    let mut names: Vec<_> = entries
        .unwrap()
        .into_iter()
        .map(|entry| (entry.name, entry.kind))
        .collect();
    names.sort_by(|one, other| one.0.cmp(&other.0));
    names
}

#[test]
fn a_listing_has_every_name_and_its_type_but_no_dots() {
    let folder = Folder::new();
    folder.file("file", b"");
    folder.directory("directory");
    folder.symlink("nowhere", "link");
    let fifo = folder.path("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, 0o600.into()).unwrap();
    assert_eq!(
        names(&folder.root),
        [
            ("directory".to_string(), DescriptorType::Directory),
            ("file".to_string(), DescriptorType::RegularFile),
            ("link".to_string(), DescriptorType::SymbolicLink),
            ("pipe".to_string(), DescriptorType::Unknown),
        ]
    );
}

#[test]
fn every_listing_starts_anew() {
    let folder = Folder::new();
    folder.file("one", b"");
    assert_eq!(names(&folder.root).len(), 1);
    folder.file("two", b"");
    assert_eq!(names(&folder.root).len(), 2);
}

#[test]
fn a_large_directory_is_listed_whole() {
    let folder = Folder::new();
    for number in 0..1000 {
        folder.file(&format!("file-{number}"), b"");
    }
    assert_eq!(names(&folder.root).len(), 1000);
}

#[test]
fn a_name_that_is_not_utf_8_is_an_error_in_its_place() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    fs::write(folder.path("").join(name), b"").unwrap();
    folder.file("good", b"");
    let mut listed = folder.root.read_directory().unwrap();
    listed.sort_by_key(std::result::Result::is_err);
    assert_eq!(listed[0].as_ref().unwrap().name, "good");
    assert_eq!(listed[1], Err(ErrorCode::IllegalByteSequence));
}

#[test]
fn a_directory_is_made_once_and_with_or_without_slashes() {
    let folder = Folder::new();
    folder.root.create_directory_at("one").unwrap();
    folder.root.create_directory_at("two//").unwrap();
    folder.root.create_directory_at("one/../three").unwrap();
    assert_eq!(names(&folder.root).len(), 3);
    for path in ["one", "one/", ".", "one/.", "one/.."] {
        let made = folder.root.create_directory_at(path);
        assert_eq!(error(made), ErrorCode::Exist, "{path}");
    }
    let made = folder.root.create_directory_at("none/below");
    assert_eq!(error(made), ErrorCode::NoEntry);
    folder.file("file", b"");
    let made = folder.root.create_directory_at("file/below");
    assert_eq!(error(made), ErrorCode::NotDirectory);
    assert_eq!(
        error(folder.root.create_directory_at("")),
        ErrorCode::NoEntry
    );
}

#[test]
fn only_an_empty_directory_is_removed() {
    let folder = Folder::new();
    folder.directory("directory");
    folder.file("directory/file", b"");
    folder.symlink("directory", "link");
    let remove = |path| folder.root.remove_directory_at(path);
    assert_eq!(error(remove("directory")), ErrorCode::NotEmpty);
    assert_eq!(error(remove("directory/file")), ErrorCode::NotDirectory);
    assert_eq!(error(remove("link")), ErrorCode::NotDirectory);
    // What a path with a slash names is what is in the directory: `.`
    assert_eq!(error(remove("directory/")), ErrorCode::Invalid);
    assert_eq!(error(remove(".")), ErrorCode::Invalid);
    folder.root.unlink_file_at("directory/file").unwrap();
    remove("directory").unwrap();
    assert_eq!(error(remove("directory")), ErrorCode::NoEntry);
}

#[test]
fn unlinking_is_for_files_and_links_only() {
    let folder = Folder::new();
    folder.file("file", b"");
    folder.directory("directory");
    folder.symlink("directory", "link");
    let unlink = |path| folder.root.unlink_file_at(path);
    assert_eq!(error(unlink("directory")), ErrorCode::IsDirectory);
    assert_eq!(error(unlink("directory/")), ErrorCode::IsDirectory);
    assert_eq!(error(unlink("file/")), ErrorCode::NotDirectory);
    unlink("link").unwrap();
    unlink("file").unwrap();
    assert_eq!(names(&folder.root).len(), 1);
}

#[test]
fn renaming_replaces_what_is_of_the_same_kind() {
    let folder = Folder::new();
    folder.file("file", b"new");
    folder.file("old", b"old");
    let rename = |from, to| folder.root.rename_at(from, &folder.root, to);
    rename("file", "old").unwrap();
    assert_eq!(folder.read("old"), b"new");
    assert_eq!(error(rename("file", "x")), ErrorCode::NoEntry);
    folder.directory("directory");
    assert_eq!(error(rename("old", "directory")), ErrorCode::IsDirectory);
    assert_eq!(error(rename("directory", "old")), ErrorCode::NotDirectory);
    let below = folder.directory("directory/below");
    assert_eq!(
        error(rename("directory", "directory/below/x")),
        ErrorCode::Invalid
    );
    folder.directory("other");
    assert_eq!(error(rename("other", "directory")), ErrorCode::NotEmpty);
    // Between directories, and in one through its descriptor.
    folder.root.rename_at("old", &below, "moved").unwrap();
    below.rename_at("moved", &below, "again").unwrap();
    assert_eq!(folder.read("directory/below/again"), b"new");
}

#[test]
fn a_slash_at_the_end_of_a_rename_wants_a_directory() {
    let folder = Folder::new();
    folder.file("file", b"");
    folder.directory("directory");
    folder.symlink("directory", "link");
    let rename = |from, to| folder.root.rename_at(from, &folder.root, to);
    assert_eq!(error(rename("file/", "x")), ErrorCode::NotDirectory);
    assert_eq!(error(rename("file", "x/")), ErrorCode::NotDirectory);
    assert_eq!(error(rename("link/", "x")), ErrorCode::NotDirectory);
    rename("directory/", "renamed").unwrap();
    rename("renamed", "again//").unwrap();
    assert!(folder.path("again").is_dir());
}
